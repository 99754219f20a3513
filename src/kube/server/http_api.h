#pragma once
// The HTTP face: one function that reads as the way of a request, and the paths that are no
// resources.

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "core.h"
#include "http_answer.h"
#include "watch_hub.h"

namespace cloudlet::kube::server {

using ExchangePointer = std::shared_ptr<net::Exchange>;

/// /api, /apis, /openapi, /version and health. Thread-safe.
class PathRoutes {
public:
    explicit PathRoutes(Core& core) : core_(core) {}
    /// Health and version: for anybody. True when answered.
    bool answer_public(net::Exchange& exchange);
    Outcome<> answer(net::Exchange& exchange);

private:
    bool answer_health(net::Exchange& exchange);
    Outcome<> answer_openapi(net::Exchange& exchange, std::string_view path);
    Json discovery(const net::Request& request, std::string_view path) const;
    SharedBytes openapi_document(std::string_view path, std::string* hash);
    SharedBytes aggregated(bool core_group, std::string_view version);

    Core& core_;
    std::mutex mutex_;
    std::map<std::string, SharedBytes, std::less<>> documents_;
    std::map<std::string, std::string, std::less<>> hashes_;
};

class HttpApi {
public:
    HttpApi(Core& core, std::shared_ptr<WatchHub> hub)
        : core_(core), hub_(std::move(hub)), paths_(core) {}

    /// A request on a worker.
    void handle(const ExchangePointer& exchange);
    /// A request on the loop's thread: true when it was answered. For reads of one cached object.
    bool handle_inline(const ExchangePointer& exchange);

private:
    Outcome<> dispatch(const ExchangePointer& exchange);
    Outcome<> serve(const ExchangePointer& exchange, const Target& target);
    Outcome<> serve_subresource(const ExchangePointer& exchange, const Target& target);
    Outcome<> serve_read(const ExchangePointer& exchange, const Target& target,
                         const EventStyle& style);
    Outcome<> serve_write(const ExchangePointer& exchange, const Target& target);
    Outcome<> serve_delete(const ExchangePointer& exchange, const Target& target);
    Outcome<> serve_scale(const ExchangePointer& exchange, const Target& target);
    Outcome<> serve_post(const ExchangePointer& exchange, const Target& target);

    Core& core_;
    std::shared_ptr<WatchHub> hub_;
    PathRoutes paths_;
};

} // namespace cloudlet::kube::server
