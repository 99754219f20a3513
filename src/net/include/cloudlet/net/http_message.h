#pragma once
// HTTP messages as values (RFC 9110): what a handler reads and what it answers. No I/O here.

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cloudlet/base/bytes.h"
#include "cloudlet/base/result.h"

namespace cloudlet::net {

/// Header fields in the order they came; names compare without case; a name may occur many times.
class Headers {
public:
    using Field = std::pair<std::string, std::string>;
    Headers() = default;
    Headers(std::initializer_list<Field> fields) : fields_(fields) {}

    /// The first value of that name, or an empty view (has() tells absent from empty).
    std::string_view get(std::string_view name) const;
    bool has(std::string_view name) const;
    std::vector<std::string_view> all(std::string_view name) const;
    /// True when a comma-separated list field ("Connection: keep-alive, Upgrade") holds the token.
    bool has_token(std::string_view name, std::string_view token) const;

    Headers& add(std::string name, std::string value);
    /// Replaces every field of that name.
    Headers& set(std::string_view name, std::string value);
    void remove(std::string_view name);

    auto begin() const { return fields_.begin(); }
    auto end() const { return fields_.end(); }
    size_t size() const { return fields_.size(); }
    bool empty() const { return fields_.empty(); }

private:
    std::vector<Field> fields_;
};

/// The decoded parameters of a URL's query, in order ('+' is a space, as in HTML forms).
class Query {
public:
    using Parameter = std::pair<std::string, std::string>;
    /// Bad escapes are kept as they are written; a parameter without '=' has an empty value.
    static Query parse(std::string_view text);

    std::string_view get(std::string_view name) const; // first; empty when absent
    bool has(std::string_view name) const;
    std::vector<std::string_view> all(std::string_view name) const;
    /// "1", "t", "true" in any case are true, as Go's strconv.ParseBool; "" and all others are
    /// false.
    bool get_bool(std::string_view name) const;
    void add(std::string name, std::string value) {
        parameters_.emplace_back(std::move(name), std::move(value));
    }
    /// Percent-encoded, without '?'.
    std::string to_string() const;

    auto begin() const { return parameters_.begin(); }
    auto end() const { return parameters_.end(); }
    size_t size() const { return parameters_.size(); }
    bool empty() const { return parameters_.empty(); }

private:
    std::vector<Parameter> parameters_;
};

/// Who is at the other end. A certificate counts only after it was verified against the client CA.
struct PeerIdentity {
    bool has_certificate = false;
    std::string common_name = {};                // subject CN
    std::vector<std::string> organizations = {}; // subject O, all of them
    std::string address = {};                    // "10.0.0.1"; empty on a unix socket
    bool control_socket = false; // came over a unix socket: its file mode is the door
};

struct Request {
    std::string method = "GET";
    std::string target = {}; // as sent: "/api/v1/pods?limit=5"
    std::string path = {};   // percent-decoded, without query
    Query query = {};
    Headers headers = {};
    std::string body = {};
    PeerIdentity peer = {};
};

struct Response {
    int status = 200;
    Headers headers = {}; // Content-Length, Date and Connection are ours to set
    std::string body = {};
    SharedBytes shared_body = {}; // sent instead of `body` when set, without a copy
};

/// "Not Found" for 404; "Unknown" for a number without a name.
std::string_view reason_phrase(int status);

/// %XX is decoded. Error: Code::invalid for a broken escape or an encoded NUL.
Result<std::string> percent_decode(std::string_view text);
/// Everything but RFC 3986 unreserved characters and those in `keep` becomes %XX.
std::string percent_encode(std::string_view text, std::string_view keep = {});

struct Url {
    std::string scheme; // "http" or "https"
    std::string host;   // without brackets
    uint16_t port = 0;  // the scheme's default when not given
    std::string target; // path and query, at least "/"
};
/// Error: Code::invalid, naming the text and what is wrong.
Result<Url> parse_url(std::string_view text);

} // namespace cloudlet::net
