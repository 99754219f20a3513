// The slots that making copies whole takes: our own OSD's, and one of each OSD that is written to.
// Whoever waits holds what it has got so far, so all ask in the same order. A higher priority takes
// a slot from a lower one, which then gives back all it has and begins another round.

#include <algorithm>

#include <fmt/format.h>

#include "cloudlet/rados/health.h"
#include "cloudlet/rados/planted_bug.h"
#include "pg/placement_group.h"

namespace cloudlet::rados {

namespace {

// Ceph's priorities: what a PG asks with by its need, which a pool may shift by ten, but not into
// the range of another need.
constexpr int most_shift = 10;       // OSD_POOL_PRIORITY_MAX
constexpr int recovery_priority = 3; // the pool option's number
struct Need {
    int base, most;
};
constexpr Need not_serving = {220, 253}, recovers = {180, 219}, too_few_copies = {140, 179},
               misplaced = {100, 139};

} // namespace

uint8_t PlacementGroup::slot_priority() const {
    const size_t count = view_.acting_count();
    Need need = misplaced;
    size_t more = 0;
    if (now_.work == PgWork::recovery_wait) {
        const auto whole = static_cast<size_t>(copy_.record.missing.empty()) +
                           static_cast<size_t>(std::ranges::count_if(now_.peers, [](auto& peer) {
                               return !peer.second.fill && peer.second.missing.empty();
                           }));
        need = whole < view_.min_size ? not_serving : recovers;
    } else if (count < view_.min_size) {
        need = not_serving;
        more = view_.min_size - count;
    } else if (count < view_.size) {
        need = too_few_copies;
        more = view_.size - count;
    }
    int64_t shift = 0;
    if (const Pool* pool = host_.map()->map().pool(pg_.pool)) {
        auto option = pool->options.values.find(recovery_priority);
        const int64_t* set =
            option == pool->options.values.end() ? nullptr : std::get_if<int64_t>(&option->second);
        if (set) shift = std::clamp<int64_t>(*set, -most_shift, most_shift);
    }
    const int64_t wanted = need.base + static_cast<int64_t>(more) + shift;
    return static_cast<uint8_t>(std::clamp<int64_t>(wanted, 0, need.most));
}

std::set<int32_t> PlacementGroup::slot_holders() const {
    std::set<int32_t> holders = {host_.number()};
    const bool recovery = now_.work == PgWork::recovery_wait;
    for (const auto& [osd, peer] : now_.peers)
        if (recovery ? !peer.missing.empty() : !peer.last_backfill.complete()) holders.insert(osd);
    return holders;
}

void PlacementGroup::ask_slots() {
    repair().slots_wanted = slot_holders();
    repair().round = ++now_.questions;
    ask_next_slot();
}

message::Reserve PlacementGroup::reserve(message::Reserve::Step step) const {
    return {.pg = pg_,
            .step = step,
            .backfill = now_.work == PgWork::backfill_wait,
            .round = now_.repair->round};
}

/// Our own slot first, then the others' in ascending order: everybody does, so nobody waits in a
/// circle.
void PlacementGroup::ask_next_slot() {
    const bool recovery = now_.work == PgWork::recovery_wait;
    if (!recovery && now_.work != PgWork::backfill_wait) return;
    if (!repair().slots_held.contains(host_.number()))
        return host_.ask_slot(pg_, host_.number(), slot_priority());
    for (int32_t osd : repair().slots_wanted) {
        if (repair().slots_held.contains(osd)) continue;
        message::Reserve ask = reserve(message::Reserve::Step::ask);
        ask.priority = slot_priority();
        return host_.send(osd, ask);
    }
    go(recovery ? PgWork::recovering : PgWork::backfilling, PgEvent::reserved);
    if (recovery) return consider();
    start_backfill();
}

void PlacementGroup::slot_granted(int32_t for_osd) {
    if (for_osd == host_.number()) {
        if (!repair().slots_wanted.contains(for_osd)) return host_.give_back_slot(pg_, for_osd);
        if (repair().slots_held.insert(for_osd).second) ask_next_slot();
        return;
    }
    auto given = now_.slots_given->find(for_osd);
    if (given == now_.slots_given->end()) return host_.give_back_slot(pg_, for_osd);
    message::Reserve answer = given->second;
    answer.step = message::Reserve::Step::granted;
    host_.send(for_osd, answer);
}

/// A higher priority has it now.
void PlacementGroup::slot_lost(int32_t for_osd) {
    if (for_osd == host_.number()) {
        if (planted(PlantedBug::ignore_preemption)) return;
        if (now_.repair && repair().slots_wanted.contains(for_osd)) preempted(for_osd);
        return;
    }
    auto given = now_.slots_given->find(for_osd);
    if (given == now_.slots_given->end()) return;
    message::Reserve news = given->second;
    news.step = message::Reserve::Step::preempted;
    forget_given(for_osd);
    host_.send(for_osd, news);
}

void PlacementGroup::forget_given(int32_t to) {
    now_.slots_given.edit().erase(to);
    if (now_.slots_given->empty()) now_.slots_given.reset();
}

void PlacementGroup::take_reserve(int32_t from, const message::Reserve& reserve) {
    using Step = message::Reserve::Step;
    auto answer = [&](Step step) {
        message::Reserve back = reserve;
        back.step = step;
        host_.send(from, back);
    };
    const bool present =
        now_.repair && repair().round == reserve.round && repair().slots_wanted.contains(from);
    switch (reserve.step) {
    case Step::ask: {
        if (from != view_.acting.primary) return;
        if (too_full(reserve.backfill ? PgWork::backfilling : PgWork::recovering))
            return answer(Step::too_full);
        now_.slots_given.edit()[from] = reserve;
        return host_.ask_slot(pg_, from, reserve.priority);
    }
    case Step::release: {
        auto given = now_.slots_given->find(from);
        if (given == now_.slots_given->end() || given->second.round != reserve.round) return;
        forget_given(from);
        return host_.give_back_slot(pg_, from);
    }
    case Step::granted:
        if (!present) return answer(Step::release);
        if (repair().slots_held.insert(from).second) ask_next_slot();
        return;
    case Step::too_full:
        if (present) refused(from);
        return;
    case Step::preempted:
        if (present) preempted(from);
        return;
    }
}

void PlacementGroup::give_back_slots() {
    for (int32_t osd : repair().slots_wanted) {
        if (osd == host_.number())
            host_.give_back_slot(pg_, osd);
        else
            host_.send(osd, reserve(message::Reserve::Step::release));
    }
    repair().slots_wanted.clear();
    repair().slots_held.clear();
}

void PlacementGroup::preempted(int32_t osd) {
    if (tells()) tell(fmt::format("a higher priority takes its slot at osd.{}", osd));
    give_back_slots();
    now_.backfill.reset();
    if (now_.work == PgWork::recovering) go(PgWork::recovery_wait, PgEvent::preempted);
    if (now_.work == PgWork::backfilling) go(PgWork::backfill_wait, PgEvent::preempted);
    ask_slots();
    kick_all(); // no batch holds them back now
}

/// What was here before may come back as long as the disk is not full; what is new to it stops
/// earlier.
bool PlacementGroup::too_full(PgWork work) const {
    const FullRatios ratios = full_ratios(host_.map()->map());
    return host_.fuller_than(work == PgWork::recovering ? ratios.full : ratios.backfillfull);
}

void PlacementGroup::refused(int32_t osd) {
    const bool recovery = now_.work == PgWork::recovery_wait || now_.work == PgWork::recovering;
    if (tells())
        tell(fmt::format("osd.{} is too full to be {}", osd, recovery ? "repaired" : "filled"));
    give_back_slots();
    now_.backfill.reset();
    go(recovery ? PgWork::recovery_too_full : PgWork::backfill_too_full, PgEvent::refused);
    host_.call_at(pg_, host_.world().now() + host_.options().retry_too_full);
    if (!recovery) kick_all(); // no batch holds them back now
}

} // namespace cloudlet::rados
