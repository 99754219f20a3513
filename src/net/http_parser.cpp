#include "http_parser.h"

#include "text.h"

namespace cloudlet::net {
namespace {

constexpr size_t max_fields = 200;
constexpr size_t max_chunk_line = 4096; // size and extensions
constexpr size_t max_trailers = 16 << 10;

/// A line feed that no carriage return precedes, at or after `from`.
bool has_bare_line_feed(std::string_view text, size_t from) {
    for (size_t at = text.find('\n', from); at != std::string_view::npos;
         at = text.find('\n', at + 1))
        if (at == 0 || text[at - 1] != '\r') return true;
    return false;
}

bool is_field_value(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) {
        auto byte = static_cast<unsigned char>(c);
        return byte == '\t' || (byte >= ' ' && byte != 0x7f);
    });
}

/// Splits "name: value" lines. Returns what is wrong, or an empty view.
std::string_view parse_field_lines(std::string_view fields, Headers& headers) {
    size_t count = 0;
    while (!fields.empty()) {
        auto end = fields.find("\r\n");
        auto line = fields.substr(0, end);
        fields = end == std::string_view::npos ? std::string_view{} : fields.substr(end + 2);
        if (++count > max_fields) return "too many header fields";
        if (line.empty()) return "an empty header line";
        if (line[0] == ' ' || line[0] == '\t') return "a folded header line";
        auto colon = line.find(':');
        if (colon == std::string_view::npos) return "a header line without a colon";
        if (!is_token(line.substr(0, colon)))
            return "a header name with a character that is not allowed";
        auto value = trim(line.substr(colon + 1));
        if (!is_field_value(value)) return "a header value with a control character";
        headers.add(std::string(line.substr(0, colon)), std::string(value));
    }
    return {};
}

struct Framing {
    bool chunked = false;
    std::optional<uint64_t> length;
    std::string_view error; // when set, the framing is ambiguous or wrong
    bool unknown_coding = false;
};

/// RFC 9112 section 6.3, refusing everything that another party could read differently.
Framing framing_of(const Headers& headers) {
    Framing framing;
    size_t lengths = 0, codings = 0;
    for (const auto& [name, value] : headers) {
        if (equal_ignoring_case(name, "content-length")) {
            framing.length = parse_decimal(value);
            if (!framing.length) framing.error = "Content-Length is not a number";
            if (++lengths > 1) framing.error = "Content-Length is given more than once";
        } else if (equal_ignoring_case(name, "transfer-encoding")) {
            framing.chunked = equal_ignoring_case(value, "chunked");
            framing.unknown_coding = framing.unknown_coding || !framing.chunked;
            if (++codings > 1) framing.error = "Transfer-Encoding is given more than once";
        }
    }
    if (lengths && codings) framing.error = "both Content-Length and Transfer-Encoding are given";
    return framing;
}

} // namespace

HeadBuffer::State HeadBuffer::take(std::string_view& input, size_t limit) {
    // Empty lines before a start line are skipped (RFC 9112 section 2.2).
    if (kept_ == "\r" && input.starts_with('\n')) {
        kept_.clear();
        input.remove_prefix(1);
    }
    while (kept_.empty() && input.starts_with("\r\n")) input.remove_prefix(2);
    // Only the first `limit` bytes are looked at, so the verdict does not depend on how the rest
    // came.
    size_t before = kept_.size();
    std::string_view text = input.substr(0, limit);
    if (before) text = kept_.append(input.substr(0, limit - before));
    auto end = text.find("\r\n\r\n", before > 3 ? before - 3 : 0);
    if (has_bare_line_feed(text.substr(0, end), before ? before - 1 : 0))
        return State::bare_line_feed;
    if (end == std::string_view::npos && text.size() >= limit) return State::too_large;
    if (end == std::string_view::npos) {
        if (!before) kept_.assign(input);
        input = {};
        return State::incomplete;
    }
    head_ = text.substr(0, end + 2);
    input.remove_prefix(end + 4 - before);
    return State::complete;
}

void HeadBuffer::clear() {
    head_ = {};
    std::string().swap(kept_);
}

void BodyReader::start_length(uint64_t length) {
    mode_ = Mode::length;
    remaining_ = length;
    state_ = length ? State::incomplete : State::complete;
}

