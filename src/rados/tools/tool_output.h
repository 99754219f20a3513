#pragma once
// Output of a command: collected, and handed on in large pieces, because a test of a million inputs
// prints a million lines. What goes to the error stream is handed on at once, after what was
// printed before it.

#include <iterator>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "cloudlet/rados/crushtool.h"

namespace cloudlet::rados {

class ToolOutput {
public:
    explicit ToolOutput(const ToolStreams& streams) : streams_(streams) {}
    ~ToolOutput() { flush(); }
    ToolOutput(const ToolOutput&) = delete;
    ToolOutput& operator=(const ToolOutput&) = delete;

    void write(std::string_view text) {
        pending_ += text;
        hand_on_when_large();
    }
    template <typename... Args>
    void print(fmt::format_string<Args...> format, Args&&... args) {
        fmt::format_to(std::back_inserter(pending_), format, std::forward<Args>(args)...);
        hand_on_when_large();
    }
    template <typename... Args>
    void error(fmt::format_string<Args...> format, Args&&... args) {
        flush();
        streams_.err(fmt::format(format, std::forward<Args>(args)...));
    }
    void flush() {
        if (pending_.empty()) return;
        streams_.out(pending_);
        pending_.clear();
    }
    bool is_watched() const { return streams_.err_is_terminal; }

    /// The text that lines are built in, without a copy; call hand_on_when_large() after it.
    std::string& pending() { return pending_; }
    void hand_on_when_large() {
        if (pending_.size() >= size_t{1} << 16) flush();
    }

private:
    const ToolStreams& streams_;
    std::string pending_;
};

} // namespace cloudlet::rados
