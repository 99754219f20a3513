#pragma once
// One placement group in a test, without an OSD around it: what it sends, replies and wishes is
// recorded, its disk syncs and time passes when the test says so. The other copies are stand-ins
// that say what their record holds; the test decides when they answer, and may lie in their place.

#include <algorithm>
#include <cerrno>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "cloudlet/rados/memory_store.h"
#include "pg/placement_group.h"
#include "test_map.h"
#include "test_world.h"

namespace cloudlet::rados {

inline message::Reserve reserve_answer(message::Reserve asked, message::Reserve::Step step) {
    asked.step = step;
    return asked;
}

/// Another copy: what it would say, and the objects it would send.
struct TestPeer {
    PgRecord record = {};
    std::map<PgObject, message::Push> objects = {};
    std::map<int32_t, Duration> reads_left = {};
    std::vector<std::pair<PgObject, LogVersion>> listed = {}; // by a scan
    int32_t push_result = 0;
    bool too_full = false;
    bool refuses = false; // the log that it is told to serve by
};

class TestHost final : public PgHost, private StoreListener {
public:
    static constexpr PgId id{1, 0};

    /// Four OSDs on four hosts; PG 1.0 belongs on `up`.
    explicit TestHost(int32_t number = 0, std::vector<int32_t> up = {0, 1, 2}) : number_(number) {
        auto first = std::make_shared<OsdMap>(test_map(4, 1, 1, 3));
        first->pg_upmap[id] = std::move(up);
        map_ = cache_.first(first).value();
        (void)disk.submit(Transaction().create_collection({}), 0);
        for (int32_t osd = 0; osd < 4; ++osd) peers[osd].record.info.pg = id;
        pg = std::make_unique<PlacementGroup>(*this, id);
    }

    /// A new copy, in the interval that begins with the present map.
    void create(std::vector<PastInterval> past = {}) {
        PgHistory history{.epoch_created = 1};
        history.same_interval_since = map_->epoch();
        check(pg->create(*map_, history, past).has_value(), "a test's copy can be made");
        pg->settle();
    }
    /// The next epoch, with what `change` makes of it.
    void step(const std::function<void(OsdMapIncremental&)>& change) {
        enter(change);
        sync();
        pg->settle();
    }
    /// The same up to where the disk has not synced yet.
    void enter(const std::function<void(OsdMapIncremental&)>& change) {
        auto step = std::make_shared<OsdMapIncremental>();
        step->epoch = map_->epoch() + 1;
        change(*step);
        auto before = std::exchange(map_, cache_.next(map_, step).value());
        pg->advance(before, map_);
        pg->persist();
    }
    void flip_up(int32_t osd) {
        step([&](auto& s) { s.new_state[osd] = osd_up; });
    }
    void set_flags(uint32_t flags) {
        step([&](auto& s) { s.new_flags = static_cast<int32_t>(map_sortbitwise | flags); });
    }
    void change_pool(const std::function<void(Pool&)>& change) {
        step([&](auto& s) {
            s.new_pools[id.pool] = *map_->map().pool(id.pool);
            change(s.new_pools[id.pool]);
        });
    }
    void set_pool_priority(int64_t priority) {
        change_pool([&](Pool& pool) { pool.options.values[3] = priority; });
    }
    void set_pool_flags(uint64_t flags) {
        change_pool([&](Pool& pool) { pool.flags = flags; });
    }
    void record_up_thru() {
        step([&](auto& s) { s.new_up_thru[number_] = map_->epoch(); });
    }

