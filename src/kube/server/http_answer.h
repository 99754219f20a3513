#pragma once
// Answers as HTTP: one place for status codes, content types and warnings.

#include <string>
#include <vector>

#include "cloudlet/net/http_server.h"
#include "core.h"
#include "watch_event.h"

namespace cloudlet::kube::server {

net::Response failure_response(const Failure& failure);
void answer_failure(net::Exchange& exchange, const Failure& failure);
void answer_json(net::Exchange& exchange, int status, const Json& json,
                 const std::vector<std::string>& warnings = {});
void answer_text(net::Exchange& exchange, int status, std::string text);

/// An object in the form the client asked for. Bytes are shared, not copied, in the plain form.
void answer_object(net::Exchange& exchange, int status, const api::Kind& kind,
                   const EventStyle& style, const SharedBytes& json, WallTime now,
                   const std::vector<std::string>& warnings = {});
void answer_list(net::Exchange& exchange, const api::Kind& kind, const EventStyle& style,
                 const Listing& listing, WallTime now);

} // namespace cloudlet::kube::server
