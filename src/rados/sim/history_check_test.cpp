#include "sim/history_check.h"

#include <cerrno>

#include <gmock/gmock.h>

#include "sim/random_history.h"
#include "test_seeds.h"

namespace cloudlet::rados::sim {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using namespace std::chrono_literals;

message::ClientReply wrote(uint64_t version) { return {.user_version = version}; }
message::ClientReply refused(int32_t result) { return {.result = result}; }
message::ClientReply saw(std::string data, uint64_t version) {
    return {.user_version = version, .results = {{.data = std::move(data)}}};
}
ObjectOps read() { return {op::Read{}}; }
ObjectOps write(std::string data) { return {op::WriteFull{share(std::move(data))}}; }
ObjectOps append(std::string data) { return {op::Append{share(std::move(data))}}; }

/// A history of one object, of which each event is a second after the last.
struct Told {
    size_t call(int32_t client, ObjectOps ops) {
        return history.called(client, ++number, "o", std::move(ops), now += 1s);
    }
    Told& end(size_t call, message::ClientReply reply) {
        history.returned(call, std::move(reply), now += 1s);
        return *this;
    }
    Told& did(int32_t client, ObjectOps ops, message::ClientReply reply) {
        return end(call(client, std::move(ops)), std::move(reply));
    }
    /// The story of what is wrong; "" when nothing is.
    std::string wrong(const CheckOptions& options = {}) const {
        auto found = check_history(history, options);
        return found ? found->story : "";
    }
    bool can_hold(const ObjectContent& content) const {
        return !check_final(history, "o", content).has_value();
    }

