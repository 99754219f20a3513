#include "http_format.h"

#include <charconv>
#include <ctime>

#include "text.h"

namespace cloudlet::net {
namespace {

/// The Date header's line, made once per second and thread.
const std::string& date_line() {
    thread_local std::time_t made = 0;
    thread_local std::string line;
    std::time_t now = ::time(nullptr);
    if (now != made) {
        made = now;
        std::tm utc{};
        gmtime_r(&now, &utc);
        static constexpr const char* days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
        static constexpr const char* months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                 "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
        line = fmt::format("Date: {}, {:02} {} {} {:02}:{:02}:{:02} GMT\r\n", days[utc.tm_wday],
                           utc.tm_mday, months[utc.tm_mon], utc.tm_year + 1900, utc.tm_hour,
                           utc.tm_min, utc.tm_sec);
    }
    return line;
}

void append_status_line(std::string& out, int status) {
    fmt::format_to(std::back_inserter(out), "HTTP/1.1 {} {}\r\n", status, reason_phrase(status));
}

/// A value from a program's data must not end its line.
void append_field(std::string& out, std::string_view name, std::string_view value) {
    size_t start = out.size() + name.size() + 2;
    out.append(name).append(": ").append(value).append("\r\n");
    for (size_t i = start; i + 2 < out.size(); ++i)
        if (out[i] == '\r' || out[i] == '\n' || out[i] == '\0') out[i] = ' ';
}

bool is_ours(std::string_view name) {
    return equal_ignoring_case(name, "content-length") || equal_ignoring_case(name, "connection") ||
           equal_ignoring_case(name, "transfer-encoding") || equal_ignoring_case(name, "date");
}

} // namespace

bool status_has_body(int status) { return status >= 200 && status != 204 && status != 304; }

std::string format_head(const AnswerFrame& frame, int status, const Headers& headers,
                        std::optional<size_t> length) {
    std::string out;
    out.reserve(256);
    append_status_line(out, status);
    out += date_line();
    for (const auto& [name, value] : headers)
        if (is_token(name) && !is_ours(name)) append_field(out, name, value);
    if (status_has_body(status) && length) {
        fmt::format_to(std::back_inserter(out), "Content-Length: {}\r\n", *length);
    } else if (status_has_body(status) && !frame.http_1_0) {
        out += "Transfer-Encoding: chunked\r\n";
    }
    if (!frame.keep_alive) {
        out += "Connection: close\r\n";
    } else if (frame.http_1_0) {
        out += "Connection: keep-alive\r\n";
    }
    return out += "\r\n";
}

std::string format_upgrade(int status, const Headers& headers) {
    std::string out;
    append_status_line(out, status);
    if (status == 101 && !headers.has("connection")) out += "Connection: Upgrade\r\n";
    for (const auto& [name, value] : headers)
        if (is_token(name)) append_field(out, name, value);
    return out += "\r\n";
}

std::string chunk_head(size_t size) {
    char text[20];
    auto end = std::to_chars(text, text + sizeof text, size, 16).ptr;
    return std::string(text, end) + "\r\n";
}

} // namespace cloudlet::net
