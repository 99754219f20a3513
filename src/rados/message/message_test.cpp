#include "cloudlet/rados/message.h"

#include <gtest/gtest.h>

namespace cloudlet::rados {
namespace {

template <size_t... I>
std::vector<MessageBody> one_of_each(std::index_sequence<I...>) {
    return {MessageBody(std::in_place_index<I>)...};
}
std::vector<MessageBody> one_of_each() {
    return one_of_each(std::make_index_sequence<std::variant_size_v<MessageBody>>());
}

TEST(Message, has_a_name_of_its_own_for_each_kind) {
    std::set<std::string_view> names;
    for (const MessageBody& body : one_of_each()) names.insert(name_of(body));
    EXPECT_EQ(names.size(), std::variant_size_v<MessageBody>);
    EXPECT_EQ(name_of(message::Boot{}), "Boot");
    EXPECT_EQ(name_of(message::Maps{}), "Maps");
    EXPECT_EQ(name_of(message::Ping{}), "Ping");
    EXPECT_EQ(name_of(message::Replicate{}), "Replicate");
    EXPECT_EQ(name_of(message::ScrubAnswer{}), "ScrubAnswer");
}

TEST(Message, between_copies_names_its_pg) {
    const PgId pg{3, 0x2f};
    EXPECT_EQ(pg_of(message::Query{pg}), pg);
    EXPECT_EQ(pg_of(message::Drop{pg}), pg);
    EXPECT_EQ(pg_of(message::Replicate{.pg = pg}), pg);
    EXPECT_EQ(pg_of(message::ScrubAnswer{.pg = pg}), pg);
    EXPECT_EQ(pg_of(message::Notify{.info = {.pg = pg}}), pg) << "by its info";
    EXPECT_EQ(pg_of(message::FullRecord{.info = {.pg = pg}}), pg);
    EXPECT_EQ(pg_of(message::Activate{.info = {.pg = pg}}), pg);
    size_t between = 0;
    for (const MessageBody& body : one_of_each()) between += pg_of(body).has_value();
    const size_t others = MessageBody(message::Query{}).index() + 1; // and MarkUnfoundLost
    EXPECT_EQ(between, std::variant_size_v<MessageBody> - others);
}

TEST(Message, of_others_about_a_pg_is_not_one_between_its_copies) {
    EXPECT_FALSE(pg_of(message::ClientOp{.pg = {3, 1}}));
    EXPECT_FALSE(pg_of(message::ScrubCommand{.pg = {3, 1}}));
    EXPECT_FALSE(pg_of(message::MarkUnfoundLost{.pg = {3, 1}}));
    EXPECT_FALSE(pg_of(message::CreatePg{.pg = {3, 1}}));
    EXPECT_FALSE(pg_of(message::Ping{}));
}

TEST(Entity, is_called_as_in_ceph) {
    EXPECT_EQ(Entity::osd(3).to_string(), "osd.3");
    EXPECT_EQ(Entity::monitor(0).to_string(), "mon.0");
    EXPECT_EQ(Entity::client(41).to_string(), "client.41");
}

} // namespace
} // namespace cloudlet::rados
