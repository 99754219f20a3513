#pragma once
// One line that shows how far a long run is, on a terminal only; nothing is drawn in the first half
// second, so that short runs stay quiet.

#include <chrono>
#include <cstdint>
#include <string>

#include "tool_output.h"

namespace cloudlet::rados {

class ProgressBar {
public:
    /// `total` is the work to do, in any unit; the bar vanishes with this object.
    ProgressBar(ToolOutput& output, uint64_t total);
    ~ProgressBar();
    ProgressBar(const ProgressBar&) = delete;
    ProgressBar& operator=(const ProgressBar&) = delete;

    void advance(uint64_t done);

private:
    void draw();

    ToolOutput& output_;
    uint64_t total_;
    uint64_t done_ = 0;
    std::chrono::steady_clock::time_point next_draw_;
    bool drawn_ = false;
};

} // namespace cloudlet::rados