    History history;
    uint64_t number = 0;
    MonotonicTime now = {};
};

TEST(HistoryCheck, AcceptsWhatHappenedOneAfterTheOther) {
    Told told;
    told.did(1, read(), refused(-ENOENT)).did(1, write("a"), wrote(3)).did(2, read(), saw("a", 3));
    told.did(2, append("b"), wrote(4)).did(1, read(), saw("ab", 4));
    told.did(1, {op::Remove{}}, wrote(9)).did(2, {op::Stat{}}, refused(-ENOENT));
    EXPECT_EQ(told.wrong(), "");
}

TEST(HistoryCheck, AcceptsEitherOrderOfWhatOverlaps) {
    for (bool late : {false, true}) {
        Told told;
        told.did(1, write("a"), wrote(1));
        size_t writes = told.call(1, write("b")), reads = told.call(2, read());
        told.end(reads, late ? saw("a", 1) : saw("b", 2)).end(writes, wrote(2));
        EXPECT_EQ(told.wrong(), "");
    }
}

TEST(HistoryCheck, FindsAStaleRead) {
    Told told;
    told.did(1, write("a"), wrote(1)).did(1, write("b"), wrote(2)).did(2, read(), saw("a", 1));
    EXPECT_NE(told.wrong(), "");
}

TEST(HistoryCheck, FindsReadsThatGoBackWhileAWriteGoesOn) {
    Told told;
    told.did(1, write("a"), wrote(1));
    told.call(1, write("b"));
    told.did(2, read(), saw("b", 2));
    EXPECT_EQ(told.wrong(), "");
    told.did(3, read(), saw("a", 1));
    EXPECT_NE(told.wrong(), "");
}

TEST(HistoryCheck, FindsALostWrite) {
    Told told;
    told.did(1, write("a"), wrote(1)).did(2, read(), refused(-ENOENT));
    EXPECT_NE(told.wrong(), "");
}

TEST(HistoryCheck, FindsAWriteThatHappenedTwice) {
    Told told;
    told.did(1, append("a"), wrote(1)).did(2, read(), saw("aa", 1));
    EXPECT_NE(told.wrong(), "");
}

TEST(HistoryCheck, FindsWritesInTheWrongOrder) {
    Told told;
    told.did(1, append("a"), wrote(1)).did(1, append("b"), wrote(2)).did(2, read(), saw("ba", 2));
    EXPECT_NE(told.wrong(), "");
}

TEST(HistoryCheck, LetsAWriteWithoutAnswerHappenLateOrNever) {
    Told told;
    told.did(1, write("a"), wrote(1));
    told.call(1, append("x"));
    told.did(2, read(), saw("a", 1)).did(2, append("b"), wrote(5));
    EXPECT_EQ(told.wrong(), "");
    EXPECT_TRUE(told.can_hold({.present = true, .data = "ab"}));
    EXPECT_TRUE(told.can_hold({.present = true, .data = "abx"}));
    EXPECT_TRUE(told.can_hold({.present = true, .data = "axb"}));
    EXPECT_FALSE(told.can_hold({.present = true, .data = "abxx"}));
    EXPECT_FALSE(told.can_hold({.present = true, .data = "ab", .omap = {{"k", "v"}}}));
    EXPECT_FALSE(told.can_hold({}));
    told.did(2, read(), saw("axb", 5));
    EXPECT_EQ(told.wrong(), "");
    told.did(2, read(), saw("ab", 5));
    EXPECT_NE(told.wrong(), "") << "once it was seen it stays";
}

TEST(HistoryCheck, DoesNotLetAWriteHappenBeforeItsCall) {
    Told told;
    told.did(1, write("a"), wrote(1)).did(2, read(), saw("b", 2));
    told.call(1, write("b"));
    EXPECT_NE(told.wrong(), "");
}

TEST(HistoryCheck, FindsHalfOfAList) {
    const ObjectOps list = {op::CompareXattr{"tag", "no"}, op::SetXattr{"tag", "1"},
                            op::Append{share("b")}};
    Told told;
    told.did(1, write("a"), wrote(1)).did(1, list, refused(-ECANCELED));
    told.did(2, {op::Read{}, op::GetXattrs{}},
             {.user_version = 1, .results = {{.data = "a"}, {.values = {{"tag", "1"}}}}});
    EXPECT_THAT(told.wrong(), HasSubstr("read 0~0, getxattrs -> 0 v1 'a' {tag='1'}"));
}

TEST(HistoryCheck, FindsAGuardThatShouldHaveFailed) {
    Told told;
    told.did(1, write("a"), wrote(4));
    const ObjectOps guarded = {op::AssertVersion{3}, op::Remove{}};
    EXPECT_EQ(Told(told).did(1, guarded, refused(-EOVERFLOW)).wrong(), "");
    EXPECT_NE(Told(told).did(1, guarded, refused(-ERANGE)).wrong(), "");
    EXPECT_NE(Told(told).did(1, guarded, wrote(5)).wrong(), "");
    const ObjectOps exclusive = {op::Create{.exclusive = true}};
    EXPECT_EQ(Told(told).did(1, exclusive, refused(-EEXIST)).wrong(), "");
    EXPECT_NE(Told(told).did(1, exclusive, wrote(5)).wrong(), "");
}

TEST(HistoryCheck, ComparesUserVersions) {
    Told told;
    told.did(1, write("a"), wrote(4));
    EXPECT_NE(Told(told).did(1, write("b"), wrote(4)).wrong(), "");
    EXPECT_NE(Told(told).did(1, write("b"), wrote(3)).wrong(), "");
    EXPECT_NE(Told(told).did(1, read(), saw("a", 5)).wrong(), "");
    EXPECT_NE(Told(told).did(1, {op::Remove{}}, wrote(5)).did(1, write("b"), wrote(5)).wrong(), "");
}

TEST(HistoryCheck, LearnsTheVersionOfAWriteWithoutAnswer) {
    Told told;
    told.did(1, write("a"), wrote(4));
    told.call(1, write("b"));
    EXPECT_NE(Told(told).did(2, read(), saw("b", 4)).wrong(), "");
    told.did(2, read(), saw("b", 7));
    EXPECT_EQ(Told(told).did(2, {op::AssertVersion{7}, op::Remove{}}, wrote(8)).wrong(), "");
    EXPECT_NE(Told(told).did(2, read(), saw("b", 8)).wrong(), "");
    EXPECT_NE(Told(told).did(2, write("c"), wrote(6)).wrong(), "");
}

TEST(HistoryCheck, TakesARefusalAsNothing) {
    Told told;
    told.did(1, write("a"), wrote(1)).did(1, write("b"), refused(-ENOSPC));
    EXPECT_EQ(Told(told).did(1, read(), saw("a", 1)).wrong(), "");
    EXPECT_NE(Told(told).did(1, read(), saw("b", 2)).wrong(), "");
}

TEST(HistoryCheck, TakesAnIoErrorAsAViolationUnlessAllowed) {
    Told told;
    told.did(1, read(), refused(-EIO));
    EXPECT_THAT(told.wrong(), HasSubstr("client.1:1 read 0~0 -> -EIO"));
    EXPECT_EQ(told.wrong({.allow_io_errors = true}), "");
}

TEST(HistoryCheck, FindsASecondAnswer) {
    Told told;
    size_t call = told.call(1, read());
    told.end(call, refused(-ENOENT)).end(call, refused(-ENOENT));
    EXPECT_THAT(told.wrong(), HasSubstr("answered twice"));
}

TEST(HistoryCheck, SaysWhenItCannotDecide) {
    Told told;
    for (int i = 0; i < 12; ++i) told.call(i, append(std::string(1, static_cast<char>('a' + i))));
    told.did(20, read(), saw("nobody wrote that", 99));
    auto found = check_history(told.history, {.most_states = 1000});
    ASSERT_TRUE(found);
    EXPECT_EQ(found->kind, Finding::Kind::undecided);
    EXPECT_THAT(found->story, HasSubstr("undecided after 1000 states"));
    const HistoryVerdict verdict = judge_history(told.history, {.most_states = 1000});
    EXPECT_EQ(verdict.objects, 1u);
    EXPECT_EQ(verdict.undecided, 1u);
}

TEST(HistoryCheck, TellsTheStoryOfTheFirstWrongAnswer) {
    Told told;
    told.did(1, write("early"), wrote(1)).did(1, write("a"), wrote(2));
    size_t writes = told.call(2, write("b")), other = told.call(3, read());
    told.did(1, read(), saw("early", 1)).end(writes, wrote(3)).end(other, saw("b", 3));
    told.did(1, read(), saw("b", 3));
    EXPECT_EQ(told.wrong(), "object \"o\": no order of the calls explains the answer of:\n"
                            "  7.000 s..8.000 s client.1:5 read 0~0 -> 0 v1 'early'\n"
                            "when it came, the object could be one of:\n"
                            "  at least v3 'b' xattrs {} omap {}\n"
                            "  v2 'a' xattrs {} omap {}\n"
                            "just before:\n"
                            "  1.000 s..2.000 s client.1:1 write_full 'early' -> 0 v1\n"
                            "  3.000 s..4.000 s client.1:2 write_full 'a' -> 0 v2\n"
                            "at the same time:\n"
                            "  5.000 s..9.000 s client.2:3 write_full 'b' -> 0 v3\n");
}

TEST(HistoryCheck, TellsWhatAnObjectCouldHoldAtTheEnd) {
    Told told;
    told.did(1, write("a"), wrote(1));
    auto found = check_final(told.history, "o", {.present = true, .data = "b"});
    ASSERT_TRUE(found);
    EXPECT_THAT(found->story, AllOf(HasSubstr("'b'"), HasSubstr("v1 'a' xattrs {} omap {}")));
    EXPECT_FALSE(check_final(told.history, "never asked for", {}));
}

bool is_plain_write(const Call& call) {
    return call.ops.size() == 1 && (std::holds_alternative<op::WriteFull>(call.ops[0]) ||
                                    std::holds_alternative<op::Append>(call.ops[0]));
}
bool is_plain_read(const Call& call) { return call.ops == read(); }

/// Meddles with one reply, in a way that no order of the calls explains.
struct Liar {
    enum Kind { invents_data, repeats_version, denies_write, reads_stale };

