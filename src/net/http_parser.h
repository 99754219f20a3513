#pragma once
// HTTP/1.1 messages from bytes (RFC 9112), strict where leniency would let two parties see two
// different messages: a line ends in CRLF and nothing else, no folded headers, no space before a
// colon, one Content-Length, never beside a Transfer-Encoding. Pure; fed with whatever arrived.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "cloudlet/net/http_message.h"

namespace cloudlet::net {

struct ParserLimits {
    size_t max_header_bytes = 64 << 10;
    size_t max_body_bytes = 3 << 20;
};

/// Joins the bytes of a message head until its empty line. The common case, a head that came in one
/// piece, is not copied.
class HeadBuffer {
public:
    enum class State { incomplete, complete, too_large, bare_line_feed };
    /// Consumes from `input`; when complete, head() is valid until the next call or clear().
    State take(std::string_view& input, size_t limit);
    std::string_view head() const { return head_; } // without the empty line's CRLF
    void clear();
    bool empty() const { return kept_.empty(); }

private:
    std::string kept_;
    std::string_view head_;
};

/// The body of a message, of known length, chunked, or up to the end of the connection.
class BodyReader {
public:
    enum class State { incomplete, complete, too_large, malformed };
    void start_length(uint64_t length);
    void start_chunked();
    void start_until_end();
    /// Consumes from `input`, hands data to `sink` (in pieces), stops at the end of the body.
    template <typename Sink>
    State take(std::string_view& input, Sink sink) {
        while (state_ == State::incomplete) {
            auto piece = next(input);
            if (piece.empty()) break;
            sink(piece);
        }
        return state_;
    }
    State state() const { return state_; }
    /// The connection ended: completes a body that lasts until then.
    State end_of_input();
    /// Bytes that a body of known length still needs.
    uint64_t remaining() const { return mode_ == Mode::length ? remaining_ : 0; }

private:
    enum class Mode { length, chunked, until_end };
    enum class Step { size, data, data_end, trailer };
    std::string_view next(std::string_view& input);
    std::string_view take_data(std::string_view& input);
    bool take_line(std::string_view& input);
    bool handle_line();

    Mode mode_ = Mode::length;
    Step step_ = Step::size;
    State state_ = State::complete;
    uint64_t remaining_ = 0;
    size_t trailer_bytes_ = 0;
    std::string line_; // a chunk's size or a trailer field in progress
};

/// A server's view. After `failed`, status() and message() say what to answer before closing.
class RequestParser {
public:
    enum class State { head, body, complete, failed };
    explicit RequestParser(ParserLimits limits = {}) : limits_(limits) {}

    /// Consumes from `input` up to the end of one request at most.
    State feed(std::string_view& input);
    State state() const { return state_; }
    int status() const { return status_; }
    const std::string& message() const { return message_; }

    /// True between the head and the first body byte of a request with Expect: 100-continue.
    bool wants_continue() const { return wants_continue_ && state_ == State::body; }
    void continue_sent() { wants_continue_ = false; }
    bool keep_alive() const { return keep_alive_; }
    bool http_1_0() const { return minor_version_ == 0; }
    /// True when nothing of a next request has come.
    bool idle() const { return state_ == State::head && head_.empty(); }

    /// The complete request; the parser is ready for the next.
    Request take();

private:
    State refuse(int status, std::string message);
    State parse_head();
    State parse_request_line(std::string_view line);
    State parse_target();
    State parse_fields(std::string_view fields);
    State choose_body();

    ParserLimits limits_;
    State state_ = State::head;
    HeadBuffer head_;
    BodyReader body_;
    Request request_;
    int minor_version_ = 1;
    bool keep_alive_ = true;
    bool wants_continue_ = false;
    int status_ = 0;
    std::string message_;
};

/// A client's view of one answer.
class ResponseParser {
public:
    enum class State { head, body, complete, failed };
    /// `head_request`: the answer has no body whatever it says.
    explicit ResponseParser(bool head_request, ParserLimits limits = {})
        : limits_(limits), no_body_(head_request) {}

    /// Consumes from `input`; body bytes are added to body(). Interim answers (1xx but 101) are
    /// skipped.
    State feed(std::string_view& input);
    State end_of_input();
    State state() const { return state_; }
    const std::string& message() const { return message_; }
    bool too_large() const { return too_large_; }

    Response& response() { return response_; } // head: complete once the state is past it
    bool keep_alive() const { return keep_alive_; }
    /// Body bytes so far; a streaming caller empties it between feeds.
    std::string& body() { return response_.body; }

private:
    State refuse(std::string message);
    State parse_head();
    State choose_body();

    ParserLimits limits_;
    bool no_body_;
    State state_ = State::head;
    HeadBuffer head_;
    BodyReader body_;
    Response response_;
    bool keep_alive_ = true;
    bool too_large_ = false;
    std::string message_;
};

} // namespace cloudlet::net
