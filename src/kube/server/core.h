#pragma once
// The server's inside: what every verb works on, and the verbs themselves. HTTP (routes.cpp) and
// the in-process client (local_client.cpp) are two faces of it.

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "allocator.h"
#include "body.h"
#include "cache.h"
#include "cloudlet/api/patch.h"
#include "cloudlet/kube/server/api_server.h"
#include "identity.h"
#include "lease_pool.h"
#include "request.h"
#include "writer.h"

namespace cloudlet::kube::server {

/// What a write is done for. Shared by its continuations.
struct WriteContext {
    Target target;
    WriteOptions options;
    std::vector<std::string> warnings; // for Warning headers
};
using WriteContextPointer = std::shared_ptr<WriteContext>;

/// The things that verbs use; owned by the server, alive until every write is done.
struct Core {
    Core(const ApiServerOptions& options, TokenSigner token_signer, Ipv4Range range);

    ApiServerOptions options;
    const api::Kinds& kinds;
    Ipv4Range service_range;
    TokenSigner signer;
    Cache cache;
    Allocator cluster_ips;
    Allocator node_ports;
    Authenticator authenticator;
    LeasePool event_leases;
    std::atomic<NodeConnector*> connector{nullptr};
    std::atomic<bool> stopped{false};
    std::atomic<int> restorations{0}; // asked for and not carried out yet
    Writer writer;                    // last: its destructor waits for writes that use the others

    const api::Kind& kind_of(const api::Resource& resource) const;
    WallTime now() const { return options.clock->wall(); }
};

// ---- metadata.cpp: the fields that are the server's

/// The system fields of a new object (uid, creationTimestamp), its name and namespace.
/// Failures: 400 for a namespace that is not the URL's.
Outcome<> stamp_new(Core& core, const Target& target, Json& object);
/// What an update may not change: identity and times are `old`'s, and stay in one order.
/// Failures: 400, 409 for a name, uid or resourceVersion that is not the object's, 422 for new
/// finalizers on an object that is being deleted.
Outcome<> stamp_update(const Target& target, const CachedObject& current, const Json& old,
                       Json& object);
/// True when an object that is being deleted has nothing left to wait for.
bool is_finished(const api::Kind& kind, const Json& object);
Json new_service_account(Core& core, std::string_view ns, std::string_view name);

// ---- verbs.cpp: create, update, patch

/// `body` is decoded and conformed. The outcome goes to `done`.
void create_object(Core& core, WriteContextPointer context, Json body, WriteDone done);
/// Subresource "" or "status".
void update_object(Core& core, WriteContextPointer context, Json body, WriteDone done);

enum class PatchKind { merge, strategic, json };
void patch_object(Core& core, WriteContextPointer context, PatchKind type, Json patch,
                  WriteDone done);

/// One patch of one document, as Failures tell it.
Outcome<Json> patched(const api::Schema& schema, PatchKind type, const Json& object,
                      const Json& patch);

/// What update and patch share: `wanted` replaces `current` as far as the rules let it.
Outcome<Decision> decide_update(Core& core, WriteContext& context, Json wanted,
                                const ObjectPointer& current);

// ---- deletion.cpp

void delete_object(Core& core, WriteContextPointer context, DeleteRequest request, WriteDone done);
/// Deletes everything that the query selects; `done` gets the objects as they were answered.
void delete_collection(Core& core, WriteContextPointer context, DeleteRequest request,
                       ListQuery query,
                       std::function<void(Outcome<std::vector<SharedBytes>>)> done);

// ---- subresources.cpp: what is written or computed besides objects

using JsonDone = std::function<void(Outcome<Json>)>;
Outcome<Json> read_scale(Core& core, const Target& target);
/// PUT (patch null) or PATCH of /scale.
void write_scale(Core& core, WriteContextPointer context, Json body, std::optional<PatchKind> patch,
                 JsonDone done);
void bind_pod(Core& core, WriteContextPointer context, Json binding, JsonDone done);
void evict_pod(Core& core, WriteContextPointer context, Json eviction, JsonDone done);
void finalize_namespace(Core& core, WriteContextPointer context, Json body, WriteDone done);
Outcome<Json> request_token(Core& core, const Target& target, Json request);

// ---- listing.cpp

/// The answer of a GET of one object. Failures: 404; 504 for a resourceVersion of the future.
Outcome<ObjectPointer> read_object(Core& core, const Target& target,
                                   std::string_view resource_version);

struct Listing {
    std::vector<ObjectPointer> objects;
    int64_t revision = 0;
    std::string continue_token;
    int64_t remaining = -1; // -1: not told
    Json metadata() const;  // metav1.ListMeta
};
/// May wait for the store when an old revision is asked for.
Outcome<Listing> list_objects(Core& core, const Target& target, const ListQuery& query);
std::string encode_list(const api::Kind& kind, const Listing& listing);

// ---- bootstrap.cpp

/// Makes what every cluster has, and brings the kubernetes Service up to date. Blocks.
Result<> bootstrap(Core& core);

/// Makes them anew on a worker when `removed` was one of them: pods reach the API by that Service.
void restore_if_needed(Core& core, const Target& removed);

/// Runs an asynchronous write and waits for it. Not on the store's thread or the loop.
Outcome<Written> wait_for(const std::function<void(WriteDone)>& write);

} // namespace cloudlet::kube::server
