#include "cloudlet/net/http_message.h"

#include "text.h"

namespace cloudlet::net {

std::string_view Headers::get(std::string_view name) const {
    for (const auto& [field, value] : fields_)
        if (equal_ignoring_case(field, name)) return value;
    return {};
}

bool Headers::has(std::string_view name) const {
    return std::any_of(fields_.begin(), fields_.end(),
                       [&](const Field& field) { return equal_ignoring_case(field.first, name); });
}

std::vector<std::string_view> Headers::all(std::string_view name) const {
    std::vector<std::string_view> values;
    for (const auto& [field, value] : fields_)
        if (equal_ignoring_case(field, name)) values.emplace_back(value);
    return values;
}

bool Headers::has_token(std::string_view name, std::string_view token) const {
    bool found = false;
    for (const auto& [field, value] : fields_) {
        if (!equal_ignoring_case(field, name)) continue;
        for_each_element(value, [&](std::string_view element) {
            found = found || equal_ignoring_case(element, token);
        });
    }
    return found;
}

Headers& Headers::add(std::string name, std::string value) {
    fields_.emplace_back(std::move(name), std::move(value));
    return *this;
}

Headers& Headers::set(std::string_view name, std::string value) {
    remove(name);
    fields_.emplace_back(std::string(name), std::move(value));
    return *this;
}

void Headers::remove(std::string_view name) {
    std::erase_if(fields_,
                  [&](const Field& field) { return equal_ignoring_case(field.first, name); });
}

/// A form's escape; what is no escape stays as it is.
static std::string decode_form(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '+') {
            out += ' ';
        } else if (text[i] == '%' && i + 2 < text.size() && hex_value(text[i + 1]) >= 0 &&
                   hex_value(text[i + 2]) >= 0) {
            out += static_cast<char>(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2]));
            i += 2;
        } else {
            out += text[i];
        }
    }
    return out;
}

Query Query::parse(std::string_view text) {
    Query query;
    while (!text.empty()) {
        auto end = text.find('&');
        auto part = text.substr(0, end);
        text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
        if (part.empty()) continue;
        auto equals = part.find('=');
        auto value =
            equals == std::string_view::npos ? std::string_view{} : part.substr(equals + 1);
        query.add(decode_form(part.substr(0, equals)), decode_form(value));
    }
    return query;
}

std::string_view Query::get(std::string_view name) const {
    for (const auto& [key, value] : parameters_)
        if (key == name) return value;
    return {};
}

bool Query::has(std::string_view name) const {
    return std::any_of(parameters_.begin(), parameters_.end(),
                       [&](const Parameter& p) { return p.first == name; });
}

std::vector<std::string_view> Query::all(std::string_view name) const {
    std::vector<std::string_view> values;
    for (const auto& [key, value] : parameters_)
        if (key == name) values.emplace_back(value);
    return values;
}

bool Query::get_bool(std::string_view name) const {
    auto value = get(name);
    return value == "1" || equal_ignoring_case(value, "t") || equal_ignoring_case(value, "true");
}

std::string Query::to_string() const {
    std::string text;
    for (const auto& [key, value] : parameters_) {
        if (!text.empty()) text += '&';
        text += percent_encode(key) + "=" + percent_encode(value);
    }
    return text;
}

std::string_view reason_phrase(int status) {
    switch (status) {
    case 100: return "Continue";
    case 101: return "Switching Protocols";
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 206: return "Partial Content";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 411: return "Length Required";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 416: return "Range Not Satisfiable";
    case 417: return "Expectation Failed";
    case 422: return "Unprocessable Content";
    case 426: return "Upgrade Required";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    case 507: return "Insufficient Storage";
    default: return "Unknown";
    }
}

Result<std::string> percent_decode(std::string_view text) {
    if (text.find('%') == std::string_view::npos) return std::string(text);
    std::string out;
    out.reserve(text.size());
    for (size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            out += text[i];
            continue;
        }
        int high = i + 2 < text.size() ? hex_value(text[i + 1]) : -1;
        int low = i + 2 < text.size() ? hex_value(text[i + 2]) : -1;
        if (high < 0 || low < 0)
            return fail(Code::invalid, "a % is not followed by two hex digits");
        if (high == 0 && low == 0) return fail(Code::invalid, "an encoded NUL is not allowed");
        out += static_cast<char>(high * 16 + low);
        i += 2;
    }
    return out;
}

std::string percent_encode(std::string_view text, std::string_view keep) {
    std::string out;
    for (char c : text) {
        bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                     std::string_view("-._~").find(c) != std::string_view::npos;
        if (plain || keep.find(c) != std::string_view::npos) {
            out += c;
        } else {
            out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
        }
    }
    return out;
}

/// RFC 3986 section 3.2.2, the characters of an IP-literal.
static bool is_ipv6_text(std::string_view host) {
    return host.find(':') != std::string_view::npos &&
           host.find_first_not_of("0123456789abcdefABCDEF:.") == std::string_view::npos;
}

Result<Url> parse_url(std::string_view text) {
    auto bad = [&](std::string_view why) {
        return fail(Code::invalid, fmt::format("\"{}\": {}", text, why));
    };
    Url url;
    auto scheme_end = text.find("://");
    if (scheme_end == std::string_view::npos) return bad("a URL begins with http:// or https://");
    url.scheme = text.substr(0, scheme_end);
    if (url.scheme != "http" && url.scheme != "https")
        return bad("only http and https URLs are served");
    auto rest = text.substr(scheme_end + 3);
    auto path = rest.find_first_of("/?#");
    auto authority = rest.substr(0, path);
    if (authority.find('@') != std::string_view::npos)
        return bad("a URL with a user name is not supported");
    if (path != std::string_view::npos) url.target = rest.substr(path, rest.find('#') - path);
    if (url.target.empty() || url.target[0] != '/') url.target.insert(0, "/");

    std::string_view port;
    if (!authority.empty() && authority[0] == '[') {
        auto close = authority.find(']');
        if (close == std::string_view::npos) return bad("the address has no closing bracket");
        url.host = authority.substr(1, close - 1);
        if (!is_ipv6_text(url.host)) return bad("in brackets stands an IPv6 address");
        auto after = authority.substr(close + 1);
        if (!after.empty() && after[0] != ':') return bad("after the address comes a port");
        if (!after.empty()) port = after.substr(1);
    } else {
        auto colon = authority.find(':');
        url.host = authority.substr(0, colon);
        if (url.host.find_first_of("[]") != std::string::npos)
            return bad("brackets enclose a whole IPv6 address");
        if (colon != std::string_view::npos) port = authority.substr(colon + 1);
    }
    if (url.host.empty()) return bad("the host is missing");
    url.port = url.scheme == "https" ? 443 : 80;
    if (!port.empty()) {
        auto number = parse_decimal(port);
        if (!number || *number == 0 || *number > 65535)
            return bad("the port is no number from 1 to 65535");
        url.port = static_cast<uint16_t>(*number);
    }
    for (char c : url.target)
        if (static_cast<unsigned char>(c) <= ' ' || c == 0x7f)
            return bad("spaces and controls must be percent-encoded");
    return url;
}

} // namespace cloudlet::net