    /// The disk syncs all that it was given, and what that leads to.
    void sync() {
        while (disk.pending() > 0) disk.sync();
    }
    /// One peer takes what was sent to it so far, and answers.
    void answer(int32_t osd) {
        std::vector<MessageBody> letters;
        std::erase_if(sent, [&](const auto& one) {
            if (one.first != osd) return false;
            letters.push_back(one.second);
            return true;
        });
        for (const MessageBody& letter : letters) take_letter(osd, letter);
    }
    /// Everybody who is up answers, and slots are given, until all is quiet.
    void settle_all() {
        for (bool busy = true; busy;) {
            sync();
            grant_slots();
            busy = false;
            for (int32_t osd = 0; osd < 4; ++osd) {
                if (!map_->map().is_up(osd) || osd == number_) continue;
                busy = busy ||
                       std::ranges::any_of(sent, [&](const auto& one) { return one.first == osd; });
                answer(osd);
            }
        }
    }
    void grant_slots() {
        for (; !slots_asked.empty(); slots_asked.pop_front()) {
            slots_held.insert(slots_asked.front());
            pg->slot_granted(slots_asked.front());
        }
    }
    /// Peers, up_thru and all: a primary serves afterwards, if it can.
    void serve() {
        settle_all();
        if (pg->stage() == PgStage::wait_up_thru) record_up_thru();
        settle_all();
    }
    void pass(Duration time) {
        world_.pass(time);
        if (timer_ > world_.now()) return;
        timer_ = MonotonicTime::max();
        pg->timer();
    }

    template <typename Body>
    std::vector<Body> take(int32_t osd) {
        std::vector<Body> taken;
        std::erase_if(sent, [&](const auto& one) {
            const Body* body = std::get_if<Body>(&one.second);
            if (one.first != osd || !body) return false;
            taken.push_back(*body);
            return true;
        });
        return taken;
    }
    /// A request of client.1, under its number.
    void ask(uint64_t number, const std::string& name, ObjectOps ops, uint8_t flags = 0,
             uint32_t attempt = 0) {
        message::ClientOp op{.request = {1, 1, number},
                             .pg = id,
                             .object = {.name = name},
                             .ops = std::move(ops),
                             .modified = {},
                             .flags = flags,
                             .attempt = attempt};
        pg->client_op({Entity::client(1), make_message(map_->epoch(), std::move(op))});
    }
    void write(uint64_t number, const std::string& name, const std::string& bytes = "x") {
        ask(number, name, {op::WriteFull{share(bytes)}});
    }
    void read(uint64_t number, const std::string& name) { ask(number, name, {op::Read{}}); }
    /// What clients were told since the last time: "1:0 abc" is request 1, result 0, what the first
    /// read gave.
    std::vector<std::string> told() {
        std::vector<std::string> lines;
        for (const message::ClientReply& reply : std::exchange(replies, {})) {
            lines.push_back(fmt::format("{}:{}", reply.request.number, reply.result));
            if (!reply.results.empty() && reply.result == 0)
                lines.back() += " " + reply.results[0].data;
        }
        return lines;
    }
    bool has(const std::string& name) const {
        const ObjectPlace place = pg->copy().place({.name = name});
        return disk.stat(place.collection, place.id).has_value();
    }
    std::string state() const { return pg->state().to_string(); }

    // PgHost
    int32_t number() const override { return number_; }
    const MapEpochPtr& map() const override { return map_; }
    bool is_up() const override { return true; }
    World& world() override { return world_; }
    ObjectStore& store() override { return disk; }
    const OsdOptions& options() const override { return settings; }
    void send(int32_t osd, MessageBody body) override { sent.emplace_back(osd, std::move(body)); }
    void send_to_all(const std::vector<int32_t>& osds, MessageBody body) override {
        for (int32_t osd : osds) send(osd, body);
    }
    void reply(const Entity&, message::ClientReply reply) override {
        replies.push_back(std::move(reply));
    }
    Result<void> submit(PgId, Transaction transaction, std::function<void()> then) override {
        TRY(disk.submit(transaction, ++token_));
        if (then) then_[token_] = {pg->interval(), std::move(then)};
        return {};
    }
    void call_at(PgId, MonotonicTime when) override { timer_ = std::min(timer_, when); }
    void want_temp(PgId, std::vector<int32_t> acting) override { temps.push_back(acting); }
    void forget_temp(PgId) override {}
    void want_up_thru(Epoch epoch) override { up_thru = epoch; }
    void report(PgId) override {}
    void ask_slot(PgId, int32_t osd, uint8_t priority) override {
        slots_asked.push_back(osd);
        slot_priorities.push_back(priority);
    }
    void give_back_slot(PgId, int32_t osd) override { slots_held.erase(osd); }
    bool take_scrub_slot(PgId) override {
        scrub_slot_held = scrub_slot_held || scrub_slot_free;
        return scrub_slot_held;
    }
    void give_back_scrub_slot(PgId) override { scrub_slot_held = false; }
    void scrub_begins(bool deep) override { ++(deep ? scrubs_begun.deep : scrubs_begun.shallow); }
    MonotonicTime answered_us(int32_t osd) const override {
        auto found = answered.find(osd);
        return found == answered.end() ? MonotonicTime{} : found->second;
    }
    Duration lets_read(int32_t) const override { return lets; }
    void confirm(int32_t osd) override { confirmed.insert(osd); }
    void remove(PgId) override { removed = true; }
    void stop(const Error& error) override { stopped = error.to_string(); }
    bool fuller_than(double ratio) const override { return used > ratio; }

