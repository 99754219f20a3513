#pragma once
// The head of an answer as bytes.

#include <string>

#include "cloudlet/net/http_message.h"

namespace cloudlet::net {

/// What an answer's head depends on besides the answer.
struct AnswerFrame {
    bool head_request = false; // no body follows, whatever the headers say
    bool http_1_0 = false;     // no chunks; keep-alive must be said
    bool keep_alive = true;
};

bool status_has_body(int status);

/// With a length: Content-Length. Without: chunked (or up to the end for HTTP/1.0).
std::string format_head(const AnswerFrame& frame, int status, const Headers& headers,
                        std::optional<size_t> length);
/// The head of a 101 or a hijack: no framing, the headers as given, Connection: Upgrade for a 101.
std::string format_upgrade(int status, const Headers& headers);
/// "fa\r\n" for 250.
std::string chunk_head(size_t size);

} // namespace cloudlet::net
