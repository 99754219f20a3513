#include "cloudlet/rados/message_codec.h"

#include <concepts>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include <gmock/gmock.h>

#include "cloudlet/base/bytes.h"
#include "cloudlet/io/file.h"
#include "cloudlet/rados/osd_map_codec.h"
#include "message/random_message.h"
#include "test_seeds.h"

namespace cloudlet::rados {
namespace {

using testing::HasSubstr;

template <typename T>
bool same_content(const std::shared_ptr<const T>& one, const std::shared_ptr<const T>& other) {
    return one == other || (one && other && *one == *other);
}
bool same(const message::FullRecord& a, const message::FullRecord& b) {
    return a.info == b.info && same_content(a.log, b.log) && a.missing == b.missing;
}
bool same(const message::Activate& a, const message::Activate& b) {
    return a.info == b.info && same_content(a.log, b.log) && a.past == b.past &&
           a.backfill == b.backfill && a.from_nothing == b.from_nothing;
}
bool same(const message::Replicate& a, const message::Replicate& b) {
    return a.pg == b.pg && a.entry == b.entry && same_content(a.change, b.change) &&
           a.trim_to == b.trim_to;
}
bool same(const message::Push& a, const message::Push& b) {
    return a.pg == b.pg && a.object == b.object && a.version == b.version &&
           same_content(a.content, b.content) && a.result == b.result && a.answer == b.answer;
}
/// By their bytes: they have no other equality.
bool same(const message::Maps& a, const message::Maps& b) {
    if (!a.full != !b.full || a.steps.size() != b.steps.size()) return false;
    if (a.full && encode_osd_map(*a.full) != encode_osd_map(*b.full)) return false;
    for (size_t i = 0; i < a.steps.size(); ++i)
        if (encode_osd_map_incremental(*a.steps[i]) != encode_osd_map_incremental(*b.steps[i]))
            return false;
    return true;
}
template <std::equality_comparable Body>
bool same(const Body& a, const Body& b) {
    return a == b;
}
bool same(const Message& one, const Message& other) {
    if (one.epoch != other.epoch || one.body.index() != other.body.index()) return false;
    return std::visit(
        [&](const auto& body) {
            return same(body, std::get<std::remove_cvref_t<decltype(body)>>(other.body));
        },
        one.body);
}

/// A few hundred bytes of every alternative.
std::vector<std::string> one_of_each(uint64_t seed) {
    Random random(seed);
    RandomMessages messages(random);
    messages.without_maps();
    std::vector<std::string> made;
    for (size_t kind = 0; kind < RandomMessages::kinds; ++kind) {
        do {
            made.push_back(encode_message(messages.next(kind)));
        } while (made.back().size() > 2000 && (made.pop_back(), true));
    }
    return made;
}

/// A map of a few hundred bytes and a step.
message::Maps small_maps() {
    auto map = decode_osd_map(io::read_file(CLOUDLET_CORPUS "/osd_map/full_01").value()).value();
    auto step = std::make_shared<OsdMapIncremental>();
    step->fsid = map.fsid;
    step->epoch = map.epoch + 1;
    return {std::make_shared<const OsdMap>(std::move(map)), {std::move(step)}};
}

/// The longest of a few, but not more than a few hundred bytes.
Message fullest(RandomMessages& messages, size_t kind) {
    Message found;
    size_t size = 0;
    for (int tries = 0; tries < 50 || size == 0; ++tries) {
        Message next = messages.next(kind);
        size_t length = encode_message(next).size();
        if (length <= size || length > 700) continue;
        size = length;
        found = std::move(next);
    }
    return found;
}

/// What is accepted has no other form.
void expect_refused_or_same(std::string_view bytes) {
    auto read = decode_message(bytes);
    if (read) {
        EXPECT_EQ(encode_message(**read), bytes) << name_of((*read)->body);
    } else {
        EXPECT_EQ(read.error().code, Code::invalid);
    }
}

std::string refusal(std::string_view bytes) {
    auto read = decode_message(bytes);
    return read ? "accepted" : read.error().message;
}

TEST(MessageCodec, a_message_of_every_kind_reads_back_the_same) {
    for (uint64_t seed = first_seed(), end = seed + seeds_to_run(60); seed != end; ++seed) {
        SCOPED_TRACE("CLOUDLET_SEED=" + std::to_string(seed));
        Random random(seed);
        RandomMessages messages(random);
        for (size_t kind = 0; kind < RandomMessages::kinds; ++kind) {
            Message message = messages.next(kind);
            std::string bytes = encode_message(message);
            auto read = decode_message(bytes);
            ASSERT_TRUE(read) << name_of(message.body) << ": " << read.error().to_string();
            EXPECT_TRUE(same(**read, message)) << name_of(message.body);
            EXPECT_EQ(encode_message(**read), bytes) << name_of(message.body);
        }
    }
}

TEST(MessageCodec, positions_travel_between_the_copies_of_a_pg_only) {
    for (const MessageBody& body :
         {MessageBody(message::Drop{{3, 1}}), MessageBody(message::Ping{})}) {
        auto read = decode_message(encode_message({7, body, 2, -1})).value();
        const bool between_copies = pg_of(body).has_value();
        EXPECT_EQ(read->from_shard, between_copies ? 2 : no_shard);
        EXPECT_EQ(read->to_shard, no_shard);
    }
}

/// An older and a newer OSD exchange these bytes: they may not change without a new version.
TEST(MessageCodec, keeps_its_format) {
    const message::Replicated replicated{{3, 0x1f}, {5, 12}, true};
    EXPECT_EQ(to_hex(encode_message({7, replicated})), "010125000000" // version, length
                                                       "07000000"
                                                       "18"
                                                       "01"
                                                       "0300000000000000"
                                                       "1f000000"
                                                       "ffffffff" // the PG, as Ceph writes it
                                                       "05000000"
                                                       "0c00000000000000"
                                                       "01"
                                                       "ffff"); // no positions
}

TEST(MessageCodec, every_proper_beginning_of_a_message_is_refused) {
    for (const std::string& bytes : one_of_each(first_seed())) {
        for (size_t size = 0; size < bytes.size(); ++size)
            ASSERT_FALSE(decode_message(std::string_view(bytes).substr(0, size))) << size;
        EXPECT_THAT(refusal(bytes + "x"), HasSubstr("1 bytes behind the message at offset"));
    }
}

TEST(MessageCodec, a_flipped_byte_is_refused_or_makes_another_message) {
    uint64_t seed = first_seed();
    SCOPED_TRACE("CLOUDLET_SEED=" + std::to_string(seed));
    Random random(seed);
    for (std::string& bytes : one_of_each(seed)) {
        for (char& byte : bytes) {
            char was = byte;
            for (char flipped : {char(was ^ 1), char(was ^ 0x80), char(random.next())}) {
                byte = flipped;
                expect_refused_or_same(bytes);
            }
            byte = was;
        }
    }
}

TEST(MessageCodec, maps_whose_bytes_are_damaged_are_refused_with_the_reason) {
    Random random(3);
    OsdMap map = random_osd_map(random);
    message::Maps maps{std::make_shared<const OsdMap>(map), {}};
    std::string bytes = encode_message({7, maps});
    bytes[bytes.size() / 2] ^= 1;
    EXPECT_FALSE(decode_message(bytes));
    bytes = encode_message({7, maps});
    bytes[bytes.size() - 5] ^= 1; // before the number of steps: the map's own checksum
    EXPECT_THAT(refusal(bytes), HasSubstr("checksum"));
}

TEST(MessageCodec, a_record_or_an_activation_without_a_log_is_a_bug_of_the_sender) {
    EXPECT_DEATH(encode_message({7, message::FullRecord{}}), "lacks its log");
    EXPECT_DEATH(encode_message({7, message::Activate{}}), "lacks its log");
}

TEST(MessageCodec, numbers_out_of_their_range_are_refused) {
    const size_t kind = 6 + 4, body = kind + 1, seed = body + 17;
    std::string bytes = encode_message({7, message::Reserve{.pg = {1, 2}}});
    bytes[seed] = 5;
    EXPECT_THAT(refusal(bytes), HasSubstr("a reservation's step of 5 at offset"));
    bytes = encode_message({7, message::Query{.pg = {1, 2}}});
    bytes[seed] = 2;
    EXPECT_THAT(refusal(bytes), HasSubstr("a flag that is neither 0 nor 1"));
    bytes = encode_message({7, message::Ping{}});
    bytes[kind] = static_cast<char>(RandomMessages::kinds);
    EXPECT_THAT(refusal(bytes), HasSubstr("an unknown kind 36"));
    bytes = encode_message({7, message::Reports{{PgReport{}}}});
    bytes[body + 4 + 17 + 4] = 2; // the state's bit 33; wait is 32
    EXPECT_THAT(refusal(bytes), HasSubstr("unknown flags"));
}

TEST(MessageCodec, an_object_that_no_store_takes_is_refused) {
    auto decoded = [](change::Replace content) {
        message::Push push{.object = {.name = "o"}};
        push.content = std::make_shared<const change::Replace>(std::move(content));
        return decode_message(encode_message({1, push}));
    };
    const std::string value(StoreLimits::xattr_bytes, 'x');
    EXPECT_TRUE(decoded({.data = {}, .xattrs = {{"a", value}}, .omap = {}}));
    for (const change::Replace& content :
         {change::Replace{.data = {}, .xattrs = {{"a", value + "x"}}, .omap = {}},
          change::Replace{.data = {},
          .xattrs = {},
          .omap = {{std::string(StoreLimits::name_bytes + 1, 'k'), ""}}},
          change::Replace{.data = share(std::string(StoreLimits::object_bytes + 1, 'x')),
          .xattrs = {},
          .omap = {}}}) {
        auto refused = decoded(content);
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().code, Code::invalid);
        EXPECT_THAT(refused.error().message, HasSubstr("at most"));
    }
}

TEST(MessageCodec, a_count_that_the_bytes_cannot_hold_allocates_nothing) {
    std::string bytes = encode_message({7, message::Reports{}});
    std::memset(bytes.data() + bytes.size() - 4, 0xff, 4);
    EXPECT_THAT(refusal(bytes), HasSubstr("a list of 4294967295 items cannot fit"));
}

TEST(MessageCodec, missing_objects_and_past_intervals_must_ascend) {
    message::FullRecord record{.log = std::make_shared<const PgLog>()};
    record.missing.set({.hash = 0}, {{5, 1}, {}});
    record.missing.set({.hash = 1}, {{5, 2}, {}});
    std::string bytes = encode_message({7, record});
    const size_t item = 24 + 24 + 2; // an object without names, two versions, the positions
    ASSERT_TRUE(decode_message(bytes));
    bytes[bytes.size() - item] = 0; // the second object's hash
    EXPECT_THAT(refusal(bytes), HasSubstr("missing objects do not ascend"));
    message::CreatePg create{.past = {{3, 5}, {5, 6}}};
    EXPECT_THAT(refusal(encode_message({7, create})), HasSubstr("overlaps"));
}

/// One for each kind; CLOUDLET_WRITE_SEEDS in the environment writes them anew.
TEST(MessageCodec, the_seeds_of_the_fuzzer_are_messages_of_every_kind) {
    Random random(5);
    RandomMessages messages(random);
    messages.without_maps();
    for (size_t kind = 0; kind < RandomMessages::kinds; ++kind) {
        Message message = fullest(messages, kind);
        if (auto* maps = std::get_if<message::Maps>(&message.body)) *maps = small_maps();
        std::string file = CLOUDLET_CORPUS "/message/" + std::string(name_of(message.body));
        if (std::getenv("CLOUDLET_WRITE_SEEDS"))
            std::ofstream(file, std::ios::binary) << encode_message(message);
        std::string bytes = io::read_file(file).value();
        auto read = decode_message(bytes);
        ASSERT_TRUE(read) << file << ": " << read.error().to_string();
        EXPECT_EQ((*read)->body.index(), kind) << file;
        EXPECT_EQ(encode_message(**read), bytes) << file;
    }
}

TEST(PgState, from_bits_takes_flags_only) {
    PgState state{PgFlag::active, PgFlag::wait};
    EXPECT_EQ(PgState::from_bits(state.bits()).value(), state);
    EXPECT_FALSE(PgState::from_bits(uint64_t{1} << 33));
}

} // namespace
} // namespace cloudlet::rados
