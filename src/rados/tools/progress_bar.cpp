#include "progress_bar.h"

#include <algorithm>

namespace cloudlet::rados {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

ProgressBar::ProgressBar(ToolOutput& output, uint64_t total)
    : output_(output), total_(std::max<uint64_t>(total, 1)),
      next_draw_(steady_clock::now() + milliseconds(500)) {}

ProgressBar::~ProgressBar() {
    if (drawn_) output_.error("\r\x1b[K");
}

void ProgressBar::advance(uint64_t done) {
    done_ = std::min(done_ + done, total_);
    if (output_.is_watched() && steady_clock::now() >= next_draw_) draw();
}

void ProgressBar::draw() {
    constexpr size_t width = 40;
    auto full = static_cast<size_t>(done_ * width / total_);
    output_.error("\r[{}{}] {:3} %", std::string(full, '#'), std::string(width - full, ' '),
                  done_ * 100 / total_);
    drawn_ = true;
    next_draw_ = steady_clock::now() + milliseconds(100);
}

} // namespace cloudlet::rados
