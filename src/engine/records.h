#pragma once
// What the engine remembers of a sandbox or container: one JSON file each, headed by the digest of
// its text. A file that is missing, short or torn counts as absent, so no fsync is needed: what a
// record describes (processes, mounts, namespaces) does not survive a power failure either, and
// recovery clears what has no record.

#include <string>

#include "cloudlet/codec/json.h"
#include "cloudlet/engine/types.h"

namespace cloudlet::engine {

struct SandboxRecord {
    SandboxConfig config;
    std::string ip, gateway;
    WallTime created_at{};
};

struct ContainerRecord {
    ContainerConfig config;
    WallTime created_at{};
};

codec::Json to_json(const SandboxRecord& record);
codec::Json to_json(const ContainerRecord& record);
Result<SandboxRecord> parse_sandbox_record(const codec::Json& json);
Result<ContainerRecord> parse_container_record(const codec::Json& json);

/// Writes <directory>/record (temporary file and rename). Error: io, exhausted.
Result<> write_record(const std::string& directory, const codec::Json& json);
/// Error: not_found when there is no whole record.
Result<codec::Json> read_record(const std::string& directory);

} // namespace cloudlet::engine
