#include "volumes.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fmt/format.h>

#include "cloudlet/io/file.h"
#include "cloudlet/linux/mount.h"
#include "pod_spec.h"

namespace cloudlet::kube::node {

using codec::Json;

namespace {

bool has_payload(const Json& volume) {
    for (auto type : {"configMap", "secret", "downwardAPI", "projected"})
        if (volume.contains(type)) return true;
    return false;
}

bool in_memory(const Json& volume) { return volume["emptyDir"]["medium"].as_string() == "Memory"; }

std::optional<int64_t> fs_group(const api::Object& pod) {
    const Json& group = pod.spec()["securityContext"]["fsGroup"];
    if (!group.is_int()) return std::nullopt;
    return group.as_int();
}

const Json& find_volume(const api::Object& pod, std::string_view name) {
    static const Json none;
    for (const auto& volume : pod.spec()["volumes"].items())
        if (volume["name"].as_string() == name) return volume;
    return none;
}

/// hostPath types (core/v1 HostPathType): what must be there, or is made.
Result<> check_host_path(const std::string& path, std::string_view type) {
    struct stat info {};
    const bool there = ::stat(path.c_str(), &info) == 0;
    if (type == "DirectoryOrCreate" && !there) return io::make_directories(path);
    if (type == "FileOrCreate" && !there) {
        TRY(io::open_file(path, O_WRONLY | O_CREAT, 0644));
        return {};
    }
    if (type.empty()) { // Docker's habit: a missing source becomes a folder
        if (!there) return io::make_directories(path);
        return {};
    }
    const mode_t kind = there ? info.st_mode & S_IFMT : 0;
    struct Wanted {
        std::string_view type;
        mode_t kind;
        const char* text;
    };
    static constexpr Wanted table[] = {{"Directory", S_IFDIR, "a directory"},
                                       {"DirectoryOrCreate", S_IFDIR, "a directory"},
                                       {"File", S_IFREG, "a file"},
                                       {"FileOrCreate", S_IFREG, "a file"},
                                       {"Socket", S_IFSOCK, "a socket"},
                                       {"CharDevice", S_IFCHR, "a character device"},
                                       {"BlockDevice", S_IFBLK, "a block device"}};
    for (const auto& wanted : table)
        if (wanted.type == type && kind != wanted.kind)
            return fail(Code::invalid,
                        fmt::format("hostPath type check failed: {} is not {}", path, wanted.text));
    return {};
}

/// Opens `path` beneath `base`, following links only inside of it.
Result<io::UniqueFd> open_beneath(int base, const std::string& path, uint64_t flags,
                                  uint64_t mode = 0) {
    open_how how{};
    how.flags = flags | O_CLOEXEC;
    how.mode = mode;
    how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    const long fd = ::syscall(SYS_openat2, base, path.c_str(), &how, sizeof how);
    if (fd < 0) return fail_errno("subPath " + path);
    return io::UniqueFd(static_cast<int>(fd));
}

/// The folder `path` beneath `base`, made part by part where it is missing.
Result<io::UniqueFd> make_beneath(int base, const std::string& path) {
    for (size_t slash = path.find('/');; slash = path.find('/', slash + 1)) {
        const std::string part = path.substr(0, slash);
        auto there = open_beneath(base, part.empty() ? "." : part, O_PATH);
        if (!there && there.error().code != Code::not_found) return there;
        if (!there) {
            const size_t cut = part.rfind('/');
            const auto parent = TRY(open_beneath(
                base, cut == std::string::npos ? "." : part.substr(0, cut), O_PATH | O_DIRECTORY));
            const std::string name = cut == std::string::npos ? part : part.substr(cut + 1);
            if (::mkdirat(parent.get(), name.c_str(), 0750) != 0 && errno != EEXIST)
                return fail_errno("mkdir " + part);
        }
        if (slash == std::string::npos) return open_beneath(base, path, O_PATH);
    }
}

} // namespace

Result<> Volumes::open() {
    const std::string shared = root_ + "/memory";
    TRY(io::make_directories(shared, 0711));
    TRY(io::make_directories(root_ + "/pods", 0711));
    if (TRY(linux::is_mount_point(shared))) return {};
    return linux::mount_filesystem("tmpfs", "cloudlet", shared, MS_NOSUID | MS_NODEV | MS_NOEXEC,
                                   "mode=0711");
}

Result<std::string> Volumes::volume_path(const api::Object& pod, const Json& volume) const {
    const std::string name(volume["name"].as_string()), uid(pod.uid());
    if (const Json* host = volume.find("hostPath")) return std::string((*host)["path"].as_string());
    if (has_payload(volume)) return root_ + "/memory/" + uid + "/" + name;
    if (in_memory(volume)) return root_ + "/memory/" + uid + "/" + name + ".tmpfs";
    if (volume.contains("emptyDir")) return root_ + "/pods/" + uid + "/volumes/" + name;
    std::string type = "(none)";
    for (const auto& [key, value] : volume.members())
        if (key != "name") type = key;
    return fail(Code::unsupported,
                fmt::format("volume type {} is not supported: use emptyDir, hostPath, configMap, "
                            "secret, downwardAPI or projected",
                            type));
}

Result<> Volumes::prepare_empty_dir(const api::Object& pod, const Json& volume) {
    const std::string path = TRY(volume_path(pod, volume));
    TRY(io::make_directories(path));
    if (in_memory(volume) && !TRY(linux::is_mount_point(path))) {
        std::string options = "mode=0777";
        if (const int64_t limit = bytes_of(volume["emptyDir"]["sizeLimit"]); limit > 0)
            options += fmt::format(",size={}", limit);
        TRY(linux::mount_filesystem("tmpfs", "emptydir", path, MS_NOSUID | MS_NODEV, options));
    }
    if (const auto group = fs_group(pod)) {
        if (::chown(path.c_str(), static_cast<uid_t>(-1), static_cast<gid_t>(*group)) != 0)
            return fail_errno("chown " + path);
        if (::chmod(path.c_str(), 02777) != 0) return fail_errno("chmod " + path);
    } else if (::chmod(path.c_str(), 0777) != 0) {
        return fail_errno("chmod " + path);
    }
    return {};
}

Result<> Volumes::prepare_one(const api::Object& pod, const Json& volume, const PodFacts& facts) {
    const std::string path = TRY(volume_path(pod, volume));
    if (const Json* host = volume.find("hostPath"))
        return check_host_path(path, (*host)["type"].as_string());
    if (volume.contains("emptyDir")) return prepare_empty_dir(pod, volume);
    const Payload payload = TRY(volume_payload(pod, volume, facts, sources_, path));
    TRY(write_payload(path, payload, fs_group(pod), system_clock().wall()));
    return {};
}

Result<> Volumes::prepare(const api::Object& pod, const PodFacts& facts) {
    TRY(io::make_directories(root_ + "/pods/" + std::string(pod.uid()), 0711));
    for (const auto& volume : pod.spec()["volumes"].items())
        TRY(with_context(
            prepare_one(pod, volume, facts),
            fmt::format("MountVolume.SetUp failed for volume \"{}\"", volume["name"].as_string())));
    return {};
}

Result<bool> Volumes::refresh(const api::Object& pod, const PodFacts& facts) {
    bool changed = false;
    for (const auto& volume : pod.spec()["volumes"].items()) {
        if (!has_payload(volume)) continue;
        const std::string path = TRY(volume_path(pod, volume));
        const Payload payload = TRY(volume_payload(pod, volume, facts, sources_, path));
        changed |= TRY(write_payload(path, payload, fs_group(pod), system_clock().wall()));
    }
    return changed;
}

Result<std::string> Volumes::pin_sub_path(const api::Object& pod, const std::string& volume,
                                          const std::string& sub_path, const std::string& container,
                                          size_t index) {
    const io::UniqueFd base = TRY(io::open_file(volume, O_PATH | O_DIRECTORY));
    const io::UniqueFd target = TRY(make_beneath(base.get(), sub_path));
    struct stat info {};
    if (::fstat(target.get(), &info) != 0) return fail_errno("subPath " + sub_path);
    const std::string folder = fmt::format("{}/pods/{}/subpaths/{}", root_, pod.uid(), container);
    const std::string pin = fmt::format("{}/{}", folder, index);
    TRY(io::make_directories(folder, 0711));
    TRY(linux::unmount(pin)); // of an earlier run; the target may have been replaced since
    TRY(io::remove_tree(pin));
    if (S_ISDIR(info.st_mode)) {
        TRY(io::make_directories(pin));
    } else {
        TRY(io::open_file(pin, O_WRONLY | O_CREAT, 0600));
    }
    TRY(linux::bind_mount(fmt::format("/proc/self/fd/{}", target.get()), pin));
    return pin;
}

std::string Volumes::message_file(const std::string& uid, const std::string& container,
                                  int attempt) const {
    return fmt::format("{}/pods/{}/messages/{}-{}", root_, uid, container, attempt);
}

Result<std::vector<engine::Mount>> Volumes::mounts(const api::Object& pod, const Json& container,
                                                   int attempt,
                                                   const std::vector<std::string>& env) {
    std::vector<engine::Mount> list;
    const std::string name(container["name"].as_string());
    size_t index = 0;
    for (const auto& mount : container["volumeMounts"].items()) {
        const Json& volume = find_volume(pod, mount["name"].as_string());
        if (volume.is_null())
            return fail(Code::invalid, fmt::format("volumeMount names an unknown volume \"{}\"",
                                                   mount["name"].as_string()));
        engine::Mount bind;
        bind.source = TRY(volume_path(pod, volume));
        bind.destination = mount["mountPath"].as_string();
        if (!bind.destination.starts_with("/")) bind.destination = "/" + bind.destination;
        // Only emptyDir and hostPath can be written by a container; the others are ours.
        bind.read_only = mount["readOnly"].as_bool() || has_payload(volume);
        const auto propagation = mount["mountPropagation"].as_string();
        if (propagation == "HostToContainer") bind.propagation = "rslave";
        if (propagation == "Bidirectional") bind.propagation = "rshared";
        std::string sub_path(mount["subPath"].as_string());
        if (auto expression = mount["subPathExpr"].as_string(); !expression.empty())
            sub_path = expand_all(codec::Json::array({codec::Json(expression)}), env).front();
        if (!sub_path.empty())
            bind.source = TRY(pin_sub_path(pod, bind.source, sub_path, name, index));
        list.push_back(std::move(bind));
        ++index;
    }
    const std::string message = message_file(std::string(pod.uid()), name, attempt);
    TRY(io::make_directories(message.substr(0, message.rfind('/')), 0711));
    TRY(io::open_file(message, O_WRONLY | O_CREAT, 0666));
    if (::chmod(message.c_str(), 0666) != 0) return fail_errno("chmod " + message);
    list.push_back({.source = message,
                    .destination = std::string(
                        container["terminationMessagePath"].as_string("/dev/termination-log")),
                    .read_only = false,
                    .propagation = {}});
    return list;
}

Result<> Volumes::remove(const std::string& uid) {
    for (const auto& folder : {root_ + "/pods/" + uid, root_ + "/memory/" + uid}) {
        if (!io::exists(folder)) continue;
        TRY(linux::unmount_all(folder));
        TRY(io::remove_tree(folder));
    }
    return {};
}

std::vector<std::string> Volumes::pods() const {
    std::vector<std::string> uids =
        io::list_directory(root_ + "/pods").value_or(std::vector<std::string>{});
    for (const auto& uid :
         io::list_directory(root_ + "/memory").value_or(std::vector<std::string>{}))
        if (std::find(uids.begin(), uids.end(), uid) == uids.end()) uids.push_back(uid);
    return uids;
}

Result<> Volumes::remove_all() {
    for (const auto& uid : pods()) TRY(remove(uid));
    TRY(linux::unmount(root_ + "/memory"));
    TRY(io::remove_tree(root_ + "/memory"));
    return io::remove_tree(root_ + "/pods");
}

} // namespace cloudlet::kube::node
