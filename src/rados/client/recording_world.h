#pragma once
// A world for tests of one machine: it notes what the machine sends, and its time stands still
// until the test moves it.

#include <optional>
#include <utility>
#include <vector>

#include "cloudlet/rados/machine.h"
#include "cloudlet/rados/message.h"

namespace cloudlet::rados {

class RecordingWorld final : public World {
public:
    MonotonicTime now() const override { return clock_.monotonic(); }
    WallTime wall() const override { return clock_.wall(); }
    Random& random() override { return random_; }
    void send(const Entity& to, MessagePtr message) override {
        sent.emplace_back(to, std::move(message));
    }
    void send_loosely(const Entity& to, MessagePtr message, Wire /*wire*/) override {
        send(to, std::move(message));
    }
    void wake_at(MonotonicTime when) override {
        if (!wake_wanted_ || when < *wake_wanted_) wake_wanted_ = when;
    }

    /// Lets time pass, with every wake-up that the machine asked for.
    void pass(Machine& machine, Duration span) {
        const MonotonicTime end = now() + span;
        while (wake_wanted_ && *wake_wanted_ <= end) {
            if (*wake_wanted_ > now()) clock_.advance(*wake_wanted_ - now());
            wake_wanted_.reset();
            machine.wake();
        }
        clock_.advance(end - now());
    }

    std::vector<std::pair<Entity, MessagePtr>> sent;

private:
    ManualClock clock_;
    Random random_{1};
    std::optional<MonotonicTime> wake_wanted_;
};

} // namespace cloudlet::rados
