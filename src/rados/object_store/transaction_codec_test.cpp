#include <cstring>
#include <set>

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "cloudlet/base/bytes.h"
#include "cloudlet/rados/transaction.h"
#include "crush/crush_oracle.h"
#include "object_store/random_transaction.h"

namespace cloudlet::rados {
namespace {

using testing::HasSubstr;

const CollectionId pg(PgId{1, 0x1f});

TEST(TransactionCodec, reads_back_what_it_wrote) {
    uint64_t seed = first_seed();
    SCOPED_TRACE(fmt::format("CLOUDLET_SEED={}", seed));
    Random random(seed);
    RandomTransactions transactions(random);
    std::set<size_t> kinds;
    for (int i = 0; i < 500; ++i) {
        Transaction transaction = transactions.next();
        for (const Operation& operation : transaction.operations)
            kinds.insert(operation.change.index());
        auto again = decode_transaction(encode_transaction(transaction));
        ASSERT_TRUE(again) << again.error().to_string();
        ASSERT_EQ(*again, transaction);
    }
    EXPECT_EQ(kinds.size(), std::variant_size_v<StoreChange>);
}

/// An older and a newer OSD exchange these bytes: they may not change without a new version.
TEST(TransactionCodec, keeps_its_format) {
    Transaction transaction;
    transaction.write(pg, {0xabcd, "o"}, 5, "hi");
    transaction.add(CollectionId(), {1, "m"}, change::SetOmap{{{"k", "v"}}});
    EXPECT_EQ(to_hex(encode_transaction(transaction)),
              "01014c00000002000000" // version, length, count
              "03"
              "0100000000000000"
              "1f000000"
              "cdab0000"
              "01000000"
              "6f"
              "0500000000000000"
              "02000000"
              "6869" // write
              "09"
              "ffffffffffffffff"
              "00000000"
              "01000000"
              "01000000"
              "6d"
              "01000000"
              "01000000"
              "6b"
              "01000000"
              "76"); // set omap
}

TEST(TransactionCodec, refuses_another_version) {
    for (size_t place : {0, 1}) {
        std::string bytes = encode_transaction({});
        bytes[place] = 0;
        EXPECT_THAT(decode_transaction(bytes).error().message, HasSubstr("of another version"));
    }
}

TEST(TransactionCodec, refuses_every_cut_and_anything_behind_the_end) {
    Transaction transaction;
    transaction.write(pg, {7, "object"}, 5, "data");
    transaction.add(pg, {7, "object"}, change::Replace{share("all"), {{"x", "1"}}, {{"o", "2"}}});
    const std::string bytes = encode_transaction(transaction);
    for (size_t size = 0; size < bytes.size(); ++size)
        EXPECT_FALSE(decode_transaction(std::string_view(bytes).substr(0, size))) << size;
    EXPECT_FALSE(decode_transaction(bytes + '\0'));
    std::string longer = bytes + '\0';
    ++longer[2]; // its length says that the byte belongs to it
    auto done = decode_transaction(longer);
    ASSERT_FALSE(done);
    EXPECT_THAT(done.error().to_string(), HasSubstr("bytes behind the last operation at offset"));
}

TEST(TransactionCodec, refuses_what_it_does_not_know) {
    std::string bytes = encode_transaction(Transaction().create_collection(pg));
    std::string kind = bytes;
    kind[10] = static_cast<char>(std::variant_size_v<StoreChange>);
    EXPECT_THAT(decode_transaction(kind).error().to_string(), HasSubstr("an operation of kind 15"));
    std::string newer = bytes;
    newer[1] = 2;
    EXPECT_EQ(decode_transaction(newer).error().code, Code::invalid);
}

TEST(TransactionCodec, refuses_keys_that_do_not_ascend) {
    Transaction transaction;
    transaction.add(pg, {7, "object"}, change::SetOmap{{{"a", ""}, {"b", ""}}});
    std::string bytes = encode_transaction(transaction);
    bytes[bytes.rfind('b')] = 'a';
    EXPECT_THAT(decode_transaction(bytes).error().to_string(), HasSubstr("do not ascend"));
}

TEST(TransactionCodec, holds_to_the_limits_before_it_takes_memory) {
    Transaction transaction;
    transaction.add(pg, {7, "object"}, change::RemoveOmapKeys{});
    std::string bytes = encode_transaction(transaction);
    const uint32_t keys = StoreLimits::entries + 1;
    std::memcpy(bytes.data() + bytes.size() - sizeof keys, &keys, sizeof keys);
    bytes.resize(bytes.size() + sizeof(uint32_t) * keys); // so many empty keys would fit
    auto length = static_cast<uint32_t>(bytes.size() - 6);
    std::memcpy(bytes.data() + 2, &length, sizeof length);
    EXPECT_THAT(decode_transaction(bytes).error().to_string(), HasSubstr("more keys than"));

    transaction.operations[0].change =
        change::SetXattrs{{{"x", std::string(StoreLimits::xattr_bytes + 1, 'x')}}};
    EXPECT_EQ(decode_transaction(encode_transaction(transaction)).error().code, Code::too_large);
    transaction.operations[0].change = change::Clone{ObjectId{1, ""}};
    EXPECT_EQ(decode_transaction(encode_transaction(transaction)).error().code, Code::invalid);
}

} // namespace
} // namespace cloudlet::rados