    MemoryStore disk{*this};
    OsdOptions settings; // before the PG is made
    std::unique_ptr<PlacementGroup> pg;
    std::map<int32_t, TestPeer> peers;
    std::deque<std::pair<int32_t, MessageBody>> sent;
    std::vector<message::ClientReply> replies;
    std::vector<std::vector<int32_t>> temps;
    Epoch up_thru = 0; // wished
    std::deque<int32_t> slots_asked;
    std::vector<uint8_t> slot_priorities; // that were asked with
    std::set<int32_t> slots_held, confirmed;
    bool scrub_slot_free = true, scrub_slot_held = false;
    ScrubCounts scrubs_begun;
    std::map<int32_t, MonotonicTime> answered;
    Duration lets{0};
    double used = 0;
    bool removed = false;
    std::string stopped;

private:
    void committed(uint64_t token) override {
        auto found = then_.extract(token);
        if (found && found.mapped().first == pg->interval()) found.mapped().second();
    }
    void failed(const Error& error) override { stop(error); }

    void take_letter(int32_t osd, const MessageBody& letter) {
        using namespace message;
        TestPeer& peer = peers.at(osd);
        auto back = [&](MessageBody body) { pg->receive(osd, body); };
        if (auto* m = std::get_if<Query>(&letter)) {
            if (!m->record) return back(Notify{peer.record.info, {}, peer.reads_left});
            return back(FullRecord{peer.record.info, std::make_shared<PgLog>(peer.record.log),
                                   peer.record.missing});
        }
        if (auto* m = std::get_if<Activate>(&letter)) {
            if (peer.refuses && !m->from_nothing) {
                peer.record.info.damaged_until = pg->interval();
                peer.record.info.last_backfill = {BackfillCursor::Place::begin, {}};
                return back(Activated{id, true});
            }
            if (m->from_nothing)
                peer.record.start_backfill(*m->log);
            else
                check(peer.record.adopt(*m->log).has_value(), "a peer can follow the log");
            peer.record.info.last_epoch_started = m->info.last_epoch_started;
            return back(Activated{id});
        }
        if (auto* m = std::get_if<Learn>(&letter)) peer.record.info.history.learn(m->history);
        if (auto* m = std::get_if<Replicate>(&letter)) {
            peer.record.append(m->entry);
            return back(Replicated{id, m->entry.version});
        }
        if (auto* m = std::get_if<Pull>(&letter)) {
            auto found = peer.objects.find(m->object);
            if (found != peer.objects.end()) return back(found->second);
            return back(Push{.pg = id, .object = m->object, .result = -ENOENT, .answer = true});
        }
        if (auto* m = std::get_if<Push>(&letter)) {
            if (peer.push_result == 0) peer.record.recovered(m->object, m->version);
            return back(Pushed{id, m->object, m->version, peer.push_result});
        }
        if (auto* m = std::get_if<Scan>(&letter))
            return back(Scanned{id, m->from, m->to, peer.listed, m->number});
        if (auto* m = std::get_if<BackfillProgress>(&letter))
            peer.record.info.last_backfill = m->cursor;
        if (auto* m = std::get_if<Reserve>(&letter); m && m->step == Reserve::Step::ask)
            return back(reserve_answer(*m, peer.too_full ? Reserve::Step::too_full
                                                         : Reserve::Step::granted));
    }

    const int32_t number_;
    MapCache cache_;
    MapEpochPtr map_;
    TestWorld world_;
    uint64_t token_ = 0;
    std::map<uint64_t, std::pair<Epoch, std::function<void()>>> then_;
    MonotonicTime timer_ = MonotonicTime::max();
};

} // namespace cloudlet::rados
