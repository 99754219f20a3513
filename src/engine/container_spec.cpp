#include "container_spec.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <unordered_map>

#include <fmt/format.h>

#include "cloudlet/engine/engine.h"
#include "cloudlet/io/file.h"
#include "cloudlet/runtime/user.h"
#include "impl.h"

namespace cloudlet::engine {

using linux::CapabilitySet;
using linux::NamespaceKind;

namespace {

Result<CapabilitySet> capabilities_of(const ContainerConfig& config) {
    if (config.privileged) return CapabilitySet::all();
    auto named = [](const std::vector<std::string>& names) -> Result<CapabilitySet> {
        CapabilitySet set;
        for (const auto& name : names) {
            if (name == "ALL" || name == "CAP_ALL") {
                set = set | CapabilitySet::all();
            } else {
                set = set | TRY(CapabilitySet::from_names({name}));
            }
        }
        return set;
    };
    const CapabilitySet added = TRY(named(config.capabilities_add));
    const CapabilitySet dropped = TRY(named(config.capabilities_drop));
    const bool drops_all =
        std::count(config.capabilities_drop.begin(), config.capabilities_drop.end(), "ALL") > 0;
    const CapabilitySet base = linux::default_container_capabilities();
    return drops_all ? added : (base | added).without(dropped);
}

/// A bind mount as an OCI mount.
runtime::Mount bind_of(const std::string& source, const std::string& destination, bool read_only,
                       const std::string& propagation = {}) {
    std::string mode = "rprivate";
    if (propagation == "rslave" || propagation == "rshared") mode = propagation;
    return {.destination = destination,
            .type = "bind",
            .source = source,
            .options = {"rbind", read_only ? "ro" : "rw", mode}};
}

void set_namespaces(runtime::Spec& spec, const SandboxConfig& sandbox, const SpecPlaces& places) {
    auto drop = [&](NamespaceKind kind) {
        std::erase_if(spec.namespaces, [&](const auto& ns) { return ns.kind == kind; });
    };
    auto join = [&](NamespaceKind kind, const char* pin) {
        drop(kind);
        spec.namespaces.push_back({kind, places.sandbox_dir + "/" + pin});
    };
    if (sandbox.host_network) {
        drop(NamespaceKind::network);
        drop(NamespaceKind::uts);
    } else {
        join(NamespaceKind::network, "net");
        join(NamespaceKind::uts, "uts");
    }
    if (sandbox.host_ipc) {
        drop(NamespaceKind::ipc);
    } else {
        join(NamespaceKind::ipc, "ipc");
    }
    if (sandbox.host_pid) drop(NamespaceKind::pid);
    spec.hostname.clear(); // the pinned namespace has it
}

void set_mounts(runtime::Spec& spec, const ContainerConfig& config, const SandboxConfig& sandbox,
                const SpecPlaces& places) {
    std::erase_if(spec.mounts, [](const runtime::Mount& m) { return m.destination == "/dev/shm"; });
    if (config.privileged) {
        for (auto& mount : spec.mounts)
            if (mount.type == "sysfs" || mount.type == "cgroup")
                std::replace(mount.options.begin(), mount.options.end(), std::string("ro"),
                             std::string("rw"));
    }
    spec.mounts.push_back(
        bind_of(sandbox.host_ipc ? "/dev/shm" : places.sandbox_dir + "/shm", "/dev/shm", false));
    auto taken = [&](const char* path) {
        return std::any_of(config.mounts.begin(), config.mounts.end(),
                           [&](const Mount& m) { return m.destination == path; });
    };
    for (const char* file : {"hosts", "resolv.conf", "hostname"}) {
        const std::string destination = std::string("/etc/") + file;
        if (!taken(destination.c_str()))
            spec.mounts.push_back(bind_of(places.sandbox_dir + "/" + file, destination, false));
    }
    // Outer folders before what is mounted inside them.
    std::vector<Mount> mounts = config.mounts;
    std::stable_sort(mounts.begin(), mounts.end(), [](const Mount& a, const Mount& b) {
        return std::count(a.destination.begin(), a.destination.end(), '/') <
               std::count(b.destination.begin(), b.destination.end(), '/');
    });
    for (const auto& mount : mounts)
        spec.mounts.push_back(
            bind_of(mount.source, mount.destination, mount.read_only, mount.propagation));
}

/// Every device node of the machine, for privileged containers.
void add_host_devices(runtime::Spec& spec, const std::string& folder) {
    auto names = io::list_directory(folder);
    if (!names) return;
    for (const auto& name : *names) {
        const std::string path = folder + "/" + name;
        struct stat info {};
        if (::lstat(path.c_str(), &info) != 0) continue;
        if (S_ISDIR(info.st_mode)) {
            if (path != "/dev/pts" && path != "/dev/shm" && path != "/dev/mqueue" &&
                path != "/dev/fd")
                add_host_devices(spec, path);
        } else if (path != "/dev/console" && path != "/dev/ptmx" &&
                   (S_ISCHR(info.st_mode) || S_ISBLK(info.st_mode))) {
            spec.devices.push_back({.type = S_ISCHR(info.st_mode) ? 'c' : 'b',
                                    .path = path,
                                    .major = major(info.st_rdev),
                                    .minor = minor(info.st_rdev),
                                    .mode = info.st_mode & 0777,
                                    .uid = info.st_uid,
                                    .gid = info.st_gid});
        }
    }
}

void set_privileges(runtime::Spec& spec, const ContainerConfig& config,
                    CapabilitySet capabilities) {
    runtime::Process& process = spec.process;
    process.capabilities = runtime::Capabilities::of(capabilities);
    process.no_new_privileges = config.no_new_privileges && !config.privileged;
    spec.seccomp.reset();
    if (config.seccomp && !config.privileged)
        spec.seccomp = linux::default_seccomp_profile(capabilities);
    if (config.privileged || !config.mask_paths) {
        spec.masked_paths.clear();
        spec.read_only_paths.clear();
    }
    if (config.privileged) {
        spec.resources.devices = std::vector<linux::DeviceRule>{{.allow = true}};
        add_host_devices(spec, "/dev");
    }
}

} // namespace

std::vector<std::string> effective_command(const ContainerConfig& config,
                                           const image::ImageConfig& image) {
    std::vector<std::string> command = config.command.empty() ? image.entrypoint : config.command;
    const bool image_args = config.command.empty() && config.args.empty();
    const auto& args = image_args ? image.command : config.args;
    command.insert(command.end(), args.begin(), args.end());
    return command;
}

std::vector<std::string> merge_environment(const std::vector<std::string>& base,
                                           const std::vector<std::string>& over) {
    std::vector<std::string> merged;
    std::unordered_map<std::string, size_t> places;
    for (const auto* list : {&base, &over}) {
        for (const auto& entry : *list) {
            const auto [place, fresh] =
                places.try_emplace(entry.substr(0, entry.find('=')), merged.size());
            if (fresh) {
                merged.push_back(entry);
            } else {
                merged[place->second] = entry;
            }
        }
    }
    return merged;
}

Result<runtime::Spec> make_spec(const ContainerConfig& config, const image::ImageConfig& image,
                                const SandboxConfig& sandbox, const SpecPlaces& places) {
    runtime::Spec spec = runtime::default_spec();
    runtime::Process& process = spec.process;
    process.args = effective_command(config, image);
    if (process.args.empty())
        return fail(Code::invalid,
                    "no command: the image has none, and neither command nor args are given");
    process.terminal = config.terminal;
    const std::string& user = config.user.empty() ? image.user : config.user;
    const runtime::ResolvedUser resolved = TRY(runtime::resolve_user(places.root, user));
    process.user = resolved.to_user();
    for (int64_t group : config.supplementary_groups)
        process.user.additional_gids.push_back(static_cast<uint32_t>(group));
    process.cwd = !config.working_dir.empty() ? config.working_dir : image.working_dir;
    if (process.cwd.empty()) process.cwd = "/";
    std::vector<std::string> base = {
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"};
    base.push_back("HOSTNAME=" + sandbox.hostname);
    if (config.terminal) base.emplace_back("TERM=xterm");
    process.env = merge_environment(merge_environment(base, image.env), config.env);
    const bool has_home = std::any_of(process.env.begin(), process.env.end(),
                                      [](const std::string& e) { return e.starts_with("HOME="); });
    if (!has_home) process.env.push_back("HOME=" + resolved.home);
    process.oom_score_adj = static_cast<int>(config.oom_score_adj);
    spec.root_path = places.root;
    spec.root_read_only = config.read_only_rootfs;
    spec.cgroups_path = places.cgroup;
    set_namespaces(spec, sandbox, places);
    set_mounts(spec, config, sandbox, places);
    const auto devices = spec.resources.devices;
    spec.resources = to_resource_limits(config.limits);
    spec.resources.devices = devices;
    set_privileges(spec, config, TRY(capabilities_of(config)));
    for (const auto& mount : config.mounts)
        if (mount.propagation == "rshared") spec.rootfs_propagation = "rshared";
    return spec;
}

Result<runtime::Process> make_exec_process(const runtime::Spec& base, const ExecConfig& config,
                                           const std::string& root) {
    runtime::Process process = base.process;
    if (config.command.empty()) return fail(Code::invalid, "exec: no command given");
    process.args = config.command;
    process.terminal = config.terminal;
    process.env = merge_environment(process.env, config.env);
    if (config.terminal) process.env = merge_environment({"TERM=xterm"}, process.env);
    if (!config.working_dir.empty()) process.cwd = config.working_dir;
    if (!config.user.empty())
        process.user = TRY(runtime::resolve_user(root, config.user)).to_user();
    return process;
}

} // namespace cloudlet::engine
