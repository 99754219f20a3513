#include "pg/pg_copy.h"

#include <gtest/gtest.h>

#include <algorithm>

#include <fmt/format.h>

#include "cloudlet/rados/memory_store.h"
#include "pg/object_id.h"
#include "test_seeds.h"

namespace cloudlet::rados {
namespace {

constexpr PgId pg{1, 5};
constexpr PgLogLimits limits{.entries = 4, .answered = 3};

struct Quiet final : StoreListener {
    void committed(uint64_t) override {}
    void failed(const Error&) override {}
};

struct Disk {
    Disk() {
        submit(Transaction().create_collection({}));
        submit([](PgCopy& fresh, Transaction& t) { ASSERT_TRUE(fresh.create(t)); });
        store.sync();
    }
    void submit(const Transaction& transaction) { ASSERT_TRUE(store.submit(transaction, 1)); }
    template <typename Change>
    void submit(Change change) {
        Transaction transaction;
        change(copy, transaction);
        submit(transaction);
    }
    PgCopy loaded() {
        PgCopy fresh(store, pg, limits);
        auto done = fresh.load();
        EXPECT_TRUE(done) << done.error().to_string();
        return fresh;
    }
    void put(const PgObject& object) {
        submit(Transaction().write(pg, to_object_id(object), 0, object.name));
        ++copy.objects;
    }

    Quiet quiet;
    MemoryStore store{quiet};
    PgCopy copy{store, pg, limits};
};

PgObject object(uint32_t number) { return {.hash = number, .name = fmt::format("o{}", number)}; }

LogEntry entry(const PgLog& log, const PgObject& of, LogEntry::Kind kind, Epoch epoch) {
    const LogEntry* before = log.newest(of);
    const LogVersion version{epoch, log.head().counter + 1};
    return {.kind = kind,
            .object = of,
            .version = version,
            .prior_version = before && !before->is_remove() ? before->version : LogVersion{},
            .request = {7, epoch, version.counter},
            .user_version = version.counter,
            .result = kind == LogEntry::Kind::error ? -5 : 0};
}

/// All that a record says, as text.
std::string picture(const PgCopy& copy) {
    const PgInfo& info = copy.record.info;
    std::string text = fmt::format("e{} {} objects, {} user {} complete {} past {} log {}",
                                   copy.epoch, copy.objects, info.last_update.to_string(),
                                   info.last_user_version, info.last_complete.to_string(),
                                   copy.past.intervals().size(), info.log_tail.to_string());
    for (const LogEntry& one : copy.record.log.entries())
        text += fmt::format(" {}:{}:{}", one.version.to_string(), static_cast<int>(one.kind),
                            one.object.name);
    for (const auto& [request, answer] : copy.record.log.answered())
        text += fmt::format(" {}={}", request.to_string(), answer.version.to_string());
    for (const auto& [of, item] : copy.record.missing.items())
        text += fmt::format(" lacks {} {} has {}", of.name, item.need.to_string(),
                            item.have.to_string());
    return text;
}

/// What PGs do to their copies, by dice; a picture after each change.
class RandomLife {
public:
    explicit RandomLife(uint64_t seed) : random(seed) {}

    void step() {
        disk.submit([this](PgCopy& copy, Transaction& t) { change(copy, t); });
        pictures.push_back(picture(disk.copy));
    }

    Random random;
    Disk disk;
    std::vector<std::string> pictures;

private:
    void change(PgCopy& copy, Transaction& t) {
        const PgObject of = object(static_cast<uint32_t>(random.below(6)));
        const LogEntry* newest = copy.record.log.newest(of);
        switch (random.below(10)) {
        case 0: ++copy.epoch; return copy.save_info(t);
        case 1:
            copy.past.add({.first = 2 * copy.epoch, .last = 2 * copy.epoch + 1});
            ++copy.epoch;
            return copy.save_all(t);
        case 2:
            if (newest && !newest->is_remove()) copy.set_missing(t, of, {newest->version, {}});
            return;
        case 3: return recover(copy, t);
        case 4: return adopt(copy, t);
        default: return append(copy, t, of);
        }
    }
    void append(PgCopy& copy, Transaction& t, const PgObject& of) {
        const auto kind = static_cast<LogEntry::Kind>(1 + random.below(3));
        const LogEntry made = entry(copy.record.log, of, kind, interval_);
        const ObjectPlace where = copy.place(of);
        const bool there = where.store.stat(where.collection, where.id).has_value();
        if (copy.record.takes_change_of(made)) {
            if (!made.is_remove()) t.write(where.collection, where.id, 0, "x");
            if (made.is_remove() && there) t.add(where.collection, where.id, change::Remove{});
            copy.objects += static_cast<uint64_t>(!made.is_remove());
            copy.objects -= static_cast<uint64_t>(there);
        }
        const PgLog& log = copy.record.log;
        copy.append(t, made, random.chance(0.2) ? log.trim_target(log.head()) : LogVersion{});
    }
    void recover(PgCopy& copy, Transaction& t) {
        if (copy.record.missing.empty()) return;
        const auto [of, item] = *copy.record.missing.items().begin();
        const change::Replace whole{.data = share("whole"), .xattrs = {}, .omap = {}};
        copy.recovered(t, of, item.need, random.chance(0.7) ? &whole : nullptr);
    }
    void adopt(PgCopy& copy, Transaction& t) {
        PgLog authority = copy.record.log;
        if (!authority.entries().empty())
            authority.rewind(authority.entries()[random.below(authority.entries().size())].version);
        ++interval_; // versions never come twice
        for (uint64_t left = random.below(3); left > 0; --left)
            authority.append(entry(authority, object(static_cast<uint32_t>(random.below(6))),
                                   LogEntry::Kind::modify, interval_));
        EXPECT_TRUE(copy.adopt(t, authority));
    }

