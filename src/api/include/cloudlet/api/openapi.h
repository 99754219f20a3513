#pragma once
// The OpenAPI v3 documents of the API, made from the schemas: one per group-version and an index
// whose URLs carry a hash, so that clients cache them. kubectl reads field types, PATCH content
// types and query parameters here (create, apply, diff, explain).

#include <string>
#include <string_view>

#include "cloudlet/api/kind.h"

namespace cloudlet::api {

/// The JSON text served at /openapi/v3/<path>, path being "api/v1" or "apis/apps/v1". Empty when no
/// such group-version. Tens of kilobytes; make it once and keep it.
std::string openapi_v3(const Kinds& kinds, std::string_view path);

/// The JSON text of /openapi/v3:
/// {"paths":{"api/v1":{"serverRelativeURL":"/openapi/v3/api/v1?hash=..."}}}. The hash is the
/// SHA-512 of the document, upper-case hex.
std::string openapi_v3_index(const Kinds& kinds);

/// An OpenAPI v2 document without definitions, in gnostic's protobuf form and as JSON. kubectl 1.32
/// reads it before it sends a List, kubectl 1.20 before it sends anything: a kind that it does not
/// find there it does not check, and leaves the checking to the server.
std::string openapi_v2_protobuf();
std::string openapi_v2_json();

} // namespace cloudlet::api
