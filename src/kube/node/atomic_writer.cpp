#include "atomic_writer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <set>

#include "cloudlet/base/id.h"
#include "cloudlet/io/file.h"

namespace cloudlet::kube::node {

namespace {

Result<> check_path(const std::string& path) {
    bool bad = path.empty() || path.front() == '/' || path.starts_with("..");
    for (size_t begin = 0; begin <= path.size();) {
        const size_t end = std::min(path.find('/', begin), path.size());
        const std::string part = path.substr(begin, end - begin);
        bad = bad || part.empty() || part == "." || part == "..";
        begin = end + 1;
    }
    if (bad)
        return fail(Code::invalid,
                    "path \"" + path + "\" must be relative and must not contain \"..\"");
    return {};
}

Result<std::string> read_link(const std::string& path) {
    char target[512];
    const ssize_t size = ::readlink(path.c_str(), target, sizeof target);
    if (size < 0) return fail_errno("readlink " + path);
    return std::string(target, static_cast<size_t>(size));
}

/// The payload that `folder` holds now; what cannot be read counts as different.
bool holds(const std::string& folder, const Payload& payload) {
    size_t files = 0;
    std::vector<std::string> pending = {""};
    while (!pending.empty()) {
        const std::string prefix = std::move(pending.back());
        pending.pop_back();
        auto names = io::list_directory(folder + "/" + prefix);
        if (!names) return false;
        for (const auto& name : *names) {
            const std::string path = prefix.empty() ? name : prefix + "/" + name;
            if (io::is_directory(folder + "/" + path)) {
                pending.push_back(path);
                continue;
            }
            const auto wanted = payload.find(path);
            struct stat info {};
            if (wanted == payload.end() || ::stat((folder + "/" + path).c_str(), &info) != 0)
                return false;
            if ((info.st_mode & 0777) != (wanted->second.mode & 0777)) return false;
            auto bytes = io::read_file(folder + "/" + path);
            if (!bytes || *bytes != wanted->second.bytes) return false;
            ++files;
        }
    }
    return files == payload.size();
}

Result<> own(const std::string& path, std::optional<int64_t> group) {
    if (!group) return {};
    if (::lchown(path.c_str(), static_cast<uid_t>(-1), static_cast<gid_t>(*group)) != 0)
        return fail_errno("chown " + path);
    return {};
}

Result<> write_files(const std::string& folder, const Payload& payload,
                     std::optional<int64_t> group) {
    if (::mkdir(folder.c_str(), 0755) != 0) return fail_errno("mkdir " + folder);
    TRY(own(folder, group));
    for (const auto& [path, file] : payload) {
        for (size_t slash = path.find('/'); slash != std::string::npos;
             slash = path.find('/', slash + 1)) {
            const std::string parent = folder + "/" + path.substr(0, slash);
            if (::mkdir(parent.c_str(), 0755) != 0 && errno != EEXIST)
                return fail_errno("mkdir " + parent);
            TRY(own(parent, group));
        }
        const std::string full = folder + "/" + path;
        const io::UniqueFd fd = TRY(io::open_file(full, O_WRONLY | O_CREAT | O_EXCL, 0600));
        TRY(io::write_all(fd.get(), file.bytes));
        TRY(own(full, group));
        if (::fchmod(fd.get(), file.mode) != 0) return fail_errno("chmod " + full);
    }
    return {};
}

Result<> replace_link(const std::string& path, const std::string& target) {
    if (auto present = read_link(path); present && *present == target) return {};
    const std::string temporary = path + "_tmp";
    TRY(io::remove_file(temporary));
    if (::symlink(target.c_str(), temporary.c_str()) != 0)
        return fail_errno("symlink " + temporary);
    if (::rename(temporary.c_str(), path.c_str()) != 0) return fail_errno("rename " + temporary);
    return {};
}

} // namespace

Result<bool> write_payload(const std::string& directory, const Payload& given,
                           std::optional<int64_t> group, WallTime now) {
    Payload payload = given;
    std::set<std::string> tops;
    for (auto& [path, file] : payload) {
        TRY(check_path(path));
        tops.insert(path.substr(0, path.find('/')));
        if (group) file.mode |= 0440;
    }
    TRY(io::make_directories(directory));
    const std::string data = directory + "/..data";
    const auto old = read_link(data);
    if (old && holds(directory + "/" + *old, payload)) return false;

    std::string stamp = ".." + format_micro_time(now);
    for (char& c : stamp)
        if (c == '-' || c == ':' || c == 'T') c = '_';
    stamp.back() = '.';
    stamp += new_hex_id(6);
    TRY(own(directory, group));
    TRY(write_files(directory + "/" + stamp, payload, group));
    for (const auto& top : tops)
        if (!old) TRY(replace_link(directory + "/" + top, "..data/" + top));
    TRY(replace_link(data, stamp));
    if (old) {
        for (const auto& top : tops) TRY(replace_link(directory + "/" + top, "..data/" + top));
    }
    for (const auto& name : TRY(io::list_directory(directory))) {
        const bool ours = name == "..data" || name == stamp || tops.contains(name);
        if (!ours) TRY(io::remove_tree(directory + "/" + name));
    }
    return true;
}

} // namespace cloudlet::kube::node
