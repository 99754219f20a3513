#include "cloudlet/base/log.h"

#include <atomic>
#include <fcntl.h>
#include <memory>
#include <string>
#include <unistd.h>

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace cloudlet {
namespace {

constexpr const char* line_pattern = "%Y-%m-%dT%H:%M:%S.%eZ %^%-5l%$ %v";
std::atomic<LogLevel> threshold{LogLevel::info};

std::shared_ptr<spdlog::logger> make_logger(spdlog::sink_ptr sink) {
    auto logger = std::make_shared<spdlog::logger>("cloudlet", std::move(sink));
    logger->set_formatter(
        std::make_unique<spdlog::pattern_formatter>(line_pattern, spdlog::pattern_time_type::utc));
    logger->set_level(spdlog::level::trace);
    logger->flush_on(spdlog::level::trace);
    return logger;
}

std::shared_ptr<spdlog::logger>& current_logger() {
    static auto logger = make_logger(std::make_shared<spdlog::sinks::stderr_sink_mt>());
    return logger;
}

spdlog::level::level_enum library_level(LogLevel level) {
    switch (level) {
    case LogLevel::debug: return spdlog::level::debug;
    case LogLevel::info: return spdlog::level::info;
    case LogLevel::warning: return spdlog::level::warn;
    case LogLevel::error: return spdlog::level::err;
    case LogLevel::off: return spdlog::level::off;
    }
    return spdlog::level::err;
}

} // namespace

void set_log_level(LogLevel level) { threshold.store(level, std::memory_order_relaxed); }

bool log_enabled(LogLevel level) { return level >= threshold.load(std::memory_order_relaxed); }

bool set_log_file(std::string_view path) {
    if (path.empty()) {
        std::atomic_store(&current_logger(),
                          make_logger(std::make_shared<spdlog::sinks::stderr_sink_mt>()));
        return true;
    }
    std::string file(path);
    int descriptor = open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (descriptor < 0) return false;
    close(descriptor);
    try {
        std::atomic_store(&current_logger(),
                          make_logger(std::make_shared<spdlog::sinks::basic_file_sink_mt>(file)));
    } catch (const spdlog::spdlog_ex&) {
        return false;
    }
    return true;
}

void log_line(LogLevel level, std::string_view room, std::string_view message) {
    std::atomic_load(&current_logger())->log(library_level(level), "{}: {}", room, message);
}

} // namespace cloudlet
