#pragma once
// Cells of Tables. A column's source is a path ("status.phase") or a call: age(path), count(a,b),
// number(path), names(list,key), labels(path), selector(path), known(path), none(path), hook(name).

#include <string_view>

#include "cloudlet/base/clock.h"
#include "cloudlet/codec/json.h"

namespace cloudlet::api {

using codec::Json;

/// The cell of one column for one object.
Json table_cell(std::string_view source, const Json& object, WallTime now);

/// True for a source that table_cell understands; a test runs it over all kinds.
bool is_cell_source(std::string_view source);

/// How long ago a time was, as people read it; "<unknown>" when it is none.
std::string age_of(const Json& time, WallTime now);

// pod_cells.cpp
Json pod_ready_cell(const Json& pod, WallTime now);
Json pod_status_cell(const Json& pod, WallTime now);
Json pod_restarts_cell(const Json& pod, WallTime now);
Json pod_ip_cell(const Json& pod, WallTime now);
Json pod_readiness_gates_cell(const Json& pod, WallTime now);

// network_cells.cpp
Json service_cluster_ip_cell(const Json& service, WallTime now);
Json service_external_ip_cell(const Json& service, WallTime now);
Json service_ports_cell(const Json& service, WallTime now);
Json endpoints_cell(const Json& endpoints, WallTime now);
Json slice_ports_cell(const Json& slice, WallTime now);
Json slice_endpoints_cell(const Json& slice, WallTime now);

} // namespace cloudlet::api
