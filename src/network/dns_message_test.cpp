#include "dns_message.h"

#include <gtest/gtest.h>

namespace cloudlet::network::dns {
namespace {

std::string wire(std::string_view name, uint16_t type, std::string_view tail = {},
                 uint8_t additional = 0) {
    std::string message("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00", 11);
    message += static_cast<char>(additional);
    message += encode_name(name);
    for (int byte : {type >> 8, type & 255, 0, 1}) message += static_cast<char>(byte);
    return message + std::string(tail);
}

std::string edns(uint8_t version, uint16_t size) {
    std::string record("\0\0\x29", 3);
    for (int byte : {size >> 8, size & 255, 0, int{version}, 0, 0, 0, 0})
        record += static_cast<char>(byte);
    return record;
}

TEST(DnsMessage, GivenAQueryThenItsNameIsLowerCaseAndItsQuestionIsKeptAsItCame) {
    auto query = parse_query(wire("wEb.Default", a));
    ASSERT_TRUE(query);
    EXPECT_EQ(query->problem, no_error);
    EXPECT_EQ(query->id, 0x1234);
    EXPECT_EQ(query->name, "web.default");
    EXPECT_TRUE(query->recursion_desired);
    EXPECT_EQ(query->question.substr(0, 4), std::string("\3wEb"));
    EXPECT_EQ(query->udp_limit(), 512u);
}

TEST(DnsMessage, GivenEdnsThenTheSizeIsHeldBetweenTheLimits) {
    EXPECT_EQ(parse_query(wire("x", a, edns(0, 100), 1))->udp_limit(), 512u);
    EXPECT_EQ(parse_query(wire("x", a, edns(0, 800), 1))->udp_limit(), 800u);
    EXPECT_EQ(parse_query(wire("x", a, edns(0, 65535), 1))->udp_limit(), 1232u);
    EXPECT_EQ(parse_query(wire("x", a, edns(1, 1232), 1))->problem, bad_version);
    EXPECT_EQ(parse_query(wire("x", a, edns(0, 1232) + edns(0, 1232), 2))->problem, format_error);
}

TEST(DnsMessage, GivenWhatIsNoQueryThenItGetsNoAnswerOrTheRightError) {
    EXPECT_FALSE(parse_query("short"));
    std::string message = wire("x", a);
    std::string reply = message;
    reply[2] = '\x81';
    EXPECT_FALSE(parse_query(reply));
    std::string update = message;
    update[2] = '\x28';
    EXPECT_EQ(parse_query(update)->problem, not_implemented);
    std::string two = message;
    two[5] = 2;
    EXPECT_EQ(parse_query(two)->problem, format_error);
    EXPECT_EQ(parse_query(message.substr(0, message.size() - 1))->problem, format_error);
    EXPECT_EQ(parse_query(message.substr(0, 12) + "\xc0\x0c" + message.substr(15))->problem,
              format_error);
}

TEST(DnsMessage, GivenALabelWithADotOrAZeroByteThenItCannotBeMistakenForTwoLabels) {
    std::string message = wire("x", a);
    message.replace(12, 3, std::string("\3a.b\1\0\0", 7));
    EXPECT_EQ(parse_query(message)->name, "a\\046b.\\000");
}

TEST(DnsMessage, GivenMoreRecordsThanFitThenTheReplyIsCutAndSaysSo) {
    auto query = *parse_query(wire("db.default", a));
    Reply reply;
    for (uint32_t i = 0; i < 100; ++i) reply.answers.push_back({"db.default", a, 5, data_a({i})});
    std::string udp = encode_reply(query, reply, query.udp_limit()),
                tcp = encode_reply(query, reply, tcp_limit);
    EXPECT_LE(udp.size(), 512u);
    EXPECT_TRUE(udp[2] & 2) << "TC";
    EXPECT_FALSE(tcp[2] & 2);
    EXPECT_EQ(answers_of_type(tcp, a).size(), 100u);
    EXPECT_EQ(tcp.size(), query.question.size() + 12 + 100 * 16) << "names are compressed";
    EXPECT_TRUE(is_reply_to(tcp, wire("DB.default", a)));
    EXPECT_FALSE(is_reply_to(tcp, wire("other", a)));
    EXPECT_FALSE(is_reply_to(tcp, wire("db.default", aaaa)));
}

TEST(DnsMessage, GivenAdditionalRecordsThatDoNotFitThenOnlyTheyAreLeftOut) {
    auto query = *parse_query(wire("srv.default", srv));
    Reply reply;
    reply.answers.push_back({"srv.default", srv, 5, data_srv(80, "a.b")});
    for (uint32_t i = 0; i < 100; ++i) reply.additional.push_back({"a.b", a, 5, data_a({i})});
    std::string udp = encode_reply(query, reply, 512);
    EXPECT_FALSE(udp[2] & 2);
    EXPECT_EQ(answers_of_type(udp, srv).size(), 1u);
}

TEST(DnsMessage, GivenOurOwnQueryThenItParses) {
    auto query = parse_query(encode_query(7, "example.org", aaaa));
    ASSERT_TRUE(query);
    EXPECT_EQ(query->name, "example.org");
    EXPECT_EQ(query->type, aaaa);
    EXPECT_TRUE(query->has_edns);
}

} // namespace
} // namespace cloudlet::network::dns
