#include "sim/history_search.h"

#include <algorithm>
#include <cerrno>

namespace cloudlet::rados::sim {

namespace {

uint64_t mark_of(size_t item) {
    uint64_t mark = (item + 1) * 0x9e3779b97f4a7c15u;
    mark = (mark ^ (mark >> 30)) * 0xbf58476d1ce4e5b9u;
    mark = (mark ^ (mark >> 27)) * 0x94d049bb133111ebu;
    return mark ^ (mark >> 31);
}

/// False when the list may leave a missing object alone, and so may have no place of its own among
/// the changes.
bool surely_changes(const ObjectOps& ops) {
    return std::any_of(ops.begin(), ops.end(), [](const ObjectOp& o) {
        return o.index() >= ObjectOp(op::Create()).index() &&
               !std::holds_alternative<op::Zero>(o) && !std::holds_alternative<op::Truncate>(o) &&
               !std::holds_alternative<op::RemoveXattr>(o);
    });
}

/// True when an answer that is no error tells the version of an object that is there.
bool tells_version(const ObjectOps& ops) {
    return std::any_of(ops.begin(), ops.end(), [](const ObjectOp& o) {
        return std::holds_alternative<op::AssertExists>(o) ||
               (o.index() >= ObjectOp(op::Read()).index() &&
                o.index() < ObjectOp(op::Create()).index());
    });
}

} // namespace

bool is_refusal(const message::ClientReply& reply, const CheckOptions& options) {
    const int32_t result = reply.result;
    return result == -ENOSPC || result == -EDQUOT || result == -EAGAIN || result == -ESHUTDOWN ||
           (result == -EIO && options.allow_io_errors);
}

HistorySearch::HistorySearch(const std::vector<const Call*>& calls, const CheckOptions& options)
    : calls_(calls), options_(options) {
    items_.reserve(calls.size());
    answered_.reserve(calls.size());
    trail_.reserve(calls.size());
    steps_.reserve(calls.size() + 1);
}

HistorySearch::Answer HistorySearch::run(uint64_t until,
                                         const std::function<bool(const ObjectState&)>& accept) {
    choose_items(until);
    begin_step({}, 0, 0);
    while (!steps_.empty()) {
        if (states_ > options_.most_states) return Answer::undecided;
        if (steps_.back().finished) {
            steps_.back().finished = false;
            if (accept(steps_.back().state)) return Answer::possible;
        }
        if (!try_next()) end_step();
    }
    return Answer::impossible;
}

void HistorySearch::choose_items(uint64_t until) {
    for (auto* list : {&answered_, &open_, &by_version_, &trail_, &choices_}) list->clear();
    items_.clear();
    steps_.clear();
    dead_ends_.clear();
    done_hash_ = states_ = 0;
    for (const Call* call : calls_) {
        if (call->begun >= until) break;
        const bool ended = call->ended < until;
        if (ended && is_refusal(call->reply, options_)) continue;
        const bool may_change = changes(call->ops) && (!ended || call->reply.result >= 0);
        if (!ended && !may_change) continue;
        const size_t place = items_.size();
        Item& item = items_.emplace_back(Item{.call = call, .mark = mark_of(place)});
        (ended ? answered_ : open_).push_back(place);
        if (ended) item.ended = call->ended;
        if (may_change) item.kind = ended ? Kind::change : Kind::open;
        item.ordered = item.kind == Kind::change && surely_changes(call->ops);
        if (item.ordered) by_version_.push_back(place);
    }
    std::stable_sort(by_version_.begin(), by_version_.end(), [&](size_t one, size_t other) {
        return items_[one].call->reply.user_version < items_[other].call->reply.user_version;
    });
    find_newest();
}

/// Versions only grow: an answer that is to have its place yet bounds them until then.
void HistorySearch::find_newest() {
    uint64_t least = never;
    for (size_t i = answered_.size(); i-- > 0;) {
        Item& item = items_[answered_[i]];
        const message::ClientReply& reply = item.call->reply;
        if (item.kind == Kind::look && reply.result >= 0 && tells_version(item.call->ops))
            item.newest = reply.user_version;
        if (item.ordered && reply.user_version > 0) item.newest = reply.user_version - 1;
        item.newest_later = least = std::min(least, item.newest);
    }
}

void HistorySearch::begin_step(ObjectState state, size_t first_answered, size_t next_change) {
    ++states_;
    Step& step = steps_.emplace_back(Step{.state = std::move(state),
                                          .first_answered = first_answered,
                                          .next_change = next_change,
                                          .trail = trail_.size(),
                                          .choices = choices_.size()});
    while (settle_looks(step)) {
    }
    if (is_dead_end(step)) return;
    find_choices(step);
}

void HistorySearch::place(size_t item) {
    items_[item].done = true;
    done_hash_ ^= items_[item].mark;
    trail_.push_back(item);
}

/// True when one was placed: others may have become possible.
bool HistorySearch::settle_looks(Step& step) {
    bool placed = false;
    uint64_t first_end = never;
    for (size_t i = step.first_answered; i < answered_.size(); ++i) {
        Item& item = items_[answered_[i]];
        if (item.done) {
            step.first_answered += i == step.first_answered ? 1 : 0;
            continue;
        }
        if (item.call->begun > first_end) break;
        if (item.kind == Kind::look &&
            carry_out(step.state, item.call->ops, item.call->reply).effect ==
                Outcome::Effect::none) {
            place(answered_[i]);
            placed = true;
            step.first_answered += i == step.first_answered ? 1 : 0;
            continue;
        }
        first_end = std::min(first_end, item.ended);
    }
    return placed;
}

void HistorySearch::find_choices(Step& step) {
    uint64_t first_end = never, newest = never;
    for (size_t i = step.first_answered; i < answered_.size(); ++i) {
        const Item& item = items_[answered_[i]];
        if (item.done) continue;
        if (item.call->begun > first_end) {
            newest = std::min(newest, item.newest_later);
            break;
        }
        first_end = std::min(first_end, item.ended);
        newest = std::min(newest, item.newest);
        if (item.kind == Kind::look && step.state.exact) continue; // it did not fit
        if (item.ordered && by_version_[step.next_change] != answered_[i]) continue;
        choices_.push_back(answered_[i]);
    }
    step.finished = step.first_answered == answered_.size();
    if (newest < step.state.version) choices_.resize(step.choices);
    if (newest <= step.state.version) return; // no room for another version
    for (size_t item : open_) {
        if (items_[item].call->begun > first_end) break;
        if (!items_[item].done) choices_.push_back(item);
    }
}

/// The mark of where we are is needed only once something has failed.
bool HistorySearch::is_dead_end(const Step& step) const {
    return !dead_ends_.empty() && dead_ends_.contains(done_hash_ ^ step.state.hash());
}

/// False when nothing is left to be tried here.
bool HistorySearch::try_next() {
    while (steps_.back().choices + steps_.back().tried < choices_.size()) {
        Step& step = steps_.back();
        const size_t choice = choices_[step.choices + step.tried++];
        const Item& item = items_[choice];
        Outcome next = item.kind == Kind::open
                           ? carry_out(step.state, item.call->ops)
                           : carry_out(step.state, item.call->ops, item.call->reply);
        const bool fits = next.effect != Outcome::Effect::wrong;
        if (!fits || (item.kind == Kind::open && next.effect == Outcome::Effect::none)) continue;
        if (next.effect == Outcome::Effect::none) next.state = step.state;
        const size_t first_answered = step.first_answered;
        const size_t next_change = step.next_change + (item.ordered ? 1 : 0);
        place(choice);
        begin_step(std::move(next.state), first_answered, next_change);
        return true;
    }
    return false;
}

void HistorySearch::end_step() {
    Step& step = steps_.back();
    dead_ends_.insert(done_hash_ ^ step.state.hash());
    // The choice that led here was placed just before this step's own.
    const size_t keep = steps_.size() > 1 ? step.trail - 1 : 0;
    for (; trail_.size() > keep; trail_.pop_back()) {
        items_[trail_.back()].done = false;
        done_hash_ ^= items_[trail_.back()].mark;
    }
    choices_.resize(step.choices);
    steps_.pop_back();
}

} // namespace cloudlet::rados::sim
