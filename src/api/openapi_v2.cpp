#include "cloudlet/api/openapi.h"

#include "cloudlet/codec/json.h"

namespace cloudlet::api {
namespace {

constexpr std::string_view swagger = "2.0", title = "Cloudlet", api_version = "v1.32";

/// A length-delimited protobuf field; everything here is shorter than 128 bytes.
std::string field(char number, std::string_view bytes) {
    std::string encoded{static_cast<char>(number << 3 | 2), static_cast<char>(bytes.size())};
    encoded += bytes;
    return encoded;
}

} // namespace

// gnostic's openapi.v2.Document: swagger = 1, info = 2; Info: title = 1, version = 2.
std::string openapi_v2_protobuf() {
    return field(1, swagger) + field(2, field(1, title) + field(2, api_version));
}

std::string openapi_v2_json() {
    using codec::Json;
    auto info = Json::object({{"title", title}, {"version", api_version}});
    return Json::object({{"swagger", swagger},
                         {"info", std::move(info)},
                         {"paths", Json::object()},
                         {"definitions", Json::object()}})
        .dump();
}

} // namespace cloudlet::api
