#include "http_parser.h"

#include "cloudlet/base/random.h"

namespace cloudlet::net {
namespace {

using State = RequestParser::State;

TEST(RequestParser, ReadsOneRequestAndLeavesTheRest) {
    RequestParser parser;
    std::string_view input = "\r\nPOST /a%2Fb?x=1&y=%26&z HTTP/1.1\r\nHost: h\r\nX: \t v "
                             "\t\r\nContent-Length: 2\r\n\r\nokGET ";
    ASSERT_EQ(parser.feed(input), State::complete);
    auto request = parser.take();
    EXPECT_EQ(request.method, "POST");
    EXPECT_EQ(request.target, "/a%2Fb?x=1&y=%26&z");
    EXPECT_EQ(request.path, "/a/b");
    EXPECT_EQ(request.query.get("y"), "&");
    EXPECT_TRUE(request.query.has("z"));
    EXPECT_EQ(request.headers.get("x"), "v");
    EXPECT_EQ(request.body, "ok");
    EXPECT_EQ(input, "GET ");
    EXPECT_TRUE(parser.idle());
}

/// What the parser makes of the bytes in pieces: the bodies, then a status when it refuses.
std::vector<std::string> outcome(std::string_view bytes, Random* random) {
    RequestParser parser({.max_header_bytes = 2000, .max_body_bytes = 50});
    std::vector<std::string> seen;
    while (!bytes.empty()) {
        auto piece = bytes.substr(0, random ? 1 + random->below(7) : bytes.size());
        bytes.remove_prefix(piece.size());
        while (!piece.empty()) {
            auto state = parser.feed(piece);
            if (state == State::failed) {
                seen.push_back(std::to_string(parser.status()));
                return seen;
            }
            if (state == State::complete) seen.push_back(parser.take().body);
        }
    }
    return seen;
}

TEST(RequestParser, ItsAnswerDoesNotDependOnHowTheBytesAreCut) {
    const std::vector<std::string> streams = {
        "GET / HTTP/1.1\r\nHost: a\r\n\r\nPOST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
        "chunked\r\n\r\n5;x=\"y\"\r\nabcde\r\n0\r\nA: b\r\n\r\n"
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nlast",
        "GET / HTTP/1.1\r\nHost: a\r\nA: b\nC: d\r\n\r\n",
        "GET / HTTP/1.1\n\n",
        "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n" +
            std::string(32, 'x') + "\r\n20\r\n" + std::string(32, 'x') + "\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcdefg\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(3000, 'x') + "\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(3000, 'x'),
    };
    Random random(7);
    for (const auto& stream : streams) {
        auto whole = outcome(stream, nullptr);
        for (int round = 0; round < 50; ++round)
            EXPECT_EQ(outcome(stream, &random), whole) << stream.substr(0, 60);
    }
    EXPECT_EQ(outcome(streams[0], nullptr), (std::vector<std::string>{"", "abcde", "last"}));
    EXPECT_EQ(outcome(streams[4], nullptr), std::vector<std::string>{"413"});
    EXPECT_EQ(outcome(streams[6], nullptr), std::vector<std::string>{"431"});
}

TEST(RequestParser, KnowsWhenTheConnectionIsKept) {
    auto keeps = [](std::string_view text) {
        RequestParser parser;
        EXPECT_EQ(parser.feed(text), State::complete);
        return parser.keep_alive();
    };
    EXPECT_TRUE(keeps("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    EXPECT_FALSE(keeps("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade, Close\r\n\r\n"));
    EXPECT_FALSE(keeps("GET / HTTP/1.0\r\n\r\n"));
    EXPECT_TRUE(keeps("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"));
}

TEST(RequestParser, TakesAbsoluteTargetsApart) {
    RequestParser parser;
    std::string_view input = "GET http://other:80/p?q=1 HTTP/1.1\r\nHost: a\r\n\r\n";
    ASSERT_EQ(parser.feed(input), State::complete);
    auto request = parser.take();
    EXPECT_EQ(request.target, "/p?q=1");
    EXPECT_EQ(request.path, "/p");
}

TEST(ResponseParser, SkipsInterimAnswersAndReadsChunks) {
    ResponseParser parser(false);
    std::string_view input = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: "
                             "chunked\r\n\r\n2\r\nab\r\n0\r\n\r\nrest";
    ASSERT_EQ(parser.feed(input), ResponseParser::State::complete);
    EXPECT_EQ(parser.response().status, 200);
    EXPECT_EQ(parser.body(), "ab");
    EXPECT_EQ(input, "rest");
    EXPECT_TRUE(parser.keep_alive());
}

TEST(ResponseParser, ABodyWithoutLengthEndsWithTheConnectionAndATornOneFails) {
    ResponseParser open(false), torn(false);
    std::string_view first = "HTTP/1.1 200 OK\r\n\r\nall",
                     second = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf";
    open.feed(first);
    EXPECT_EQ(open.end_of_input(), ResponseParser::State::complete);
    EXPECT_EQ(open.body(), "all");
    torn.feed(second);
    EXPECT_EQ(torn.end_of_input(), ResponseParser::State::failed);
}

TEST(Query, DecodesFormsAndKeepsWhatIsNoEscape) {
    auto query = Query::parse("a=1+2&b=%zz&&a=%41&flag&watch=True");
    EXPECT_EQ(query.get("a"), "1 2");
    EXPECT_EQ(query.all("a"), (std::vector<std::string_view>{"1 2", "A"}));
    EXPECT_EQ(query.get("b"), "%zz");
    EXPECT_TRUE(query.has("flag"));
    EXPECT_TRUE(query.get_bool("watch"));
    EXPECT_FALSE(query.get_bool("flag"));
    EXPECT_EQ(Query::parse("x=a%20b&y").to_string(), "x=a%20b&y=");
}

TEST(Url, IsTakenApartOrRefusedWithAReason) {
    auto url = parse_url("https://[fd00::1]:6443/a/b?c=d#e");
    ASSERT_TRUE(url);
    EXPECT_EQ(url->host, "fd00::1");
    EXPECT_EQ(url->port, 6443);
    EXPECT_EQ(url->target, "/a/b?c=d");
    for (const char* wrong :
         {"https://[[2]/", "https://[2]/", "https://a]b/", "https://[::1%eth0]/"})
        EXPECT_FALSE(parse_url(wrong)) << wrong;
    EXPECT_EQ(parse_url("http://10.0.0.1")->port, 80);
    EXPECT_EQ(parse_url("http://10.0.0.1?x=1")->target, "/?x=1");
    for (auto bad : {"10.0.0.1", "ftp://x/", "http://", "http://x:0/", "http://x:70000/",
                     "http://u@x/", "http://x/a b", "http://[::1"})
        EXPECT_FALSE(parse_url(bad)) << bad;
}

TEST(Headers, CompareWithoutCaseAndFindTokensInLists) {
    Headers headers{{"Connection", "keep-alive, Upgrade"}, {"A", "1"}, {"a", "2"}};
    EXPECT_TRUE(headers.has_token("CONNECTION", "upgrade"));
    EXPECT_FALSE(headers.has_token("connection", "up"));
    EXPECT_EQ(headers.all("A").size(), 2u);
    headers.set("a", "3");
    EXPECT_EQ(headers.all("A"), std::vector<std::string_view>{"3"});
}

} // namespace
} // namespace cloudlet::net
