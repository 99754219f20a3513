#include "cloudlet/rados/pg_codec.h"

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>

#include <gmock/gmock.h>

#include "cloudlet/io/file.h"
#include "pg/random_pg.h"
#include "test_seeds.h"

namespace cloudlet::rados {

bool operator==(const PastIntervals& one, const PastIntervals& other) {
    return one.intervals() == other.intervals();
}

namespace {

using testing::HasSubstr;

/// Encodes what was decoded again; fails the test when a value does not read back the same.
template <typename Value, typename Encode, typename Decode>
void expect_same(const Value& value, Encode encode, Decode decode) {
    std::string bytes = encode(value);
    auto read = decode(bytes);
    ASSERT_TRUE(read) << read.error().to_string();
    EXPECT_TRUE(*read == value);
    EXPECT_EQ(encode(*read), bytes);
}

std::string encode_answer(const std::pair<RequestId, RequestAnswer>& answered) {
    return encode_answered(answered.first, answered.second);
}
std::string encode_lack(const std::pair<PgObject, MissingSet::Item>& missing) {
    return encode_missing(missing.first, missing.second);
}
PastIntervals intervals(std::vector<PastInterval> past) {
    PastIntervals made;
    for (PastInterval& interval : past) made.add(std::move(interval));
    return made;
}

/// One value of each kind as bytes, and whether bytes are taken for one.
struct Encoded {
    const char* name;
    std::string bytes;
    std::function<Result<void>(std::string_view)> decode;
};
template <typename Decode>
std::function<Result<void>(std::string_view)> refusal(Decode decode) {
    return [decode](std::string_view bytes) -> Result<void> {
        TRY(decode(bytes));
        return {};
    };
}
std::vector<Encoded> one_of_each(Random& random) {
    RandomPg pg(random);
    return {
        {"info", encode_pg_info(pg.info()), refusal(decode_pg_info)},
        {"past", encode_past_intervals(intervals(pg.past())), refusal(decode_past_intervals)},
        {"entry", encode_log_entry(pg.entry()), refusal(decode_log_entry)},
        {"answered", encode_answer({pg.request(), pg.answer()}), refusal(decode_answered)},
        {"missing", encode_lack({pg.object(), {pg.version(), {}}}), refusal(decode_missing)},
        {"object", encode_object_info({pg.version(), 7, pg.time()}), refusal(decode_object_info)}};
}

void expect_refusal(const Encoded& value, std::string_view bytes) {
    auto read = value.decode(bytes);
    ASSERT_FALSE(read) << value.name;
    EXPECT_EQ(read.error().code, Code::invalid) << value.name;
    EXPECT_THAT(read.error().message, HasSubstr("at offset")) << value.name;
}

TEST(PgCodec, every_value_reads_back_the_same) {
    for (uint64_t seed = first_seed(), end = seed + seeds_to_run(200); seed != end; ++seed) {
        SCOPED_TRACE("CLOUDLET_SEED=" + std::to_string(seed));
        Random random(seed);
        RandomPg pg(random);
        expect_same(pg.info(), encode_pg_info, decode_pg_info);
        expect_same(intervals(pg.past()), encode_past_intervals, decode_past_intervals);
        expect_same(pg.entry(), encode_log_entry, decode_log_entry);
        expect_same(std::pair{pg.request(), pg.answer()}, encode_answer, decode_answered);
        expect_same(std::pair{pg.object(), MissingSet::Item{pg.version(), pg.version()}},
                    encode_lack, decode_missing);
        expect_same(ObjectInfo{pg.version(), random.next(), pg.time()}, encode_object_info,
                    decode_object_info);
    }
}

TEST(PgCodec, bytes_that_are_cut_or_go_on_are_refused_with_the_place) {
    Random random(first_seed());
    for (const Encoded& value : one_of_each(random)) {
        for (size_t size = 0; size < value.bytes.size(); ++size)
            expect_refusal(value, std::string_view(value.bytes).substr(0, size));
        expect_refusal(value, value.bytes + '\0');
    }
}

TEST(PgCodec, another_version_is_refused_with_the_place) {
    Random random(1);
    for (const Encoded& value : one_of_each(random)) {
        for (size_t place : {0, 1}) {
            for (char version : {0, 2}) {
                std::string bytes = value.bytes;
                bytes[place] = version;
                expect_refusal(value, bytes);
            }
        }
    }
}

TEST(PgCodec, bytes_behind_the_last_field_are_refused) {
    Random random(1);
    for (const Encoded& value : one_of_each(random)) {
        std::string bytes = value.bytes + "x";
        bytes[2] = static_cast<char>(bytes[2] + 1); // the length
        if (bytes[2] == 0) continue;                // it would need a carry
        expect_refusal(value, bytes);
    }
}

TEST(PgCodec, past_intervals_that_overlap_are_refused) {
    auto bytes = [](Epoch first, Epoch last) {
        std::string made = encode_past_intervals(intervals({{3, 5}, {8, 9}}));
        size_t second = 6 + 4 + (made.size() - 10) / 2; // header, count, two of the same size
        std::memcpy(made.data() + second, &first, sizeof first);
        std::memcpy(made.data() + second + sizeof first, &last, sizeof last);
        return made;
    };
    ASSERT_TRUE(decode_past_intervals(bytes(6, 6)));
    EXPECT_THAT(decode_past_intervals(bytes(5, 9)).error().message, HasSubstr("overlaps"));
    EXPECT_THAT(decode_past_intervals(bytes(9, 8)).error().message, HasSubstr("from 9 to 8"));
}

TEST(PgCodec, a_flag_of_two_an_unknown_kind_and_an_impossible_prior_version_are_refused) {
    std::string past = encode_past_intervals(intervals({{3, 5}}));
    past.back() = 2;
    EXPECT_THAT(decode_past_intervals(past).error().message, HasSubstr("neither 0 nor 1"));
    LogEntry entry{.version = {5, 1}};
    std::string bytes = encode_log_entry(entry);
    bytes[6] = 6;
    EXPECT_THAT(decode_log_entry(bytes).error().message, HasSubstr("an entry of kind 6"));
    entry.prior_version = {5, 1};
    EXPECT_FALSE(decode_log_entry(encode_log_entry(entry)));
    entry.prior_version = {5, 0};
    EXPECT_TRUE(decode_log_entry(encode_log_entry(entry)));
    entry.rollback.possible = 2;
    EXPECT_FALSE(decode_log_entry(encode_log_entry(entry)));
}

/// Behind the byte of its kind; CLOUDLET_WRITE_SEEDS in the environment writes them anew.
TEST(PgCodec, the_seeds_of_the_fuzzer_are_values_of_every_kind) {
    Random random(8);
    char kind = 0;
    for (const Encoded& value : one_of_each(random)) {
        std::string file = CLOUDLET_CORPUS "/pg_codec/" + std::string(value.name);
        if (std::getenv("CLOUDLET_WRITE_SEEDS"))
            std::ofstream(file, std::ios::binary) << kind << value.bytes;
        std::string bytes = io::read_file(file).value();
        ASSERT_FALSE(bytes.empty()) << file;
        EXPECT_EQ(bytes[0], kind++) << file;
        EXPECT_TRUE(value.decode(std::string_view(bytes).substr(1))) << file;
    }
}

TEST(PgCodec, an_objects_info_is_small) {
    EXPECT_EQ(encode_object_info({}).size(), 34u) << "every object carries one";
}

} // namespace
} // namespace cloudlet::rados
