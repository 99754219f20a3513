#pragma once
// Media types: what a client wants back (Accept) and what it sends (Content-Type).

#include <string>
#include <string_view>

#include "failure.h"

namespace cloudlet::kube::server {

/// How objects are written for one client.
struct Representation {
    enum class Form { object, table, partial };
    Form form = Form::object;
    std::string version = "v1"; // of meta.k8s.io, for table and partial
    bool yaml = false;
    std::string content_type() const;
};

/// The first entry of an Accept header that we can write. Failure: 406.
Outcome<Representation> negotiate(std::string_view accept);

/// The discovery form an Accept header asks for: "v2", "v2beta1", or "" for the legacy documents.
std::string_view negotiate_discovery(std::string_view accept);

enum class BodyType { json, yaml, merge_patch, strategic_patch, json_patch };

/// Reads Content-Type; `body` settles an absent one. Failures: 415 with what to do instead.
Outcome<BodyType> body_type(std::string_view content_type, std::string_view body, bool is_patch);

} // namespace cloudlet::kube::server
