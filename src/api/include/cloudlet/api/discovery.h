#pragma once
// Discovery documents: which groups, versions and resources there are. The aggregated form is two
// documents for everything (apidiscovery.k8s.io v2 and v2beta1); the legacy form is one per
// group-version. Made from the kinds; make once and keep.

#include "cloudlet/api/kind.h"

namespace cloudlet::api {

/// APIGroupDiscoveryList for /api (`core` true) or /apis. `version`: "v2" or "v2beta1".
Json aggregated_discovery(const Kinds& kinds, bool core, std::string_view version);

/// The Content-Type of an aggregated answer: "application/json;g=apidiscovery.k8s.io;v=v2;as=...".
std::string aggregated_content_type(std::string_view version);

/// GET /api: APIVersions. `server_address` is "host:port" as the client reached us.
Json api_versions(std::string_view server_address);
/// GET /apis: APIGroupList.
Json api_group_list(const Kinds& kinds);
/// GET /apis/<group>: APIGroup; null when unknown.
Json api_group(const Kinds& kinds, std::string_view group);
/// GET /api/v1 and /apis/<group>/<version>: APIResourceList; null when unknown.
Json api_resource_list(const Kinds& kinds, std::string_view group, std::string_view version);

} // namespace cloudlet::api
