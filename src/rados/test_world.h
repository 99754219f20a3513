#pragma once
// A world for the test of one machine: time stands still until it is moved, and what the machine
// sends is kept for the test to look at. For whole clusters there is the simulator.

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cloudlet/rados/machine.h"
#include "cloudlet/rados/message.h"

namespace cloudlet::rados {

class TestWorld final : public World {
public:
    struct Sent {
        Entity to = {};
        MessagePtr message = {};
        std::optional<Wire> loosely = {}; // by which network
    };

    MonotonicTime now() const override { return now_; }
    WallTime wall() const override { return wall_; }
    Random& random() override { return random_; }
    void send(const Entity& to, MessagePtr message) override {
        sent.push_back({to, std::move(message)});
    }
    void send_loosely(const Entity& to, MessagePtr message, Wire wire) override {
        sent.push_back({to, std::move(message), wire});
    }
    void wake_at(MonotonicTime when) override {
        if (!wake || when < *wake) wake = when;
    }
    bool listening() const override { return true; }
    void tell(std::string sentence) override { told.push_back(std::move(sentence)); }
    void moved(const PgMove& move) override { moves.push_back(move); }

    /// Moves both clocks; gives true when the machine wanted to be woken by now, and forgets it.
    bool pass(Duration time) {
        now_ += time;
        wall_ += time;
        if (!wake || *wake > now_) return false;
        wake.reset();
        return true;
    }
    void jump_wall(Duration time) { wall_ += time; }

    /// Takes out what was sent to somebody in messages of one kind.
    template <typename Body>
    std::vector<Body> take(const Entity& to) {
        std::vector<Body> taken;
        std::erase_if(sent, [&](const Sent& it) {
            const Body* body = std::get_if<Body>(&it.message->body);
            if (it.to != to || !body) return false;
            taken.push_back(*body);
            return true;
        });
        return taken;
    }

    std::vector<Sent> sent;
    std::vector<std::string> told;
    std::vector<PgMove> moves;
    std::optional<MonotonicTime> wake;

private:
    MonotonicTime now_{std::chrono::hours(1)};
    WallTime wall_{std::chrono::seconds(1'700'000'000)};
    Random random_{1};
};

} // namespace cloudlet::rados
