#pragma once
// How controllers, scheduler and node agent reach the API. In the server's process a call is a
// function call through the same pipeline that HTTP requests take; the semantics are the same.
//
// Calls block until the change is durable, so they belong on worker threads, never on an event
// loop.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cloudlet/api/object.h"
#include "cloudlet/api/resources.h"
#include "cloudlet/api/selector.h"
#include "cloudlet/base/result.h"

namespace cloudlet::api {

enum class PatchType { merge, strategic, json };

struct ListOptions {
    LabelSelector labels;
    FieldSelector fields;
    int64_t limit = 0; // 0: all
    std::string continue_token;
};

struct ObjectList {
    std::vector<Object> items;
    std::string resource_version; // the snapshot the list shows; a watch goes on from here
    std::string continue_token;
};

struct WatchOptions {
    LabelSelector labels;
    FieldSelector fields;
    std::string resource_version; // empty: start with ADDED events of everything there is
};

struct WatchEvent {
    enum class Type { added, modified, deleted, bookmark, error };
    Type type = Type::added;
    Object object; // for error: a Status
};

/// Ends its watch when destroyed; after the destructor returns the callback does not run any more.
class Watch {
public:
    virtual ~Watch() = default;
};

struct DeleteOptions {
    std::optional<int64_t> grace_period_seconds;
    std::string propagation_policy; // "Background" (default), "Foreground", "Orphan"
    std::string uid;                // precondition when not empty
    std::string resource_version;   // precondition when not empty
};

/// Thread-safe. Errors keep their meaning: Code::not_found, already_exists, conflict (a
/// precondition or resourceVersion did not hold; read again), expired (start a watch anew from a
/// list), invalid, forbidden, unavailable, timeout.
class Client {
public:
    virtual ~Client() = default;

    virtual Result<Object> get(const Resource&, const ObjectKey&) = 0;
    /// `ns` empty: all namespaces.
    virtual Result<ObjectList> list(const Resource&, const std::string& ns,
                                    const ListOptions& = {}) = 0;
    /// `ns` empty for cluster-scoped kinds. apiVersion and kind may be left out of `object`.
    virtual Result<Object> create(const Resource&, const std::string& ns, codec::Json object) = 0;
    /// Replaces; with metadata.resourceVersion the write fails on conflict.
    virtual Result<Object> update(const Resource&, const ObjectKey&, codec::Json object,
                                  const std::string& subresource = {}) = 0;
    virtual Result<Object> patch(const Resource&, const ObjectKey&, PatchType,
                                 const codec::Json& patch, const std::string& subresource = {}) = 0;
    virtual Result<> remove(const Resource&, const ObjectKey&, const DeleteOptions& = {}) = 0;
    /// POST to a subresource: "binding", "token", "eviction".
    virtual Result<codec::Json> post(const Resource&, const ObjectKey&,
                                     const std::string& subresource, codec::Json body) = 0;
    /// The callback runs on a thread of the server, in order, and must not block. After an `error`
    /// event nothing follows.
    virtual Result<std::unique_ptr<Watch>>
    watch(const Resource&, const std::string& ns, const WatchOptions&,
          std::function<void(const WatchEvent&)> on_event) = 0;
};

} // namespace cloudlet::api