void BodyReader::start_chunked() {
    mode_ = Mode::chunked;
    step_ = Step::size;
    state_ = State::incomplete;
    trailer_bytes_ = 0;
    line_.clear();
}

void BodyReader::start_until_end() {
    mode_ = Mode::until_end;
    state_ = State::incomplete;
}

BodyReader::State BodyReader::end_of_input() {
    if (state_ == State::incomplete)
        state_ = mode_ == Mode::until_end ? State::complete : State::malformed;
    return state_;
}

std::string_view BodyReader::take_data(std::string_view& input) {
    auto piece = input.substr(0, static_cast<size_t>(std::min<uint64_t>(remaining_, input.size())));
    input.remove_prefix(piece.size());
    remaining_ -= piece.size();
    return piece;
}

/// The next piece of data; empty when there is none in the input or the state changed.
std::string_view BodyReader::next(std::string_view& input) {
    if (mode_ == Mode::until_end) return std::exchange(input, {});
    if (mode_ == Mode::length) {
        auto piece = take_data(input);
        if (remaining_ == 0) state_ = State::complete;
        return piece;
    }
    while (!input.empty() && state_ == State::incomplete) {
        if (step_ == Step::data) {
            auto piece = take_data(input);
            if (remaining_ == 0) step_ = Step::data_end;
            return piece;
        }
        if (take_line(input) && !handle_line()) state_ = State::malformed;
    }
    return {};
}

/// True when line_ holds a whole line (without CRLF). A bare LF or CR is malformed.
bool BodyReader::take_line(std::string_view& input) {
    auto feed = input.find('\n');
    auto part = input.substr(0, feed == std::string_view::npos ? feed : feed + 1);
    input.remove_prefix(part.size());
    line_.append(part);
    if (line_.size() > max_chunk_line) {
        state_ = State::malformed;
        return false;
    }
    if (feed == std::string_view::npos) return false;
    if (line_.size() < 2 || line_[line_.size() - 2] != '\r') {
        state_ = State::malformed;
        return false;
    }
    line_.resize(line_.size() - 2);
    return true;
}

bool BodyReader::handle_line() {
    std::string line = std::exchange(line_, {});
    if (!is_field_value(line)) return false;
    if (step_ == Step::data_end) {
        step_ = Step::size;
        return line.empty();
    }
    if (step_ == Step::trailer) {
        trailer_bytes_ += line.size() + 2;
        if (line.empty()) state_ = State::complete;
        return trailer_bytes_ <= max_trailers;
    }
    auto digits = std::string_view(line).substr(0, line.find_first_of("; \t"));
    if (digits.empty() || digits.size() > 8) return false;
    remaining_ = 0;
    for (char c : digits) {
        if (hex_value(c) < 0) return false;
        remaining_ = remaining_ * 16 + static_cast<uint64_t>(hex_value(c));
    }
    auto extension = trim(std::string_view(line).substr(digits.size()));
    if (!extension.empty() && extension[0] != ';') return false;
    step_ = remaining_ ? Step::data : Step::trailer;
    return true;
}

RequestParser::State RequestParser::refuse(int status, std::string message) {
    status_ = status;
    message_ = std::move(message);
    keep_alive_ = false;
    return state_ = State::failed;
}

RequestParser::State RequestParser::feed(std::string_view& input) {
    if (state_ == State::head) {
        switch (head_.take(input, limits_.max_header_bytes)) {
        case HeadBuffer::State::incomplete: return state_;
        case HeadBuffer::State::bare_line_feed:
            return refuse(400, "a line of the request head does not end in CRLF");
        case HeadBuffer::State::too_large:
            return refuse(431, fmt::format("the request head is larger than {} bytes",
                                           limits_.max_header_bytes));
        case HeadBuffer::State::complete: parse_head(); head_.clear();
        }
    }
    if (state_ != State::body) return state_;
    if (!input.empty()) wants_continue_ = false; // the client did not wait
    auto body = body_.take(input, [&](std::string_view piece) {
        if (request_.body.size() + piece.size() <= limits_.max_body_bytes) {
            request_.body.append(piece);
        } else {
            refuse(413,
                   fmt::format("the request body is larger than {} bytes", limits_.max_body_bytes));
        }
    });
    if (state_ == State::failed) return state_;
    if (body == BodyReader::State::malformed)
        return refuse(400, "the chunked request body is malformed");
    if (body == BodyReader::State::complete) state_ = State::complete;
    return state_;
}

