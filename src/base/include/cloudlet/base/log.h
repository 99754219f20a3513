#pragma once
// One line per event, to stderr or a file: "2026-01-02T03:04:05.678Z INFO  net: message".
// Thread-safe. A line is complete or absent. spdlog stands behind; no caller sees it.

#include <string_view>

#include <fmt/core.h>

namespace cloudlet {

enum class LogLevel { debug, info, warning, error, off };

/// Lines below this level cost one atomic load. Default: info.
void set_log_level(LogLevel level);
bool log_enabled(LogLevel level);

/// Sends the log to a file opened for appending (created 0640); an empty path means stderr.
/// False when the file cannot be opened (the log stays where it was).
bool set_log_file(std::string_view path);

/// Writes one line; `room` is the room that speaks. Prefer the typed helpers below.
void log_line(LogLevel level, std::string_view room, std::string_view message);

template <typename... Args>
void log_debug(std::string_view room, fmt::format_string<Args...> format, Args&&... args) {
    if (log_enabled(LogLevel::debug))
        log_line(LogLevel::debug, room, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void log_info(std::string_view room, fmt::format_string<Args...> format, Args&&... args) {
    if (log_enabled(LogLevel::info))
        log_line(LogLevel::info, room, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void log_warning(std::string_view room, fmt::format_string<Args...> format, Args&&... args) {
    if (log_enabled(LogLevel::warning))
        log_line(LogLevel::warning, room, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void log_error(std::string_view room, fmt::format_string<Args...> format, Args&&... args) {
    if (log_enabled(LogLevel::error))
        log_line(LogLevel::error, room, fmt::format(format, std::forward<Args>(args)...));
}

} // namespace cloudlet
