// Random lives of a PG of up to four copies: writes that reach some of them, restarts, intervals
// that end in the middle of anything, backfill, disks that are lost. A plain model, which keeps
// every entry ever made and every object on every disk, says what must be so after each peering.

#include <algorithm>
#include <optional>

#include "cloudlet/base/random.h"
#include "cloudlet/rados/pg_log.h"
#include "cloudlet/rados/pg_peering.h"
#include "test_seeds.h"

namespace cloudlet::rados {
namespace {

using Objects = std::map<PgObject, LogVersion>;

struct Copy {
    PgRecord record;
    Objects disk;
};

/// What was seen over all lives, so that a test that tests nothing is noticed.
struct Seen {
    int peerings = 0, divergent = 0, rolled_back = 0, missing = 0, backfills = 0, downs = 0;
    int acknowledged = 0, incomplete = 0, temporary = 0, clean = 0;
};

class Life {
public:
    Life(uint64_t seed, Seen& seen) : random_(seed), seen_(seen) {
        size_t count = 2 + random_.below(3);
        map_.resize_osds(static_cast<int32_t>(count));
        Pool pool;
        pool.set_pg_num(1, 1);
        pool.size = static_cast<uint8_t>(count);
        pool.min_size = static_cast<uint8_t>(1 + random_.below(count));
        map_.pools[1] = pool;
        map_.epoch = 1;
        copies_.resize(count);
        for (size_t osd = 0; osd < count; ++osd) {
            map_.osd_state[osd] = osd_exists | osd_up;
            map_.osd_info[osd].up_from = 1;
            make_disk(osd);
        }
        same_interval_since_ = 1;
        view_ = look({});
    }

    void run() {
        for (int step = 0; step < 40 && !testing::Test::HasFailure(); ++step) {
            interval();
            change_osds();
            next_epoch({});
        }
    }

private:
    static size_t at(int32_t osd) { return static_cast<size_t>(osd); }
    Copy& copy(int32_t osd) { return copies_[at(osd)]; }

    void make_disk(size_t osd) {
        copies_[osd] = {};
        copies_[osd].record.log = PgLog({.entries = 6, .answered = 1000});
        map_.osd_uuid[osd].bytes[0] = ++disks_made_;
        copies_[osd].record.info.disk = map_.osd_uuid[osd];
    }

    /// Copies that are up, in a random order; or the temporary acting set.
    PgView look(std::vector<int32_t> temporary) {
        std::vector<int32_t> up;
        for (int32_t osd = 0; osd < map_.max_osd(); ++osd)
            if (map_.is_up(osd)) up.push_back(osd);
        std::rotate(up.begin(), up.begin() + static_cast<long>(turn_ % (up.size() + !up.size())),
                    up.end());
        if (temporary.empty()) temporary = up;
        int32_t first = up.empty() ? no_osd : up[0];
        int32_t primary = temporary.empty() ? no_osd : temporary[0];
        return view_pg(map_, {1, 0}, {std::move(up), first}, {std::move(temporary), primary});
    }

    void next_epoch(const std::vector<int32_t>& temporary) {
        ++map_.epoch;
        for (size_t osd = 0; osd < copies_.size(); ++osd)
            if (came_up_.contains(osd)) map_.osd_info[osd].up_from = map_.epoch;
        came_up_.clear();
        PgView next = look(temporary);
        if (interval_change(view_, next)) {
            past_.add(close_interval(view_, same_interval_since_, before_changes_, clean_));
            same_interval_since_ = map_.epoch;
        }
        view_ = next;
    }

    /// Before the map of the next epoch: who goes, who comes, whose disk is new.
    void change_osds() {
        before_changes_ = map_;
        for (size_t osd = 0; osd < copies_.size(); ++osd) {
            bool up = map_.osd_state[osd] & osd_up;
            if (!random_.chance(up ? 0.3 : 0.5)) continue;
            map_.osd_state[osd] ^= osd_up;
            if (up) continue;
            came_up_.insert(osd);
            if (random_.chance(0.03)) make_disk(osd);
        }
        turn_ = random_.below(4);
    }

