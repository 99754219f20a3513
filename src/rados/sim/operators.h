#pragma once
// The cluster's operator: a machine that gives commands to the monitors, one after the other, and
// asks primaries to scrub. It asks again, elsewhere, when an answer does not come; every command
// says what shall be, so that twice is once. What becomes of a command is the monitors' business: a
// refusal is an answer, too.

#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

#include "cloudlet/rados/machine.h"
#include "cloudlet/rados/message.h"

namespace cloudlet::rados::sim {

class OperatorMachine final : public Machine {
public:
    OperatorMachine(World& world, size_t monitors) : world_(world), monitors_(monitors) {}

    void order(Command command);
    /// Nothing answers to it; it is asked again when the primary has lost its memory.
    void scrub(int32_t primary, const message::ScrubCommand& what, Epoch epoch);
    /// What was asked for so far is not asked for again.
    void forget_scrubs() { scrubs_.clear(); }
    /// All that was ordered has been answered.
    bool idle() const { return orders_.empty(); }

    void receive(const Entity& from, const MessagePtr& message) override;
    void reset(const Entity& peer) override;
    void wake() override;

    static constexpr Duration patience = std::chrono::seconds(4);

private:
    void ask();
    void ask_next_monitor();

    World& world_;
    size_t monitors_;
    std::deque<Command> orders_;
    std::vector<std::pair<int32_t, MessagePtr>> scrubs_; // by primary
    uint64_t number_ = 1;                                // of the first order
    int32_t monitor_ = 0;                                // whom to ask
    MonotonicTime asked_{};                              // last
};

} // namespace cloudlet::rados::sim
