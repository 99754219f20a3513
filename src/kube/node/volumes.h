#pragma once
// The volumes of pods: folders on the machine that containers see by bind mounts.
//
//   <root>/pods/<uid>/volumes/<name>     emptyDir on disk
//   <root>/pods/<uid>/subpaths/<c>/<n>   pinned subPath targets
//   <root>/pods/<uid>/messages/<c>-<n>   termination messages
//   <root>/memory/<uid>/<name>           ConfigMap, Secret, projected, downwardAPI: one tmpfs for
//   all pods <root>/memory/<uid>/<name>.tmpfs     emptyDir with medium Memory: a tmpfs of its own
//
// Secrets thus never touch the disk. All calls block and may run for different pods at once.

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "atomic_writer.h"
#include "cloudlet/api/object.h"
#include "cloudlet/engine/types.h"
#include "environment.h"

namespace cloudlet::kube::node {

/// Where volumes get their content from. Errors: not_found with a message fit for an event.
struct VolumeSources {
    std::function<Result<api::Object>(const std::string&ns, const std::string&name)> config_map,
        secret;
    /// A token for the pod's service account.
    std::function<Result<std::string>(const api::Object& pod, const std::string& audience,
                                      int64_t seconds)>
        token;
};

/// What a volume of type configMap, secret, downwardAPI or projected holds. `present` is what the
/// volume holds now, so that a token is asked for anew only when it is due. Error: not_found,
/// invalid.
Result<Payload> volume_payload(const api::Object& pod, const codec::Json& volume,
                               const PodFacts& facts, const VolumeSources& sources,
                               const std::string& present);

class Volumes {
public:
    Volumes(std::string root, VolumeSources sources)
        : root_(std::move(root)), sources_(std::move(sources)) {}

    /// Mounts the shared tmpfs if it is not there.
    Result<> open();
    /// Makes or refreshes all volumes of a pod. Idempotent. Error: what a FailedMount event says.
    Result<> prepare(const api::Object& pod, const PodFacts& facts);
    /// Rewrites those that change with their source; true when some content changed.
    Result<bool> refresh(const api::Object& pod, const PodFacts& facts);
    /// The bind mounts of one container. Resolves subPath beneath its volume (openat2), so a link
    /// in a volume never leads outside. `env` expands subPathExpr. Error: invalid.
    Result<std::vector<engine::Mount>> mounts(const api::Object& pod, const codec::Json& container,
                                              int attempt, const std::vector<std::string>& env);
    /// The file bound to terminationMessagePath for one run; made by mounts().
    std::string message_file(const std::string& uid, const std::string& container,
                             int attempt) const;
    /// Unmounts and deletes all there is of a pod. Idempotent.
    Result<> remove(const std::string& uid);
    /// Pods that have volumes on this machine.
    std::vector<std::string> pods() const;
    /// Removes everything and the shared tmpfs.
    Result<> remove_all();

private:
    Result<std::string> volume_path(const api::Object& pod, const codec::Json& volume) const;
    Result<> prepare_one(const api::Object& pod, const codec::Json& volume, const PodFacts& facts);
    Result<> prepare_empty_dir(const api::Object& pod, const codec::Json& volume);
    Result<std::string> pin_sub_path(const api::Object& pod, const std::string& volume,
                                     const std::string& sub_path, const std::string& container,
                                     size_t index);

    std::string root_;
    VolumeSources sources_;
};

} // namespace cloudlet::kube::node
