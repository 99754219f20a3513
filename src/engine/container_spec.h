#pragma once
// From a container as its user describes it to an OCI spec for runtime/. Pure but for the user's
// name, which is looked up in the container's own root.

#include "cloudlet/engine/engine.h"
#include "cloudlet/image/image_store.h"
#include "cloudlet/runtime/spec.h"

namespace cloudlet::engine {

struct SpecPlaces {
    std::string root;        // the mounted root file system
    std::string sandbox_dir; // pins, hosts, resolv.conf, hostname, shm
    std::string cgroup;
};

/// Error: invalid for no command, an unknown capability or user, a relative path.
Result<runtime::Spec> make_spec(const ContainerConfig& config, const image::ImageConfig& image,
                                const SandboxConfig& sandbox, const SpecPlaces& places);

/// One more process in the container: its own command, user, directory and environment over `base`.
Result<runtime::Process> make_exec_process(const runtime::Spec& base, const ExecConfig& config,
                                           const std::string& root);

/// entrypoint and command of the image under the user's command and args, by Kubernetes' rules.
std::vector<std::string> effective_command(const ContainerConfig& config,
                                           const image::ImageConfig& image);
/// `over` added to `base`; a name that stands twice keeps its last value, in its first place.
std::vector<std::string> merge_environment(const std::vector<std::string>& base,
                                           const std::vector<std::string>& over);

} // namespace cloudlet::engine
