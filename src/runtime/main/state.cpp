#include "state.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "cloudlet/codec/json.h"
#include "cloudlet/io/file.h"
#include "cloudlet/linux/cgroup.h"

namespace cloudlet::runtime {

Result<> replace_file(const std::string& path, std::string_view bytes, unsigned mode) {
    const std::string fresh = path + ".new";
    const io::UniqueFd file = TRY(io::open_file(fresh, O_WRONLY | O_CREAT | O_TRUNC, mode));
    TRY(io::write_all(file.get(), bytes));
    if (::rename(fresh.c_str(), path.c_str()) != 0)
        return fail_errno(fmt::format("write {}", path));
    return {};
}

std::string_view name_of(Status status) {
    switch (status) {
    case Status::creating: return "creating";
    case Status::created: return "created";
    case Status::running: return "running";
    case Status::stopped: return "stopped";
    }
    return "";
}

Result<> check_id(const std::string& id) {
    const char* allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-.";
    if (id.empty() || id.size() > 255 || id[0] == '.' ||
        id.find_first_not_of(allowed) != std::string::npos)
        return fail(
            Code::invalid,
            fmt::format("container id \"{}\" must be 1 to 255 letters, digits, or one of _+-. and "
                        "not start with a dot",
                        id));
    return {};
}

bool StateFolder::is_abandoned() const {
    const io::UniqueFd folder(::open(path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder || flock(folder.get(), LOCK_EX | LOCK_NB) != 0)
        return false; // its maker holds the lock
    const auto state = load();
    return !state || state->process.pid == 0;
}

Result<io::UniqueFd> StateFolder::claim() const {
    if (::mkdir(root_.c_str(), 0700) != 0 && errno == ENOENT)
        TRY(io::make_directories(root_, 0700));
    if (::mkdir(path().c_str(), 0700) != 0) {
        if (errno != EEXIST) return fail_errno(fmt::format("make {}", path()));
        if (!is_abandoned())
            return fail(
                Code::already_exists,
                fmt::format("container \"{}\" exists; delete it or choose another id", id_));
        const auto old = load();
        TRY(destroy(old ? *old : ContainerState{}));
        if (::mkdir(path().c_str(), 0700) != 0) return fail_errno(fmt::format("make {}", path()));
    }
    io::UniqueFd folder = TRY(io::open_file(path(), O_RDONLY | O_DIRECTORY));
    if (flock(folder.get(), LOCK_EX | LOCK_NB) != 0)
        return fail(Code::conflict,
                    fmt::format("container \"{}\" is being made by somebody else", id_));
    return folder;
}

Result<> StateFolder::save(const ContainerState& state) const {
    codec::Json json = codec::Json::object();
    json.set("id", state.id).set("bundle", state.bundle).set("rootfs", state.root_path);
    json.set("cgroup", state.cgroup_path).set("created", state.created);
    json.set("pid", state.process.pid).set("startTime", state.process.start_time);
    return replace_file(path() + "/state.json", json.dump(), 0600);
}

Result<ContainerState> StateFolder::load() const {
    const auto text = io::read_file(path() + "/state.json", 1 << 20);
    if (!text) return fail(Code::not_found, fmt::format("container \"{}\" does not exist", id_));
    const codec::Json json = TRY(codec::parse_json(*text));
    ContainerState out;
    out.id = json["id"].as_string();
    out.bundle = json["bundle"].as_string();
    out.root_path = json["rootfs"].as_string();
    out.cgroup_path = json["cgroup"].as_string();
    out.created = json["created"].as_string();
    out.process.pid = static_cast<int>(json["pid"].as_int());
    out.process.start_time = static_cast<uint64_t>(json["startTime"].as_int());
    return out;
}

Status StateFolder::status(const ContainerState& state) const {
    if (state.process.pid == 0) return is_abandoned() ? Status::stopped : Status::creating;
    if (!linux::is_running(state.process)) return Status::stopped;
    return io::exists(start_socket()) ? Status::created : Status::running;
}

Result<> StateFolder::destroy(const ContainerState& state) const {
    const auto host = linux::CgroupHost::probe();
    // On a host without cgroups nothing was made, so nothing is left; a process that runs all the
    // same has its cgroups where we cannot see them.
    if (!host && linux::is_running(state.process)) return tl::unexpected(host.error());
    if (host && !state.cgroup_path.empty()) {
        const linux::Cgroup group = host->open(state.cgroup_path);
        TRY(group.kill_all());
        TRY(group.remove());
    }
    for (const char* name : {"state.json", "state.json.new", "config.json", "start.sock"})
        ::unlink((path() + "/" + name).c_str());
    if (::rmdir(path().c_str()) != 0 && errno != ENOENT) return io::remove_tree(path());
    return {};
}

Result<std::vector<std::string>> list_ids(const std::string& root) {
    if (!io::is_directory(root)) return std::vector<std::string>{};
    return io::list_directory(root);
}

} // namespace cloudlet::runtime
