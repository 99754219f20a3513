#pragma once
// Admission: what the server adds to an object, or refuses, because of other objects. Each hook
// looks at the cache and writes what it needs into the decision, so that it holds in the same
// transaction.

#include "core.h"

namespace cloudlet::kube::server {

/// The object's namespace exists and is not being deleted; the commit compares it. Failures: 404,
/// 403.
Outcome<> admit_namespace(Core& core, const Target& target, std::string_view name,
                          Decision& decision);

/// Mutations of a new object before validation.
Outcome<> admit_create(Core& core, const Target& target, Decision& decision);
/// Mutations of an update before validation.
Outcome<> admit_update(Core& core, const Target& target, const Json& old, Decision& decision);
/// What must leave the store together with an object.
void admit_removal(Core& core, const api::Kind& kind, const Json& old, Decision& decision);

// ---- pod_admission.cpp

/// ServiceAccount, its token volume, default tolerations, priority.
Outcome<> admit_pod(Core& core, const Target& target, Json& pod);

// ---- service_admission.cpp

/// Cluster IP and node ports: claims what is new and releases what is no longer used. `old` is null
/// for a create.
Outcome<> admit_service(Core& core, const Json& old, Decision& decision);
void release_service(Core& core, const Json& old, Decision& decision);

bool is_kind(const api::Kind& kind, const api::Resource& resource);

} // namespace cloudlet::kube::server