    /// Peers; then, as far as it goes, activates and serves until something ends it.
    void interval() {
        if (view_.acting.osds.empty()) return;
        std::optional<ActingChoice> choice = peer();
        if (!choice) return;
        if (choice->pg_temp) {
            ++seen_.temporary;
            before_changes_ = map_;
            auto wanted = *choice->pg_temp;
            next_epoch(wanted);
            choice = peer();
            if (!choice || choice->acting != view_.acting.osds) return;
        }
        if (random_.chance(0.1)) return;
        agree(*choice);
        if (testing::Test::HasFailure() || !activate(*choice)) return;
        for (uint64_t rounds = random_.below(3); rounds > 0; --rounds) {
            recover(*choice);
            if (view_.acting_count() >= view_.min_size && !serve(*choice)) return;
        }
    }

    std::optional<ActingChoice> peer() {
        PgInfos infos;
        Epoch started = 0;
        for (int32_t osd : view_.acting.osds)
            started = std::max(started, copy(osd).record.info.history.last_epoch_started);
        PriorSet prior = past_.prior_set(view_, map_, started);
        if (prior.down) {
            ++seen_.downs;
            return std::nullopt;
        }
        for (PgShard shard : prior.ask) infos[shard] = copy(shard.osd).record.info;
        ActingChoice choice = choose_acting(infos, view_);
        if (choice.incomplete) {
            ++seen_.incomplete;
            return std::nullopt;
        }
        ++seen_.peerings;
        return choice;
    }

    /// All entries that led to a head, by walking the model back.
    std::vector<LogEntry> chain(LogVersion head) const {
        std::vector<LogEntry> entries;
        for (; !head.none(); head = before_.at(head)) entries.push_back(made_.at(head));
        std::ranges::reverse(entries);
        return entries;
    }

    Objects objects(LogVersion head) const {
        Objects objects;
        for (const LogEntry& entry : chain(head)) {
            if (entry.is_remove())
                objects.erase(entry.object);
            else if (entry.changes_object())
                objects[entry.object] = entry.version;
        }
        return objects;
    }

    /// The primary follows the authority, the others follow it; the model checks them all.
    void agree(const ActingChoice& choice) {
        PgLog authority = copy(choice.authority.osd).record.log;
        for (LogVersion version : acknowledged_) {
            auto all = chain(authority.head());
            ASSERT_TRUE(std::ranges::any_of(all, [&](auto& e) { return e.version == version; }))
                << version.to_string() << " was acknowledged and is not in the log that ends with "
                << authority.head().to_string();
            const LogEntry& entry = made_.at(version);
            auto answer = authority.answer(entry.request);
            ASSERT_TRUE(answer) << version.to_string();
            ASSERT_EQ(answer->version, version);
            ASSERT_EQ(answer->result, entry.result);
        }
        for (int32_t osd : choice.acting) {
            auto foreseen = missing_of_peer(copy(osd).record, authority);
            ASSERT_TRUE(foreseen) << foreseen.error().to_string();
            adopt(osd, authority);
            ASSERT_EQ(*foreseen, copy(osd).record.missing);
        }
        for (PgShard shard : choice.backfill) {
            ++seen_.backfills;
            if (logs_meet(copy(shard.osd).record.log, authority)) {
                adopt(shard.osd, authority);
                continue;
            }
            copy(shard.osd).disk.clear();
            copy(shard.osd).record.start_backfill(authority);
        }
        for (int32_t osd : members(choice)) verify(osd, authority);
    }

    static std::vector<int32_t> members(const ActingChoice& choice) {
        std::vector<int32_t> all = choice.acting;
        for (PgShard shard : choice.backfill) all.push_back(shard.osd);
        return all;
    }

