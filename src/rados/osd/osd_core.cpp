#include "osd/osd_core.h"

#include <algorithm>

#include <fmt/format.h>

#include "pg/pg_copy.h"

namespace cloudlet::rados {

namespace {

const ObjectId superblock{0, "osd"};

/// "epoch" is the map up to which all PGs here have recorded their intervals.
Epoch parse_epoch(const std::string& text) {
    return static_cast<Epoch>(std::strtoul(text.c_str(), nullptr, 10));
}

} // namespace

OsdCore::OsdCore(int32_t number, Uuid disk, World& world, ObjectStore& store, MapCache& maps,
                 OsdOptions options)
    : number_(number), disk_(disk), world_(world), store_(store), maps_(maps),
      options_(std::move(options)), throttle_(options_.most_requests, options_.most_request_bytes),
      local_slots_(options_.most_backfills), remote_slots_(options_.most_backfills),
      nonce_(static_cast<uint32_t>(world.random().next())),
      heartbeats_({options_.heartbeat, options_.grace, options_.read_lease}, world.now()) {
    const auto first = world.random().below(options_.monitors.size());
    leader_ = map_monitor_ = options_.monitors[first];
}

void OsdCore::start() {
    load();
    subscribe();
    report_at_ = world_.now() + options_.report_every;
    beacon_at_ = world_.now();
    schedule();
}

void OsdCore::load() {
    auto entries = store_.omap({}, superblock, "", "", 16);
    if (!entries && entries.error().code == Code::not_found) {
        Transaction fresh;
        fresh.create_collection({});
        fresh.add({}, superblock,
                  change::SetOmap{{{"epoch", "0"},
                                   {"uuid", disk_.to_string()},
                                   {"whoami", fmt::format("{}", number_)}}});
        return submit_own(std::move(fresh));
    }
    if (!entries) return stop(entries.error());
    for (const auto& [key, value] : entries->entries)
        if (key == "epoch") saved_epoch_ = parse_epoch(value);
    auto pgs = PgCopy::find_all(store_);
    if (!pgs) return stop(pgs.error());
    for (PgId pg : *pgs) load_pg(pg);
}

void OsdCore::load_pg(PgId id) {
    auto pg = std::make_unique<PlacementGroup>(*this, id);
    auto loaded = pg->copy().load();
    if (!loaded) {
        set_aside_[id] = loaded.error().to_string();
        if (world_.listening())
            world_.tell(fmt::format("{}: set aside: {}", id.to_string(), set_aside_[id]));
        return;
    }
    const bool being_removed = pg->copy().being_removed;
    pgs_.emplace(id, std::move(pg));
    if (being_removed) remove_now(id);
}

/// What is said of a PG that is not here. Of one that is set aside it must not be said that there
/// is nothing: there was something, and whoever knows what must be waited for.
PgInfo OsdCore::info_of_none(PgId id) const {
    PgInfo info{.pg = id, .disk = disk_};
    if (!set_aside_.contains(id)) return info;
    // In this life it would have known.
    info.damaged_until = map()->map().osd_info[static_cast<size_t>(number_)].up_from - 1;
    info.last_backfill = {BackfillCursor::Place::begin, {}};
    return info;
}

void OsdCore::submit_own(Transaction transaction) {
    auto done = submit({-1, 0}, std::move(transaction), {});
    if (!done) stop(done.error());
}

void OsdCore::receive(const Entity& from, const MessagePtr& message) {
    if (stopped_) return;
    dispatch(from, message);
    finish_event();
}

void OsdCore::reset(const Entity& peer) {
    if (stopped_) return;
    known_epochs_.erase(peer);
    if (peer.is_osd() && booted_)
        for (auto& [id, pg] : pgs_) pg->peer_reset(peer.number);
    if (peer.is_monitor() && peer.number == map_monitor_) subscribe();
    if (peer.is_monitor() && peer.number == leader_) ask_other(leader_);
    finish_event();
}

void OsdCore::gone(const Entity& peer, MonotonicTime asked) {
    if (stopped_) return;
    if (peer.is_osd() && booted_ && heartbeats_.gone(peer.number, asked)) {
        if (world_.listening())
            world_.tell(fmt::format("hears that nobody is {} any more", peer.to_string()));
        accuse(peer.number, Duration(0), true);
        wish();
    }
    if (peer.is_monitor()) leave_monitor(peer.number);
    finish_event();
}

void OsdCore::wake() {
    if (stopped_) return;
    pings();
    run_timers();
    look_for_scrubs();
    monitor_timers();
    finish_event();
}

void OsdCore::committed(uint64_t token) {
    if (stopped_) return;
    while (!submitted_.empty() && submitted_.front().token <= token) {
        Submitted done = std::move(submitted_.front());
        submitted_.pop_front();
        if (!done.then) continue;
        PlacementGroup* pg = find(done.pg);
        if (pg && pg->interval() == done.interval) done.then();
    }
    finish_event();
}

void OsdCore::finish_event() {
    while (!to_remove_.empty()) {
        const PgId pg = *to_remove_.begin();
        to_remove_.erase(to_remove_.begin());
        remove_now(pg);
    }
    tell_slot_news();
    take_throttled_ops();
    update_peers();
    schedule();
}

void OsdCore::remove_now(PgId id) {
    auto pg = pgs_.find(id);
    if (pg == pgs_.end()) return;
    if (world_.listening()) world_.tell(fmt::format("{}: removed here", id.to_string()));
    auto steps = pg->second->copy().removal();
    if (!steps) return stop(steps.error());
    pg->second->retire();
    pgs_.erase(pg);
    unreported_.erase(id);
    wishes_.temps.erase(id);
    peers_changed_ = true;
    for (Transaction& step : *steps) submit_own(std::move(step));
}

PlacementGroup* OsdCore::find(PgId id) {
    auto found = pgs_.find(id);
    return found == pgs_.end() ? nullptr : found->second.get();
}

PlacementGroup* OsdCore::create(PgId id, const PgHistory& history,
                                const std::vector<PastInterval>& past) {
    auto made = std::make_unique<PlacementGroup>(*this, id);
    made->copy().record.info = info_of_none(id);
    auto done = made->create(*map(), history, past);
    if (!done) {
        stop(done.error());
        return nullptr;
    }
    PlacementGroup* pg = made.get();
    pgs_.emplace(id, std::move(made));
    set_aside_.erase(id);
    peers_changed_ = true;
    pg->settle();
    deliver_waiting_ops(*pg);
    return pg;
}

void OsdCore::run_timers() {
    const MonotonicTime now = world_.now();
    while (!timers_.empty() && timers_.begin()->first <= now) {
        const PgId id = timers_.begin()->second;
        timers_.erase(timers_.begin());
        if (PlacementGroup* pg = find(id); pg && booted_) pg->timer();
    }
}

void OsdCore::schedule() {
    if (stopped_) return;
    MonotonicTime next =
        std::min({wish_again_at_, subscribe_at_, wants_maps_at_, report_all_at_, beacon_at_});
    // Who is not up pings nobody, and must not be woken for it again and again.
    if (booted_) next = std::min({next, heartbeats_.deadline(), scrubs_at_});
    if (!unreported_.empty()) next = std::min(next, report_at_);
    if (!timers_.empty()) next = std::min(next, timers_.begin()->first);
    // A wake-up that was asked for earlier comes anyway, and asks for the next one.
    if (wakes_at_ > world_.now() && wakes_at_ <= next) return;
    wakes_at_ = next;
    world_.wake_at(next);
}

void OsdCore::send(int32_t osd, MessageBody body) {
    lead_on(osd);
    world_.send(Entity::osd(osd), make_message(epoch(), std::move(body)));
}

void OsdCore::send_to_all(const std::vector<int32_t>& osds, MessageBody body) {
    const MessagePtr message = make_message(epoch(), std::move(body));
    for (int32_t osd : osds) {
        lead_on(osd);
        world_.send(Entity::osd(osd), message);
    }
}

void OsdCore::reply(const Entity& client, message::ClientReply reply) {
    world_.send(client, make_message(epoch(), std::move(reply)));
}

Result<void> OsdCore::submit(PgId id, Transaction transaction, std::function<void()> then) {
    TRY(store_.submit(transaction, next_token_));
    const PlacementGroup* pg = then ? find(id) : nullptr;
    submitted_.push_back({next_token_++, id, pg ? pg->interval() : 0, std::move(then)});
    return {};
}

void OsdCore::call_at(PgId pg, MonotonicTime when) { timers_.emplace(when, pg); }

Slots& OsdCore::slots_for(int32_t osd) { return osd == number_ ? local_slots_ : remote_slots_; }

void OsdCore::ask_slot(PgId id, int32_t for_osd, uint8_t priority) {
    const Slots::Outcome outcome = slots_for(for_osd).ask({id, for_osd}, priority);
    if (outcome.preempted) slot_news_.push_back({*outcome.preempted, false});
    if (outcome.granted) slot_news_.push_back({{id, for_osd}, true});
}

void OsdCore::give_back_slot(PgId id, int32_t for_osd) {
    if (auto next = slots_for(for_osd).give_back({id, for_osd}))
        slot_news_.push_back({*next, true});
}

/// Not at once: a PG that gives back may do so while others have not entered the new map yet. What
/// is not true any more when its turn comes, is not told.
void OsdCore::tell_slot_news() {
    while (!slot_news_.empty()) {
        const SlotNews news = slot_news_.front();
        slot_news_.pop_front();
        const auto& [id, for_osd] = news.asker;
        const Slots& slots = slots_for(for_osd);
        const bool holds = slots.holds(news.asker);
        if (news.granted ? !holds : holds || slots.waits(news.asker)) continue;
        PlacementGroup* pg = find(id);
        if (pg && news.granted) pg->slot_granted(for_osd);
        if (pg && !news.granted) pg->slot_lost(for_osd);
        if (!pg) give_back_slot(id, for_osd);
    }
}

void OsdCore::stop(const Error& error) {
    if (world_.listening()) world_.tell(fmt::format("stops: {}", error.to_string()));
    stopped_ = true;
}

bool OsdCore::fuller_than(double ratio) const {
    auto space = store_.space();
    if (!space || space->capacity == 0) return false;
    return static_cast<double>(space->used) > ratio * static_cast<double>(space->capacity);
}

} // namespace cloudlet::rados
