#include "sim/operators.h"

namespace cloudlet::rados::sim {

void OperatorMachine::order(Command command) {
    orders_.push_back(std::move(command));
    if (orders_.size() == 1) ask();
}

void OperatorMachine::scrub(int32_t primary, const message::ScrubCommand& what, Epoch epoch) {
    scrubs_.emplace_back(primary, make_message(epoch, what));
    world_.send(Entity::osd(primary), scrubs_.back().second);
}

void OperatorMachine::receive(const Entity& from, const MessagePtr& message) {
    if (orders_.empty()) return;
    if (const auto* other = std::get_if<message::AskOther>(&message->body)) {
        if (other->leader < 0 || other->leader == from.number || from.number != monitor_) return;
        monitor_ = other->leader;
        ask();
    } else if (const auto* done = std::get_if<message::CommandDone>(&message->body)) {
        if (done->number != number_) return;
        ++number_;
        orders_.pop_front();
        if (!orders_.empty()) ask();
    }
}

void OperatorMachine::reset(const Entity& peer) {
    if (!orders_.empty() && peer == Entity::monitor(monitor_)) ask();
    for (const auto& [primary, command] : scrubs_)
        if (peer == Entity::osd(primary)) world_.send(peer, command);
}

void OperatorMachine::wake() {
    if (orders_.empty()) return;
    if (world_.now() - asked_ >= patience)
        ask_next_monitor();
    else
        world_.wake_at(asked_ + patience);
}

void OperatorMachine::ask() {
    asked_ = world_.now();
    world_.send(Entity::monitor(monitor_),
                make_message(0, message::DoCommand{number_, orders_.front()}));
    world_.wake_at(asked_ + patience);
}

void OperatorMachine::ask_next_monitor() {
    monitor_ = (monitor_ + 1) % static_cast<int32_t>(monitors_);
    ask();
}

} // namespace cloudlet::rados::sim
