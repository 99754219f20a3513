// The request and response parsers: no input crashes them, and how it is cut changes nothing.

#include <cstdint>
#include <cstdlib>

#include "http_parser.h"

using namespace cloudlet::net;

static std::string run(std::string_view bytes, size_t step) {
    RequestParser parser({.max_header_bytes = 4096, .max_body_bytes = 4096});
    std::string trace;
    while (!bytes.empty()) {
        auto piece = bytes.substr(0, step);
        bytes.remove_prefix(piece.size());
        while (!piece.empty()) {
            auto state = parser.feed(piece);
            if (state == RequestParser::State::failed)
                return trace + std::to_string(parser.status());
            if (state != RequestParser::State::complete) continue;
            auto request = parser.take();
            trace +=
                request.method + request.target + request.query.to_string() + request.body + "|";
            for (const auto& [name, value] : request.headers) trace += name + value;
        }
    }
    return trace;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    std::string_view bytes(reinterpret_cast<const char*>(data), size);
    if (run(bytes, size + 1) != run(bytes, 1)) std::abort();
    ResponseParser response(size % 2, {4096, 4096});
    auto rest = bytes;
    while (!rest.empty() && response.feed(rest) < ResponseParser::State::complete) {
    }
    response.end_of_input();
    if (auto url = parse_url(bytes)) {
        std::string host =
            url->host.find(':') == std::string::npos ? url->host : "[" + url->host + "]";
        auto again = parse_url(url->scheme + "://" + host + url->target);
        if (!again || again->target != url->target || again->host != url->host) std::abort();
    }
    return 0;
}