RequestParser::State RequestParser::parse_head() {
    auto head = head_.head();
    auto line_end = head.find("\r\n");
    if (parse_request_line(head.substr(0, line_end)) == State::failed) return state_;
    if (parse_target() == State::failed) return state_;
    if (parse_fields(head.substr(line_end + 2)) == State::failed) return state_;
    return choose_body();
}

RequestParser::State RequestParser::parse_request_line(std::string_view line) {
    auto first = line.find(' ');
    auto last = line.rfind(' ');
    if (first == std::string_view::npos || first == last)
        return refuse(400, "the request line is malformed");
    auto method = line.substr(0, first), target = line.substr(first + 1, last - first - 1),
         version = line.substr(last + 1);
    if (!is_token(method) || method.size() > 32)
        return refuse(400, "the request method is malformed");
    bool clean = std::all_of(target.begin(), target.end(), [](char c) {
        auto byte = static_cast<unsigned char>(c);
        return byte > ' ' && byte != 0x7f;
    });
    if (target.empty() || !clean) return refuse(400, "the request target is malformed");
    if (version == "HTTP/1.1") {
        minor_version_ = 1;
    } else if (version == "HTTP/1.0") {
        minor_version_ = 0;
    } else {
        bool http = version.starts_with("HTTP/");
        return refuse(http ? 505 : 400, http ? "only HTTP/1.0 and HTTP/1.1 are spoken here"
                                             : "the request line is malformed");
    }
    request_.method = method;
    request_.target = target;
    return state_;
}

RequestParser::State RequestParser::parse_target() {
    std::string_view target = request_.target;
    if (request_.method == "CONNECT") return refuse(501, "CONNECT is not served here");
    if (target.starts_with("http://") || target.starts_with("https://")) {
        auto path = target.find('/', target.find("//") + 2);
        target = path == std::string_view::npos ? std::string_view("/") : target.substr(path);
        request_.target = std::string(target);
        target = request_.target;
    }
    if (target[0] != '/' && target != "*")
        return refuse(400, "the request target does not begin with /");
    if (target.find('#') != std::string_view::npos)
        return refuse(400, "the request target has a fragment");
    auto question = target.find('?');
    auto path = percent_decode(target.substr(0, question));
    if (!path) return refuse(400, "the request target is malformed: " + path.error().message);
    request_.path = std::move(*path);
    if (question != std::string_view::npos)
        request_.query = Query::parse(target.substr(question + 1));
    return state_;
}

RequestParser::State RequestParser::parse_fields(std::string_view fields) {
    auto problem = parse_field_lines(fields, request_.headers);
    if (problem == "too many header fields")
        return refuse(431, fmt::format("there are more than {} header fields", max_fields));
    if (!problem.empty()) return refuse(400, fmt::format("the request head has {}", problem));
    size_t hosts = 0;
    bool keep = minor_version_ == 1;
    for (const auto& [name, value] : request_.headers) {
        if (equal_ignoring_case(name, "host")) ++hosts;
        if (!equal_ignoring_case(name, "connection")) continue;
        for_each_element(value, [&](std::string_view token) {
            if (equal_ignoring_case(token, "close")) keep = false;
            if (minor_version_ == 0 && equal_ignoring_case(token, "keep-alive")) keep = true;
        });
    }
    keep_alive_ = keep;
    if (hosts > 1 || (hosts == 0 && minor_version_ == 1))
        return refuse(400, "a request names exactly one Host");
    return state_;
}

