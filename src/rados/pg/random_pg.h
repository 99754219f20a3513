#pragma once
// Random values of placement groups for tests: every field set, small ranges, so that they meet.

#include <string>
#include <utility>
#include <vector>

#include "cloudlet/base/random.h"
#include "cloudlet/rados/pg_intervals.h"
#include "cloudlet/rados/pg_log.h"

namespace cloudlet::rados {

class RandomPg {
public:
    explicit RandomPg(Random& random) : random_(random) {}

    bool flag() { return random_.chance(0.5); }
    uint32_t number() { return static_cast<uint32_t>(random_.next()); }
    int32_t result() { return static_cast<int32_t>(random_.below(200)) - 100; }
    int32_t osd() {
        return random_.chance(0.1) ? osd_none : static_cast<int32_t>(random_.below(9));
    }
    Epoch epoch() { return static_cast<Epoch>(random_.below(1000)); }
    std::string text(size_t most = 12) {
        std::string made(random_.below(most + 1), '\0');
        for (char& c : made) c = static_cast<char>(random_.next());
        return made;
    }
    template <typename Make>
    auto list(Make make, size_t most = 4) {
        std::vector<decltype(make())> made;
        for (uint64_t n = random_.below(most + 1); n > 0; --n) made.push_back(make());
        return made;
    }

    Uuid uuid() {
        Uuid made;
        for (uint8_t& byte : made.bytes) byte = static_cast<uint8_t>(random_.next());
        return made;
    }
    PgId pg() { return {static_cast<PoolId>(random_.below(5)) - 1, number()}; }
    LogVersion version() { return {epoch(), random_.next() >> random_.below(64)}; }
    RequestId request() { return {random_.next(), number(), random_.next()}; }
    RequestAnswer answer() { return {version(), random_.next(), result()}; }
    Timestamp time() { return {number(), static_cast<uint32_t>(random_.below(1'000'000'000))}; }
    WallTime stamp() { return WallTime(Duration(static_cast<int64_t>(random_.next()))); }
    PgObject object() {
        return {number(), text(), text(4), text(4), flag() ? snap_head : random_.below(100)};
    }
    BackfillCursor cursor() {
        auto place = static_cast<BackfillCursor::Place>(random_.below(3));
        return {place, place == BackfillCursor::Place::at ? object() : PgObject{}};
    }
    LogEntry entry() { return entry_after({epoch(), random_.below(1000)}); }
    PgHistory history() {
        return {epoch(),  epoch(),  epoch(), epoch(), epoch(), epoch(), random_.next(),
                number(), number(), stamp(), stamp(), epoch(), epoch(), epoch()};
    }
    PgInfo info() {
        return {pg(),    version(), version(), version(), random_.next(), epoch(),
                epoch(), cursor(),  history(), uuid(),    epoch()};
    }
    MissingSet missing() {
        MissingSet made;
        for (uint64_t n = random_.below(4); n > 0; --n) made.set(object(), {version(), version()});
        return made;
    }
    OsdSet osds() {
        return {list([&] { return osd(); }), osd()};
    }
    std::vector<PastInterval> past() {
        std::vector<PastInterval> made;
        Epoch first = epoch();
        for (uint64_t n = random_.below(4); n > 0; --n) {
            Epoch last = first + static_cast<Epoch>(random_.below(5));
            made.push_back({first, last, osds(), osds(), {}, flag(), flag()});
            for (uint64_t disks = random_.below(3); disks > 0; --disks)
                made.back().disks[osd()] = uuid();
            first = last + 1 + static_cast<Epoch>(random_.below(3));
        }
        return made;
    }
    /// With a tail, entries and answers of trimmed ones.
    PgLog log() {
        PgLog made({.entries = 4, .answered = 3});
        made.reset({epoch(), random_.below(1000)});
        for (uint64_t n = random_.below(8); n > 0; --n) made.append(entry_after(made.head()));
        if (made.entries().size() > 4) made.trim(made.entries()[3].version);
        return made;
    }

private:
    LogEntry entry_after(LogVersion before) {
        return {.kind = static_cast<LogEntry::Kind>(1 + random_.below(5)),
                .object = object(),
                .version = {before.epoch + static_cast<Epoch>(random_.below(2)),
                            before.counter + 1 + random_.below(3)},
                .prior_version = flag() ? LogVersion{} : before,
                .request = request(),
                .user_version = random_.next(),
                .result = result(),
                .rollback = {static_cast<uint8_t>(random_.below(2)), text()}};
    }

    Random& random_;
};

} // namespace cloudlet::rados
