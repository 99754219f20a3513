#pragma once
// Time as an input. Pure cores take a TimePoint; shells hold a Clock, which a simulator replaces.

#include <chrono>
#include <string>
#include <string_view>

#include "cloudlet/base/result.h"

namespace cloudlet {

using Duration = std::chrono::nanoseconds;
using MonotonicTime = std::chrono::steady_clock::time_point;
using WallTime = std::chrono::time_point<std::chrono::system_clock, std::chrono::nanoseconds>;

/// Where time comes from. Thread-safe.
class Clock {
public:
    virtual ~Clock() = default;
    virtual MonotonicTime monotonic() const = 0; // for deadlines and intervals
    virtual WallTime wall() const = 0;           // for what people and certificates read
};

/// The machine's own clock.
const Clock& system_clock();

/// A clock that stands still until it is told to move; for tests and simulators. Not thread-safe.
class ManualClock final : public Clock {
public:
    explicit ManualClock(WallTime start = WallTime{std::chrono::seconds{1'700'000'000}})
        : wall_(start) {}
    MonotonicTime monotonic() const override { return monotonic_; }
    WallTime wall() const override { return wall_; }
    void advance(Duration step) {
        monotonic_ += std::chrono::duration_cast<MonotonicTime::duration>(step);
        wall_ += step;
    }
    void jump_wall(Duration step) { wall_ += step; }

private:
    MonotonicTime monotonic_{};
    WallTime wall_;
};

/// RFC 3339 in UTC with whole seconds, as Kubernetes' metav1.Time: "2026-01-02T03:04:05Z".
std::string format_time(WallTime time);
/// With microseconds, as Kubernetes' metav1.MicroTime: "2026-01-02T03:04:05.000006Z".
std::string format_micro_time(WallTime time);
/// With nanoseconds and trailing zeros, as CRI log lines: "2026-01-02T03:04:05.000000007Z".
std::string format_nano_time(WallTime time);
/// Any RFC 3339 time, with fraction and zone offset. Error: Code::invalid.
Result<WallTime> parse_time(std::string_view text);

/// A span as Go prints it for people, two units at most: "3s", "5m20s", "4h", "2d3h".
std::string format_age(Duration span);

} // namespace cloudlet