RequestParser::State RequestParser::choose_body() {
    auto framing = framing_of(request_.headers);
    if (!framing.error.empty()) return refuse(400, std::string(framing.error));
    if (framing.unknown_coding)
        return refuse(501, "the only Transfer-Encoding served here is chunked");
    if (framing.chunked && minor_version_ == 0)
        return refuse(400, "HTTP/1.0 has no Transfer-Encoding");
    if (framing.length && *framing.length > limits_.max_body_bytes)
        return refuse(413, fmt::format("the request body of {} bytes is larger than {} bytes",
                                       *framing.length, limits_.max_body_bytes));
    auto expect = request_.headers.get("expect");
    if (!expect.empty() && !equal_ignoring_case(expect, "100-continue"))
        return refuse(417, "the only expectation served here is 100-continue");
    if (framing.chunked) {
        body_.start_chunked();
    } else {
        body_.start_length(framing.length.value_or(0));
    }
    // The reservation trusts nobody: a client must send most of a large body before it costs
    // memory.
    request_.body.reserve(
        static_cast<size_t>(std::min<uint64_t>(framing.length.value_or(0), 64 << 10)));
    wants_continue_ = !expect.empty() && minor_version_ == 1;
    return state_ = body_.state() == BodyReader::State::complete ? State::complete : State::body;
}

Request RequestParser::take() {
    Request request = std::exchange(request_, {});
    state_ = State::head;
    wants_continue_ = false;
    return request;
}

ResponseParser::State ResponseParser::refuse(std::string message) {
    message_ = std::move(message);
    keep_alive_ = false;
    return state_ = State::failed;
}

ResponseParser::State ResponseParser::feed(std::string_view& input) {
    while (state_ == State::head) {
        switch (head_.take(input, limits_.max_header_bytes)) {
        case HeadBuffer::State::incomplete: return state_;
        case HeadBuffer::State::bare_line_feed:
            return refuse("a line of the answer's head does not end in CRLF");
        case HeadBuffer::State::too_large: return refuse("the answer's head is too large");
        case HeadBuffer::State::complete: parse_head(); head_.clear();
        }
    }
    if (state_ != State::body) return state_;
    auto body = body_.take(input, [&](std::string_view piece) {
        too_large_ = too_large_ || response_.body.size() + piece.size() > limits_.max_body_bytes;
        if (!too_large_) response_.body.append(piece);
    });
    if (too_large_)
        return refuse(fmt::format("the answer is larger than {} bytes", limits_.max_body_bytes));
    if (body == BodyReader::State::malformed) return refuse("the chunked answer is malformed");
    if (body == BodyReader::State::complete) state_ = State::complete;
    return state_;
}

ResponseParser::State ResponseParser::end_of_input() {
    keep_alive_ = false;
    if (state_ == State::head) return refuse("the connection ended before the answer");
    if (state_ != State::body) return state_;
    if (body_.end_of_input() == BodyReader::State::complete) return state_ = State::complete;
    return refuse("the connection ended in the middle of the answer");
}

ResponseParser::State ResponseParser::parse_head() {
    auto head = head_.head();
    auto line_end = head.find("\r\n");
    auto line = head.substr(0, line_end);
    bool known =
        line.size() >= 12 && (line.starts_with("HTTP/1.1 ") || line.starts_with("HTTP/1.0 "));
    auto status = known ? parse_decimal(line.substr(9, 3)) : std::nullopt;
    if (!status || *status < 100 || (line.size() > 12 && line[12] != ' '))
        return refuse("the answer is not HTTP/1.1");
    response_ = Response{};
    response_.status = static_cast<int>(*status);
    auto problem = parse_field_lines(head.substr(line_end + 2), response_.headers);
    if (!problem.empty()) return refuse(fmt::format("the answer's head has {}", problem));
    keep_alive_ = line[7] == '1' ? !response_.headers.has_token("connection", "close")
                                 : response_.headers.has_token("connection", "keep-alive");
    if (*status < 200 && *status != 101) return state_; // interim: the real one follows
    return choose_body();
}

ResponseParser::State ResponseParser::choose_body() {
    int status = response_.status;
    if (no_body_ || status == 101 || status == 204 || status == 304)
        return state_ = State::complete;
    auto framing = framing_of(response_.headers);
    if (!framing.error.empty()) return refuse("in the answer " + std::string(framing.error));
    if (framing.unknown_coding) return refuse("the answer has an unknown Transfer-Encoding");
    if (framing.chunked) {
        body_.start_chunked();
    } else if (framing.length) {
        body_.start_length(*framing.length);
    } else {
        keep_alive_ = false;
        body_.start_until_end();
    }
    return state_ = body_.state() == BodyReader::State::complete ? State::complete : State::body;
}

} // namespace cloudlet::net