    void adopt(int32_t osd, const PgLog& authority) {
        Copy& mine = copy(osd);
        auto actions = mine.record.adopt(authority);
        ASSERT_TRUE(actions) << actions.error().to_string();
        seen_.divergent += static_cast<int>(actions->divergent.size());
        for (const LogEntry& entry : actions->roll_back) {
            ++seen_.rolled_back;
            if (entry.prior_version.none())
                mine.disk.erase(entry.object);
            else
                mine.disk[entry.object] = entry.prior_version;
        }
        for (const PgObject& object : actions->remove)
            ASSERT_EQ(mine.disk.erase(object), 1u) << "osd." << osd << " removes what is not there";
    }

    void verify(int32_t osd, const PgLog& authority) {
        const Copy& mine = copy(osd);
        ASSERT_EQ(mine.record.log.entries(), authority.entries()) << "osd." << osd;
        ASSERT_EQ(mine.record.log.tail(), authority.tail());
        ASSERT_EQ(mine.record.info.last_update, authority.head());
        Objects right = objects(authority.head());
        MissingSet missing;
        for (const auto& [object, version] : right) {
            if (!mine.record.info.last_backfill.covers(object)) continue;
            auto had = mine.disk.find(object);
            LogVersion have = had == mine.disk.end() ? LogVersion{} : had->second;
            if (have != version) missing.set(object, {version, have});
        }
        seen_.missing += static_cast<int>(missing.size());
        ASSERT_EQ(mine.record.missing, missing) << "osd." << osd;
        for (const auto& [object, version] : mine.disk)
            ASSERT_TRUE(right.contains(object)) << "osd." << osd << " keeps what was removed";
    }

    /// False when the interval ended before all had activated.
    bool activate(const ActingChoice& choice) {
        if (needs_up_thru(map_, choice.primary.osd, same_interval_since_)) {
            // The monitors' answer is a map of its own, in which nothing else changes.
            map_.osd_info[at(choice.primary.osd)].up_thru = map_.epoch;
            before_changes_ = map_;
            next_epoch(view_.acting.osds);
        }
        for (int32_t osd : members(choice)) {
            if (random_.chance(0.05)) return false;
            copy(osd).record.info.last_epoch_started = map_.epoch;
        }
        for (int32_t osd : members(choice))
            if (random_.chance(0.9)) copy(osd).record.info.history.last_epoch_started = map_.epoch;
        return true;
    }

    /// Whether a copy that is up has the object in the version.
    bool somewhere(const PgObject& object, LogVersion version) const {
        for (size_t osd = 0; osd < copies_.size(); ++osd) {
            auto found = copies_[osd].disk.find(object);
            bool has = found != copies_[osd].disk.end() && found->second == version;
            if (has && map_.is_up(static_cast<int32_t>(osd))) return true;
        }
        return false;
    }

    /// Some objects come, and backfill moves on; the primary's come first.
    void recover(const ActingChoice& choice) {
        for (int32_t osd : members(choice)) {
            Copy& mine = copy(osd);
            auto items = mine.record.missing.items();
            for (const auto& [object, item] : items) {
                if (random_.chance(0.4) || !somewhere(object, item.need)) continue;
                mine.disk[object] = item.need;
                mine.record.recovered(object, item.need);
            }
        }
        for (PgShard shard : choice.backfill) backfill(copy(shard.osd));
        bool clean =
            view_.acting_count() == view_.size && std::ranges::all_of(copies_, [](const Copy& c) {
                return c.record.missing.empty() && c.record.info.complete();
            });
        if (!clean) return;
        ++seen_.clean;
        clean_ = map_.epoch;
        past_.forget_before(clean_);
    }

    void backfill(Copy& target) {
        BackfillCursor& cursor = target.record.info.last_backfill;
        for (const auto& [object, version] : objects(target.record.log.head())) {
            if (cursor.covers(object)) continue;
            if (random_.chance(0.4) || !somewhere(object, version)) return;
            target.disk[object] = version;
            cursor = {BackfillCursor::Place::at, object};
        }
        if (random_.chance(0.5)) cursor = {};
    }

