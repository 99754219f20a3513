// A PG follows the map: intervals end and begin.

#include <algorithm>

#include <fmt/format.h>

#include "cloudlet/base/check.h"
#include "cloudlet/rados/planted_bug.h"
#include "pg/placement_group.h"

namespace cloudlet::rados {

PlacementGroup::PlacementGroup(PgHost& host, PgId pg)
    : host_(host), pg_(pg), copy_(host.store(), pg, host.options().log) {}

bool PlacementGroup::is_member() const {
    auto holds = [&](const OsdSet& set) {
        return std::ranges::find(set.osds, host_.number()) != set.osds.end();
    };
    return holds(view_.up) || holds(view_.acting);
}

void PlacementGroup::begin_at(const MapEpoch& map) {
    view_ = map.view(pg_);
    copy_.epoch = map.epoch();
    now_.flushed = true;
}

Result<void> PlacementGroup::create(const MapEpoch& map, const PgHistory& history,
                                    const std::vector<PastInterval>& past) {
    begin_at(map);
    copy_.record.info.history = history;
    for (const PastInterval& interval : past) copy_.past.add(interval);
    Transaction transaction;
    TRY(copy_.create(transaction));
    return host_.submit(pg_, std::move(transaction), {});
}

void PlacementGroup::advance(const MapEpochPtr& before, const MapEpochPtr& after) {
    if (after->epoch() <= copy_.epoch) {
        // The record was on disk before the OSD's own epoch was.
        if (after->epoch() == copy_.epoch) begin_at(*after);
        return;
    }
    PgView view = after->view(pg_);
    const bool skipped = before->epoch() < copy_.epoch;
    auto why = skipped ? std::nullopt : interval_change(view_, view);
    if (why) {
        PgHistory& history = copy_.record.info.history;
        start_interval(*why, *before);
        if (view_.up != view.up) history.same_up_since = view.epoch;
        if (view_.acting.primary != view.acting.primary) history.same_primary_since = view.epoch;
        history.same_interval_since = view.epoch;
        copy_.epoch = view.epoch;
        dirty_ = true;
    }
    view_ = std::move(view);
}

void PlacementGroup::start_interval(IntervalChange why, const MapEpoch& last) {
    const PgHistory& history = copy_.record.info.history;
    if (tells()) tell(fmt::format("a new interval: {}", name_of(why)));
    if (!view_.acting.osds.empty())
        copy_.past.add(close_interval(view_, history.same_interval_since, last.map(),
                                      history.last_epoch_clean));
    retire();
    go(PgStage::reset, PgEvent::new_interval);
    if (now_.work != PgWork::none) go(PgWork::none, PgEvent::new_interval);
    now_ = {};
}

void PlacementGroup::retire() {
    host_.give_back_scrub_slot(pg_);
    if (planted(PlantedBug::leak_reservation)) return;
    if (now_.repair && now_.repair->slots_wanted.contains(host_.number()))
        host_.give_back_slot(pg_, host_.number());
    for (const auto& [osd, asked] : *now_.slots_given) host_.give_back_slot(pg_, osd);
    now_.slots_given.reset();
}

/// Others build on what this copy says of itself, so it must not forget it in a crash: in a new
/// interval it says nothing before all that it had submitted is on disk.
void PlacementGroup::persist() {
    if (dirty_) save([this] { flushed(); });
}

void PlacementGroup::flushed() {
    if (std::exchange(now_.flushed, true) || !host_.is_up()) return;
    settle();
    if (now_.held->queries.empty()) return;
    const auto early = std::exchange(now_.held.edit().queries, {});
    if (now_.held->empty()) now_.held.reset();
    for (const auto& [from, query] : early) take_query(from, query);
}

void PlacementGroup::booted() {
    if (now_.stage == PgStage::waiting) notify_primary();
}

void PlacementGroup::settle() {
    if (now_.stage != PgStage::reset) return map_changed();
    if (!now_.flushed) return;
    if (is_primary()) {
        go(PgStage::get_info, PgEvent::is_primary);
        return start_peering();
    }
    go(PgStage::waiting, PgEvent::is_other);
    notify_primary();
}

void PlacementGroup::map_changed() {
    switch (now_.stage) {
    case PgStage::get_info:
    case PgStage::down:
    case PgStage::incomplete:
    case PgStage::wait_acting:
    case PgStage::get_log: return update_prior();
    case PgStage::wait_up_thru: return check_up_thru();
    case PgStage::active:
    case PgStage::peered: forget_lost_sources(); return consider();
    default: return;
    }
}

void PlacementGroup::peer_reset(int32_t osd) {
    if (!is_primary()) {
        if (osd == view_.acting.primary && now_.stage == PgStage::waiting) notify_primary();
        return;
    }
    switch (now_.stage) {
    case PgStage::get_info:
    case PgStage::down:
        if (now_.infos->contains(PgShard{osd}) || !now_.peering->asked.erase(osd)) return;
        return ask_infos();
    case PgStage::get_log:
        if (osd == now_.peering->choice.authority.osd) host_.send(osd, message::Query{pg_, true});
        return;
    case PgStage::get_missing:
        if (now_.peering->awaited.contains(osd)) host_.send(osd, message::Query{pg_, true});
        return;
    case PgStage::activating:
        if (now_.peering->awaited.contains(osd)) send_activate(osd);
        return;
    default: break;
    }
    // Copies that serve have been met in this interval; a former one may have been asked only now.
    if (!now_.repair) return;
    std::vector<PgObject> unanswered;
    for (const auto& [object, recovery] : repair().recoveries)
        if (recovery.pulling && recovery.source == osd) unanswered.push_back(object);
    for (const PgObject& object : unanswered) pull(object);
}

void PlacementGroup::notify_primary() {
    const int32_t primary = view_.acting.primary;
    if (primary == no_osd || primary == host_.number()) return;
    host_.send(primary, own_notify(primary));
}

message::Notify PlacementGroup::own_notify(int32_t to) const {
    message::Notify notify{.info = copy_.record.info, .past = copy_.past.intervals()};
    for (const PastInterval& interval : copy_.past.intervals()) {
        const int32_t reader = interval.acting.primary;
        if (reader == no_osd || reader == to || reader == host_.number()) continue;
        notify.reads_left[reader] = host_.lets_read(reader);
    }
    return notify;
}

template <typename State>
void PlacementGroup::take_way(State& now, State to, PgEvent why, PgMove::Table table) {
    auto row = find_transition(now, why, to);
    check(row.has_value(), "a placement group takes a way that its tables do not have");
    host_.world().moved({table, *row, static_cast<uint8_t>(now)});
    if (tells()) tell(fmt::format("{} -> {} ({})", name_of(now), name_of(to), name_of(why)));
    now = to;
    host_.report(pg_);
}

void PlacementGroup::go(PgStage stage, PgEvent why) {
    take_way(now_.stage, stage, why, PgMove::Table::stage);
}

void PlacementGroup::go(PgWork work, PgEvent why) {
    take_way(now_.work, work, why, PgMove::Table::work);
}

Epoch PlacementGroup::up_since(int32_t osd) const {
    const OsdMap& map = host_.map()->map();
    return map.is_up(osd) ? map.osd_info[static_cast<size_t>(osd)].up_from : 0;
}

void PlacementGroup::tell(std::string sentence) const {
    host_.world().tell(fmt::format("{} e{}: {}", pg_.to_string(), interval(), sentence));
}

void PlacementGroup::save(std::function<void()> then) {
    Transaction transaction;
    if (log_dirty_)
        copy_.save_all(transaction);
    else if (dirty_)
        copy_.save_info_and_past(transaction);
    else
        copy_.save_info(transaction);
    dirty_ = log_dirty_ = false;
    submit(std::move(transaction), std::move(then));
}

void PlacementGroup::submit(Transaction transaction, std::function<void()> then) {
    auto done = host_.submit(pg_, std::move(transaction), std::move(then));
    if (!done) host_.stop(done.error());
}

} // namespace cloudlet::rados