    void operator()(const History& history, const Call& call, message::ClientReply& reply) {
        if (has_lied || reply.result < 0 || left-- > 0) return;
        if (kind == invents_data && is_plain_read(call) && !reply.results[0].data.empty()) {
            reply.results[0].data[0] = '?';
            has_lied = true;
        }
        if (kind == denies_write && is_plain_write(call)) {
            reply = refused(-ENOSPC);
            denied = call;
            has_lied = true;
        }
        for (const Call& other : history.calls()) {
            if (has_lied || other.object != call.object || !other.has_ended()) continue;
            if (other.reply.result < 0 || !is_plain_write(other)) continue;
            if (kind == repeats_version && is_plain_write(call)) {
                reply.user_version = other.reply.user_version;
                has_lied = true;
            }
            if (kind == reads_stale && is_plain_read(call) && other.ended < call.begun)
                read_before(history, other, reply);
        }
    }
    /// Answers what somebody read before the write.
    void read_before(const History& history, const Call& write, message::ClientReply& reply) {
        for (const Call& old : history.calls()) {
            if (old.object != write.object || !old.has_ended() || !is_plain_read(old)) continue;
            if (old.reply.result < 0 || old.reply.user_version >= write.reply.user_version)
                continue;
            reply = old.reply;
            has_lied = true;
        }
    }
    /// A denied write is found out only by somebody who reads it.
    bool shows(const History& history) const {
        if (!has_lied || !denied) return has_lied;
        const auto* full = std::get_if<op::WriteFull>(&denied->ops[0]);
        const std::string& data = full ? *full->data : *std::get<op::Append>(denied->ops[0]).data;
        for (const Call& call : history.calls())
            if (call.object == denied->object && call.has_ended() && is_plain_read(call) &&
                call.reply.result == 0 &&
                call.reply.results[0].data.find(data) != std::string::npos)
                return true;
        return false;
    }