    LogEntry make_entry(const PgRecord& primary) {
        PgObject object{.hash = static_cast<uint32_t>(random_.below(6)), .name = "o"};
        Objects now = objects(primary.log.head());
        auto old = now.find(object);
        LogEntry entry{.object = object,
                       .version = {map_.epoch, primary.log.head().counter + 1},
                       .request = {1, 1, ++requests_},
                       .result = static_cast<int32_t>(random_.below(1000))};
        if (old != now.end()) entry.prior_version = old->second;
        if (random_.chance(0.1))
            entry.kind = LogEntry::Kind::error;
        else if (old != now.end() && random_.chance(0.25))
            entry.kind = LogEntry::Kind::remove;
        entry.rollback.possible = random_.chance(0.5);
        return entry;
    }

    /// Writes in order; from some moment on a member gets no more. False when one was cut off.
    bool serve(const ActingChoice& choice) {
        std::set<int32_t> cut;
        PgRecord ahead = copy(choice.primary.osd).record; // what the primary has in memory
        for (uint64_t writes = random_.below(6); writes > 0; --writes) {
            LogEntry entry = make_entry(ahead);
            if (ahead.missing.find(entry.object)) continue; // it waits for recovery
            made_[entry.version] = entry;
            before_[entry.version] = ahead.log.head();
            ahead.append(entry);
            for (int32_t osd : members(choice)) {
                if (random_.chance(0.08)) cut.insert(osd);
                if (!cut.contains(osd)) apply(copy(osd), entry);
            }
            if (!cut.empty()) continue;
            acknowledged_.push_back(entry.version);
            ++seen_.acknowledged;
            if (random_.chance(0.5)) trim(choice, entry.version);
        }
        return cut.empty();
    }

    static void apply(Copy& mine, const LogEntry& entry) {
        if (mine.record.takes_change_of(entry)) {
            if (entry.is_remove())
                mine.disk.erase(entry.object);
            else
                mine.disk[entry.object] = entry.version;
        }
        mine.record.append(entry);
    }

    void trim(const ActingChoice& choice, LogVersion committed) {
        LogVersion to = copy(choice.primary.osd).record.log.trim_target(committed);
        for (int32_t osd : members(choice)) copy(osd).record.trim(to);
    }

    Random random_;
    Seen& seen_;
    OsdMap map_, before_changes_;
    std::vector<Copy> copies_;
    PgView view_;
    PastIntervals past_;
    Epoch same_interval_since_ = 0, clean_ = 0;
    std::set<size_t> came_up_;
    uint64_t turn_ = 0, requests_ = 0;
    uint8_t disks_made_ = 0;
    std::map<LogVersion, LogEntry> made_;
    std::map<LogVersion, LogVersion> before_; // of an entry: the head when it was made
    std::vector<LogVersion> acknowledged_;
};

TEST(PgHistory, CopiesAgreeAfterAnyLifeAndNothingAcknowledgedIsLost) {
    Seen seen;
    uint64_t seed = first_seed();
    for (uint64_t left = seeds_to_run(400); left > 0 && !HasFailure(); --left, ++seed) {
        SCOPED_TRACE(fmt::format("CLOUDLET_SEED={} CLOUDLET_SEEDS=1", seed));
        Life(seed, seen).run();
    }
    if (HasFailure() || std::getenv("CLOUDLET_SEED")) return;
    EXPECT_GT(seen.peerings, 1000);
    EXPECT_GT(seen.acknowledged, 1000);
    EXPECT_GT(seen.divergent, 100);
    EXPECT_GT(seen.rolled_back, 20);
    EXPECT_GT(seen.missing, 100);
    EXPECT_GT(seen.backfills, 20);
    EXPECT_GT(seen.downs, 20);
    EXPECT_GT(seen.temporary, 20);
    EXPECT_GT(seen.clean, 100);
}

} // namespace
} // namespace cloudlet::rados
