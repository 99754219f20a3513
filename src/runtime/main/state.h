#pragma once
// A container of cloudlet-runtime on disk: <root>/<id>/ holds state.json (complete or absent),
// config.json (the bundle's, as it was) and start.sock while the container waits for `start`.

#include <string>
#include <vector>

#include "cloudlet/base/result.h"
#include "cloudlet/io/fd.h"
#include "cloudlet/linux/pidfd.h"

namespace cloudlet::runtime {

enum class Status { creating, created, running, stopped };
std::string_view name_of(Status status);

struct ContainerState {
    std::string id;
    std::string bundle;    // absolute
    std::string root_path; // absolute
    std::string cgroup_path;
    std::string created;            // RFC 3339
    linux::ProcessIdentity process; // pid 0: not made yet
};

class StateFolder {
public:
    StateFolder(std::string root, std::string id) : root_(std::move(root)), id_(std::move(id)) {}

    std::string path() const { return root_ + "/" + id_; }
    std::string start_socket() const { return path() + "/start.sock"; }

    /// Makes the folder and locks it. What a killed `create` left under the same id is cleaned up
    /// first. Error: already_exists.
    Result<io::UniqueFd> claim() const;
    Result<> save(const ContainerState& state) const;
    /// Error: not_found when there is no such container.
    Result<ContainerState> load() const;
    Status status(const ContainerState& state) const;
    /// Kills what is left of the container, removes its cgroup and the folder.
    Result<> destroy(const ContainerState& state) const;
    /// There is a folder, but no container whose process is known, and nobody is making one.
    bool is_abandoned() const;

private:
    std::string root_;
    std::string id_;
};

/// A reader sees the old file or the new one. Not synced: what it says dies with the boot. What a
/// killed call left, the next one for the same path replaces.
Result<> replace_file(const std::string& path, std::string_view bytes, unsigned mode);

/// Letters, digits and "_+-.", not starting with a dot, at most 255. Error: Code::invalid.
Result<> check_id(const std::string& id);
Result<std::vector<std::string>> list_ids(const std::string& root);

} // namespace cloudlet::runtime
