#include "cloudlet/runtime/user.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <charconv>

#include <fmt/format.h>

#include "cloudlet/io/fd.h"

namespace cloudlet::runtime {
namespace {

constexpr size_t kLargestFile = 8 << 20;

// Empty when the image has no such file.
Result<std::string> read_in_root(const std::string& root, const char* path) {
    const io::UniqueFd folder(::open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!folder) return fail_errno(fmt::format("open the root file system {}", root));
    open_how how{};
    how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;
    how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    const io::UniqueFd file(
        static_cast<int>(syscall(SYS_openat2, folder.get(), path, &how, sizeof how)));
    if (!file && (errno == ENOENT || errno == ENOTDIR)) return std::string();
    if (!file) return fail_errno(fmt::format("open {} of the image", path));
    return with_context(io::read_all(file.get(), kLargestFile), path);
}

bool to_number(std::string_view text, uint32_t& out) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> out;
    for (;;) {
        const size_t end = text.find(separator);
        out.push_back(text.substr(0, end));
        if (end == std::string_view::npos) return out;
        text.remove_prefix(end + 1);
    }
}

// Calls `use` with the fields of each line that has at least `fields` of them, until it says true.
template <typename Use>
void each_line(std::string_view text, size_t fields, Use use) {
    for (const auto line : split(text, '\n')) {
        const auto parts = split(line, ':');
        if (parts.size() >= fields && !line.starts_with('#') && use(parts)) return;
    }
}

Result<> find_user(std::string_view passwd, std::string_view wanted, ResolvedUser& out) {
    const bool numeric = to_number(wanted, out.uid);
    bool found = false;
    each_line(passwd, 7, [&](const auto& parts) { // name:password:uid:gid:comment:home:shell
        uint32_t uid = 0, gid = 0;
        if (!to_number(parts[2], uid) || !to_number(parts[3], gid)) return false;
        if (parts[0] != wanted && !(numeric && uid == out.uid)) return false;
        out.uid = uid;
        out.gid = gid;
        out.name = parts[0];
        if (!parts[5].empty()) out.home = parts[5];
        return found = true;
    });
    if (!found && !numeric)
        return fail(Code::not_found,
                    fmt::format("user \"{}\" is not in the image's /etc/passwd", wanted));
    return {};
}

Result<> find_group(std::string_view groups, std::string_view wanted, ResolvedUser& out) {
    if (to_number(wanted, out.gid)) return {};
    bool found = false;
    each_line(groups, 3, [&](const auto& parts) { // name:password:gid:members
        return parts[0] == wanted && to_number(parts[2], out.gid) && (found = true);
    });
    if (found) return {};
    return fail(Code::not_found,
                fmt::format("group \"{}\" is not in the image's /etc/group", wanted));
}

void add_memberships(std::string_view groups, ResolvedUser& out) {
    if (out.name.empty()) return;
    each_line(groups, 4, [&](const auto& parts) {
        uint32_t gid = 0;
        for (const auto member : split(parts[3], ','))
            if (member == out.name && to_number(parts[2], gid)) out.additional_gids.push_back(gid);
        return false;
    });
}

} // namespace

Result<ResolvedUser> resolve_user(const std::string& root, std::string_view user) {
    ResolvedUser out;
    out.home = "/";
    const size_t colon = user.find(':');
    const std::string_view name = user.substr(0, colon);
    const std::string passwd = TRY(read_in_root(root, "/etc/passwd"));
    const std::string groups = TRY(read_in_root(root, "/etc/group"));
    TRY(find_user(passwd, name.empty() ? "0" : name, out));
    if (colon != std::string_view::npos && colon + 1 < user.size())
        TRY(find_group(groups, user.substr(colon + 1), out));
    else
        add_memberships(groups, out);
    return out;
}

} // namespace cloudlet::runtime
