#include "cloudlet/rados/pg_log.h"

#include <filesystem>
#include <fstream>

#include <fmt/format.h>

namespace cloudlet::rados {
namespace {

PgObject object(std::string name) {
    return {.hash = static_cast<uint32_t>(std::hash<std::string>{}(name)), .name = std::move(name)};
}

/// Entry `counter` of `epoch`; its request and answer are made from the counter.
LogEntry entry(Epoch epoch, uint64_t counter, const std::string& name, LogVersion prior = {}) {
    return {.object = object(name),
            .version = {epoch, counter},
            .prior_version = prior,
            .request = {4, 1, counter * 100 + epoch},
            .user_version = counter + 1000,
            .result = static_cast<int32_t>(counter)};
}

LogEntry removal(Epoch epoch, uint64_t counter, const std::string& name, LogVersion prior) {
    LogEntry made = entry(epoch, counter, name, prior);
    made.kind = LogEntry::Kind::remove;
    return made;
}

PgLog log_of(const std::vector<LogEntry>& entries, PgLogLimits limits = {}) {
    PgLog log(limits);
    for (const LogEntry& e : entries) log.append(e);
    return log;
}

PgRecord record_of(const std::vector<LogEntry>& entries) {
    PgRecord record;
    for (const LogEntry& e : entries) record.append(e);
    return record;
}

const LogEntry a1 = entry(5, 1, "a"), b2 = entry(5, 2, "b"), a3 = entry(5, 3, "a", {5, 1});

TEST(PgLog, FindsTheNewestEntryOfAnObject) {
    PgLog log = log_of({a1, b2, a3});
    EXPECT_EQ(log.newest(object("a"))->version, (LogVersion{5, 3}));
    EXPECT_EQ(log.newest(object("b"))->version, (LogVersion{5, 2}));
    EXPECT_EQ(log.newest(object("c")), nullptr);
    log.rewind({5, 2});
    EXPECT_EQ(log.newest(object("a"))->version, (LogVersion{5, 1}));
    log.trim({5, 1});
    EXPECT_EQ(log.newest(object("a")), nullptr);
}

TEST(PgLog, AnErrorChangesNoObjectButIsAnswered) {
    LogEntry error = entry(5, 3, "a", {5, 1});
    error.kind = LogEntry::Kind::error;
    error.result = -17;
    PgLog log = log_of({a1, b2, error});
    EXPECT_EQ(log.newest(object("a"))->version, (LogVersion{5, 1}));
    EXPECT_EQ(log.answer(error.request)->result, -17);
}

TEST(PgLog, ARequestSentAgainGetsItsFirstAnswerAlsoAfterItsEntryIsGone) {
    PgLog log = log_of({a1, b2, a3}, {.entries = 2, .answered = 2});
    log.trim({5, 1});
    RequestAnswer first{.version = {5, 1}, .user_version = 1001, .result = 1};
    EXPECT_EQ(log.answer(a1.request), first);
    log.trim({5, 3});
    EXPECT_EQ(log.answer(a1.request), std::nullopt) << "two are remembered, this is the third";
    EXPECT_EQ(log.answer(b2.request)->user_version, 1002u);
}

TEST(PgLog, ADivergentRequestIsNoLongerAnswered) {
    PgLog log = log_of({a1, b2});
    log.rewind({5, 1});
    EXPECT_EQ(log.answer(b2.request), std::nullopt) << "it never happened: it must be done again";
}

TEST(PgLog, TrimsToItsLimitButNotWhatACopyMayLack) {
    PgLog log = log_of({a1, b2, a3}, {.entries = 1, .answered = 10});
    EXPECT_EQ(log.trim_target({5, 3}), (LogVersion{5, 2}));
    EXPECT_EQ(log.trim_target({5, 1}), (LogVersion{5, 1}));
    EXPECT_EQ(log.trim_target({}), LogVersion{});
    EXPECT_EQ(log_of({a1}).trim_target({5, 1}), LogVersion{}) << "the limit is not reached";
}

TEST(PgLogAdopt, WhatTheCopyDoesNotHaveIsMissingFromWhatItHas) {
    PgRecord record = record_of({a1, b2});
    auto actions = record.adopt(log_of({a1, b2, a3, entry(6, 4, "c")}));
    ASSERT_TRUE(actions);
    EXPECT_TRUE(actions->divergent.empty());
    EXPECT_EQ(record.missing.size(), 2u);
    EXPECT_EQ(*record.missing.find(object("a")), (MissingSet::Item{{5, 3}, {5, 1}}));
    EXPECT_EQ(*record.missing.find(object("c")), (MissingSet::Item{{6, 4}, {}}));
    EXPECT_EQ(record.info.last_update, (LogVersion{6, 4}));
    EXPECT_EQ(record.info.last_complete, (LogVersion{5, 2}));
    record.recovered(object("a"), {5, 3});
    EXPECT_EQ(record.info.last_complete, (LogVersion{5, 3}));
    record.recovered(object("c"), {6, 4});
    EXPECT_EQ(record.info.last_complete, (LogVersion{6, 4}));
}

TEST(PgLogAdopt, AReplicatedCopyFetchesThePriorVersionOfWhatNeverHappened) {
    PgRecord record = record_of({a1, b2, a3});
    auto actions = record.adopt(log_of({a1, b2, entry(6, 3, "b", {5, 2})}));
    ASSERT_TRUE(actions);
    EXPECT_EQ(actions->common, (LogVersion{5, 2}));
    EXPECT_EQ(actions->divergent, std::vector{a3});
    EXPECT_EQ(actions->remove, std::vector{object("a")});
    EXPECT_EQ(*record.missing.find(object("a")), (MissingSet::Item{{5, 1}, {}}));
    EXPECT_EQ(*record.missing.find(object("b")), (MissingSet::Item{{6, 3}, {5, 2}}));
}

TEST(PgLogAdopt, AnObjectThatWasNeverMadeIsRemoved) {
    PgRecord record = record_of({a1, b2});
    auto actions = record.adopt(log_of({a1}));
    ASSERT_TRUE(actions);
    EXPECT_EQ(actions->remove, std::vector{object("b")});
    EXPECT_TRUE(record.missing.empty());
}

TEST(PgLogAdopt, AnEntryThatCanBeTakenBackIsAndNothingIsFetched) {
    LogEntry second = a3, third = entry(5, 4, "a", {5, 3});
    second.rollback = third.rollback = {1, std::string("undo")};
    PgRecord record = record_of({a1, b2, second, third});
    auto actions = record.adopt(log_of({a1, b2}));
    ASSERT_TRUE(actions);
    EXPECT_EQ(actions->roll_back, (std::vector{third, second}));
    EXPECT_TRUE(actions->remove.empty());
    EXPECT_TRUE(record.missing.empty());
}

TEST(PgLogAdopt, OneEntryThatCannotBeTakenBackMakesTheObjectMissing) {
    LogEntry second = a3, third = entry(5, 4, "a", {5, 3});
    third.rollback = {1, std::string("undo")};
    PgRecord record = record_of({a1, b2, second, third});
    auto actions = record.adopt(log_of({a1, b2}));
    ASSERT_TRUE(actions);
    EXPECT_TRUE(actions->roll_back.empty());
    EXPECT_EQ(actions->remove, std::vector{object("a")});
    EXPECT_EQ(*record.missing.find(object("a")), (MissingSet::Item{{5, 1}, {}}));
}

TEST(PgLogAdopt, ADivergentRemovalMakesTheObjectMissing) {
    PgRecord record = record_of({a1, b2, removal(5, 3, "a", {5, 1})});
    auto actions = record.adopt(log_of({a1, b2}));
    ASSERT_TRUE(actions);
    EXPECT_TRUE(actions->remove.empty()) << "it is not there";
    EXPECT_EQ(*record.missing.find(object("a")), (MissingSet::Item{{5, 1}, {}}));
}

TEST(PgLogAdopt, AnObjectThatWasMissingInADivergentVersionIsWholeInItsPriorOne) {
    PgRecord record = record_of({a1, b2});
    ASSERT_TRUE(record.adopt(log_of({a1, b2, a3})));
    ASSERT_TRUE(record.adopt(log_of({a1, b2, entry(7, 3, "c")})));
    EXPECT_EQ(record.missing.find(object("a")), nullptr);
    EXPECT_NE(record.missing.find(object("c")), nullptr);
}

TEST(PgLogAdopt, AMissingObjectWhoseOldDataNeverHappenedEitherIsRemoved) {
    PgRecord record = record_of({a1, b2, a3});
    record.missing.set(object("a"), {{5, 4}, {5, 3}});
    record.append(entry(5, 4, "a", {5, 3}));
    auto actions = record.adopt(log_of({a1, b2, entry(6, 5, "b", {5, 2})}));
    ASSERT_TRUE(actions);
    EXPECT_EQ(actions->remove, std::vector<PgObject>{object("a")});
    const auto* item = record.missing.find(object("a"));
    ASSERT_TRUE(item);
    EXPECT_EQ(*item, (MissingSet::Item{{5, 1}, {}}));
}

TEST(PgLogAdopt, WhatTheAuthorityRemovedIsRemovedAndNeedsNoData) {
    PgRecord record = record_of({a1, b2});
    PgLog authority = log_of({a1, b2, a3, removal(6, 4, "a", {5, 3})});
    auto actions = record.adopt(authority);
    ASSERT_TRUE(actions);
    EXPECT_EQ(actions->remove, std::vector{object("a")});
    EXPECT_TRUE(record.missing.empty());
}

TEST(PgLogAdopt, ObjectsBeyondTheBackfillCursorAreNeitherMissingNorRemoved) {
    PgRecord record = record_of({a1, b2});
    record.info.last_backfill = {BackfillCursor::Place::begin, {}};
    auto actions = record.adopt(log_of({a1, entry(6, 3, "c")}));
    ASSERT_TRUE(actions);
    EXPECT_TRUE(actions->remove.empty());
    EXPECT_TRUE(record.missing.empty());
    EXPECT_FALSE(record.takes_change_of(entry(6, 4, "c", {6, 3})));
}

TEST(PgLogAdopt, LogsWithoutASharedVersionNeedBackfill) {
    PgRecord record = record_of({a1});
    PgLog authority = log_of({a1, b2, a3});
    authority.trim({5, 2});
    PgRecord before = record;
    auto actions = record.adopt(authority);
    ASSERT_FALSE(actions);
    EXPECT_EQ(actions.error().code, Code::conflict);
    EXPECT_EQ(record.log, before.log);
    EXPECT_FALSE(logs_meet(record.log, authority));
    record.start_backfill(authority);
    EXPECT_EQ(record.log, authority);
    EXPECT_FALSE(record.info.complete());
}

TEST(PgLogAdopt, ADivergentHeadInsideTheAuthoritysRangeIsNoOverlap) {
    // The copy's 6'2 is newer than the authority's tail 5'2, but it never had 5'2.
    PgRecord record = record_of({a1, entry(6, 2, "c")});
    PgLog authority = log_of({a1, b2, entry(7, 3, "d")});
    authority.trim({5, 2});
    EXPECT_FALSE(record.adopt(authority));
}

TEST(PgLogAdopt, APrimaryKnowsWhatItsPeerWillLack) {
    PgRecord peer = record_of({a1, b2, a3});
    PgLog authority = log_of({a1, b2, entry(6, 3, "b", {5, 2})});
    auto told = missing_of_peer(peer, authority);
    ASSERT_TRUE(told);
    ASSERT_TRUE(peer.adopt(authority));
    EXPECT_EQ(*told, peer.missing);
}

TEST(PgLogAdopt, AnswersOfATrimmedPastOutliveAnAdoption) {
    PgRecord record = record_of({a1, b2});
    record.trim({5, 1});
    PgLog authority = log_of({a1, b2, a3}, {.entries = 10, .answered = 0});
    authority.trim({5, 2});
    ASSERT_TRUE(record.adopt(authority));
    EXPECT_TRUE(record.log.answer(a1.request)) << "the authority has forgotten it";
    EXPECT_TRUE(record.log.answer(b2.request));
    EXPECT_TRUE(record.log.answer(a3.request));
}

TEST(PgLogAppend, AChangeOfAMissingObjectIsOnlyNotedButARemovalIsMade) {
    PgRecord record = record_of({a1});
    ASSERT_TRUE(record.adopt(log_of({a1, entry(5, 2, "a", {5, 1})})));
    LogEntry next = entry(5, 3, "a", {5, 2});
    EXPECT_FALSE(record.takes_change_of(next));
    record.append(next);
    EXPECT_EQ(*record.missing.find(object("a")), (MissingSet::Item{{5, 3}, {5, 1}}));
    LogEntry last = removal(5, 4, "a", {5, 3});
    EXPECT_TRUE(record.takes_change_of(last));
    record.append(last);
    EXPECT_TRUE(record.missing.empty());
}

TEST(PgLogCodec, ALogReadsBackTheSame) {
    PgLog log = log_of({a1, b2, a3, removal(6, 4, "b", {5, 2})});
    log.trim({5, 1});
    auto again = decode_pg_log(encode_pg_log(log));
    ASSERT_TRUE(again) << again.error().to_string();
    EXPECT_EQ(*again, log);
    EXPECT_EQ(again->answer(a1.request), log.answer(a1.request));
}

TEST(PgLogCodec, EveryCutAndEveryExtraByteIsRefused) {
    std::string bytes = encode_pg_log(log_of({a1, b2}));
    for (size_t size = 0; size < bytes.size(); ++size)
        EXPECT_FALSE(decode_pg_log(std::string_view(bytes).substr(0, size))) << size;
    EXPECT_FALSE(decode_pg_log(bytes + "x"));
}

TEST(PgLogCodec, AnotherVersionIsRefused) {
    for (size_t place : {0, 1}) {
        std::string bytes = encode_pg_log(log_of({a1}));
        bytes[place] = 0;
        EXPECT_EQ(decode_pg_log(bytes).error().message,
                  fmt::format("PG log: a PG log of version {} for readers of {}, not 1 at offset 6",
                              place, 1 - place));
    }
}

TEST(PgLogCodec, VersionsThatDoNotAscendAreRefused) {
    LogEntry late = entry(7, 7, "c");
    std::string bytes = encode_pg_log(log_of({a1, late}));
    std::string from(8, '\0'), to(8, '\0');
    from[0] = 7;
    to[0] = 1; // the counter of an older entry, under a newer epoch
    size_t at = bytes.rfind(std::string({7, 0, 0, 0}) + from);
    ASSERT_NE(at, std::string::npos);
    bytes.replace(at + 4, 8, to);
    auto log = decode_pg_log(bytes);
    ASSERT_FALSE(log);
    EXPECT_EQ(log.error().to_string(), "PG log: entry 7'1 follows 5'1");
}

TEST(PgLogCodec, TheSeedsOfTheFuzzerAreLogs) {
    int files = 0;
    for (const auto& file : std::filesystem::directory_iterator(CLOUDLET_CORPUS "/pg_log")) {
        std::ifstream in(file.path(), std::ios::binary);
        std::string bytes(std::istreambuf_iterator<char>(in), {});
        size_t first =
            static_cast<uint8_t>(bytes[0]) + size_t{256} * static_cast<uint8_t>(bytes[1]);
        auto one = decode_pg_log(std::string_view(bytes).substr(2, first));
        auto other = decode_pg_log(std::string_view(bytes).substr(2 + first));
        EXPECT_TRUE(one && other) << file.path();
        ++files;
    }
    EXPECT_GE(files, 5);
}

TEST(PgObject, ChildrenOfASplitAreRunsOfTheOrder) {
    // pg_num 4: the children of hash & 3 == 1 are 1 and 5 of 8.
    std::set<PgObject> objects;
    for (uint32_t hash = 0; hash < 64; ++hash) objects.insert({.hash = hash, .name = "x"});
    int changes = 0;
    uint32_t last = 99;
    for (const PgObject& each : objects) {
        changes += (each.hash & 7) != last;
        last = each.hash & 7;
    }
    EXPECT_EQ(changes, 8);
}

} // namespace
} // namespace cloudlet::rados