    Kind kind;
    uint64_t left; // replies that are true
    bool has_lied = false;
    std::optional<Call> denied = {};
};

TEST(HistoryCheck, AcceptsWhatAtomicObjectsAnswer) {
    uint64_t seed = first_seed(), checked = 0, undecided = 0;
    auto expect_fine = [&](const std::optional<Finding>& found) {
        ++checked;
        if (found && found->kind == Finding::Kind::undecided)
            ++undecided;
        else
            EXPECT_FALSE(found) << found->story;
    };
    for (uint64_t left = seeds_to_run(100); left > 0 && !HasFailure(); --left, ++seed) {
        SCOPED_TRACE(fmt::format("CLOUDLET_SEED={}", seed));
        Random random(seed);
        RandomHistory maker(random, {.objects = 1 + random.below(10),
                                     .clients = 1 + random.below(6),
                                     .lost = random.chance(0.5) ? 0 : 0.02});
        History history = maker.make();
        expect_fine(check_history(history));
        for (const auto& [object, is] : maker.objects)
            expect_fine(check_final(history, object, is.content(), {.most_states = 20'000}));
    }
    EXPECT_LE(undecided, checked / 20) << "of " << checked;
}

TEST(HistoryCheck, FindsEveryLieThatShows) {
    uint64_t seed = first_seed(), shown = 0;
    for (uint64_t left = seeds_to_run(100); left > 0 && !HasFailure(); --left, ++seed) {
        SCOPED_TRACE(fmt::format("CLOUDLET_SEED={}", seed));
        Random random(seed);
        Liar liar{static_cast<Liar::Kind>(seed % 4), random.below(100)};
        RandomHistory maker(random, {.objects = 4, .lost = 0.01, .meddle = std::ref(liar)});
        History history = maker.make();
        if (!liar.shows(history)) continue;
        ++shown;
        auto found = check_history(history);
        ASSERT_TRUE(found) << "lie " << liar.kind;
        EXPECT_EQ(found->kind, Finding::Kind::violation) << "lie " << liar.kind;
    }
    EXPECT_GT(shown, 0u);
}

} // namespace
} // namespace cloudlet::rados::sim