    Epoch interval_ = 9;
};

TEST(PgCopy, is_loaded_as_it_was_saved_whatever_was_done_to_it) {
    uint64_t seed = first_seed();
    for (uint64_t left = seeds_to_run(40); left > 0 && !testing::Test::HasFailure();
         --left, ++seed) {
        SCOPED_TRACE(fmt::format("CLOUDLET_SEED={}", seed));
        RandomLife life(seed);
        for (int i = 0; i < 60 && !testing::Test::HasFailure(); ++i) {
            life.step();
            ASSERT_EQ(picture(life.disk.loaded()), picture(life.disk.copy)) << "step " << i;
        }
    }
}

TEST(PgCopy, loses_only_its_newest_changes_in_a_crash) {
    uint64_t seed = first_seed();
    for (uint64_t left = seeds_to_run(40); left > 0 && !testing::Test::HasFailure();
         --left, ++seed) {
        SCOPED_TRACE(fmt::format("CLOUDLET_SEED={}", seed));
        RandomLife life(seed);
        for (int i = 0; i < 20; ++i) life.step();
        life.disk.store.sync();
        const size_t safe = life.pictures.size();
        for (int i = 0; i < 20; ++i) life.step();
        const CrashReport crash = life.disk.store.crash(life.random);
        EXPECT_EQ(picture(life.disk.loaded()), life.pictures[safe + crash.kept - 1]);
    }
}

TEST(PgCopy, answers_for_requests_whose_entries_were_trimmed_after_a_restart) {
    Disk disk;
    auto add = [&](LogVersion trim_to) {
        disk.submit([&](PgCopy& copy, Transaction& t) {
            copy.append(t, entry(copy.record.log, object(1), LogEntry::Kind::modify, 9), trim_to);
        });
    };
    for (int i = 0; i < 6; ++i) add({});
    add({9, 5});
    const PgCopy fresh = disk.loaded();
    EXPECT_EQ(fresh.record.log.tail(), (LogVersion{9, 5}));
    EXPECT_EQ(fresh.record.log.answer({7, 9, 5}), (RequestAnswer{{9, 5}, 5, 0}));
    EXPECT_FALSE(fresh.record.log.answer({7, 9, 1})) << "only so many";
    EXPECT_EQ(fresh.record.log.answered().size(), limits.answered);
}

TEST(PgCopy, still_lacks_an_object_after_a_refused_request_for_it) {
    Disk disk;
    disk.submit([](PgCopy& copy, Transaction& t) {
        copy.append(t, entry(copy.record.log, object(1), LogEntry::Kind::modify, 9), {});
        copy.set_missing(t, object(1), {{9, 1}, {}});
    });
    disk.submit([](PgCopy& copy, Transaction& t) {
        copy.append(t, entry(copy.record.log, object(1), LogEntry::Kind::error, 9), {});
    });
    EXPECT_TRUE(disk.loaded().record.missing.find(object(1)));
}

TEST(PgCopy, is_found_on_its_disk_among_the_osds_other_records) {
    Disk disk;
    disk.submit(Transaction().write({}, {0, "osd"}, 0, "x"));
    for (uint32_t seed = 100; seed < 1100; ++seed)
        disk.submit(Transaction().write({}, {0, "pg " + PgId{2, seed}.to_string()}, 0, "x"));
    auto found = PgCopy::find_all(disk.store);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->size(), 1001u) << "more than one page";
    EXPECT_TRUE(std::ranges::count(*found, pg));
    Quiet quiet;
    EXPECT_TRUE(PgCopy::find_all(MemoryStore(quiet)).value().empty()) << "a new disk";
}

TEST(PgCopy, is_refused_when_its_record_is_damaged) {
    Disk disk;
    Random random(3);
    const ObjectId record{0, "pg " + pg.to_string()};
    ASSERT_TRUE(disk.store.damage({{}, record, ObjectPart::omap}, random));
    EXPECT_EQ(PgCopy(disk.store, pg, limits).load().error().code, Code::io);
    disk.submit([](PgCopy& copy, Transaction& t) { copy.save_all(t); });
    disk.submit(Transaction().add({}, record, change::SetOmap{{{"z", "?"}}}));
    EXPECT_EQ(PgCopy(disk.store, pg, limits).load().error().code, Code::invalid);
}

TEST(PgCopy, is_refused_when_its_record_does_not_say_how_far_it_has_come) {
    Disk disk;
    disk.submit(Transaction().add({}, {0, "pg " + pg.to_string()}, change::RemoveOmapKeys{{"i"}}));
    EXPECT_EQ(PgCopy(disk.store, pg, limits).load().error().code, Code::invalid);
}

TEST(PgCopy, is_made_anew_beside_its_damaged_record_and_over_its_objects) {
    Disk disk;
    disk.put(object(1));
    const ObjectId record{0, "pg " + pg.to_string()}, aside{0, "damaged " + record.name};
    disk.submit(Transaction().add({}, record, change::SetOmap{{{"z", "?"}}}));
    PgCopy anew(disk.store, pg, limits);
    anew.record.info.damaged_until = 7;
    Transaction transaction;
    ASSERT_TRUE(anew.create(transaction));
    disk.submit(transaction);
    EXPECT_EQ(disk.store.omap_values({}, aside, {"z"}).value().size(), 1u);
    EXPECT_EQ(anew.objects, 1u);
    const PgCopy loaded = disk.loaded();
    EXPECT_EQ(loaded.record.info.damaged_until, 7u) << "as long as it was not filled";
    EXPECT_EQ(loaded.objects, 1u);
    EXPECT_EQ(PgCopy::find_all(disk.store).value(), std::vector<PgId>{pg});
}

TEST(PgCopy, lists_its_objects_behind_one_cursor_up_to_another) {
    using Place = BackfillCursor::Place;
    Disk disk;
    std::vector<PgObject> all;
    for (uint32_t number = 0; number < 8; ++number) all.push_back(object(number));
    std::ranges::sort(all);
    for (const PgObject& of : all) disk.put(of);
    auto list = [&](BackfillCursor from, BackfillCursor to, size_t limit = 99) {
        return disk.copy.list(from, to, limit).value();
    };
    auto part = [&](size_t from, size_t to) {
        return std::vector<PgObject>(all.begin() + static_cast<ptrdiff_t>(from),
                                     all.begin() + static_cast<ptrdiff_t>(to));
    };
    const BackfillCursor begin{Place::begin, {}}, end{}, second{Place::at, all[1]},
        fifth{Place::at, all[4]};
    EXPECT_EQ(list(begin, end), all);
    EXPECT_EQ(list(begin, end, 3), part(0, 3));
    EXPECT_EQ(list(second, fifth), part(2, 5));
    EXPECT_EQ(list(second, end, 2), part(2, 4));
    EXPECT_EQ(list(begin, second), part(0, 2));
    EXPECT_TRUE(list(end, end).empty());
    EXPECT_TRUE(list(begin, begin).empty());
    EXPECT_TRUE(list(fifth, second).empty());
}

TEST(PgCopy, counts_objects_that_recovery_brings_and_takes) {
    Disk disk;
    const change::Replace whole{.data = share("w"), .xattrs = {}, .omap = {}};
    auto recovered = [&](const change::Replace* content) {
        disk.submit([&](PgCopy& copy, Transaction& t) {
            copy.recovered(t, object(1), {9, 1}, content);
        });
        EXPECT_EQ(disk.copy.objects, disk.loaded().objects);
        return disk.copy.objects;
    };
    EXPECT_EQ(recovered(nullptr), 0u);
    EXPECT_EQ(recovered(&whole), 1u);
    EXPECT_EQ(recovered(&whole), 1u);
    EXPECT_EQ(recovered(nullptr), 0u);
}

TEST(PgCopy, is_removed_step_by_step_and_goes_on_after_a_crash_in_between) {
    for (size_t survive = 0; survive <= 4; ++survive) {
        Disk disk;
        for (uint32_t number = 0; number < 700; ++number) disk.put(object(number));
        disk.store.sync();
        auto steps = disk.copy.removal();
        ASSERT_TRUE(steps);
        ASSERT_EQ(steps->size(), 3u) << "the mark, and two pages";
        for (const Transaction& step : *steps) disk.submit(step);
        disk.store.sync(std::min<size_t>(survive, steps->size()));
        Random random(1);
        disk.store.crash(random, 0);
        const bool gone = survive >= steps->size();
        EXPECT_EQ(PgCopy::find_all(disk.store)->size(), gone ? 0u : 1u);
        if (gone) continue;
        PgCopy found = disk.loaded();
        EXPECT_EQ(found.being_removed, survive > 0) << survive;
        steps = found.removal();
        for (const Transaction& step : *steps) disk.submit(step);
        EXPECT_TRUE(PgCopy::find_all(disk.store)->empty());
        EXPECT_EQ(disk.store.collections()->size(), 1u) << "only the OSD's own is left";
    }
}

} // namespace
} // namespace cloudlet::rados
