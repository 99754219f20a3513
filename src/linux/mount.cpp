#include "cloudlet/linux/mount.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <charconv>
#include <thread>

#include <fmt/format.h>

#include "cloudlet/io/file.h"

namespace cloudlet::linux {
namespace {

// mount_setattr(2); linux/mount.h cannot be included beside sys/mount.h.
struct MountAttributes {
    uint64_t set;
    uint64_t clear;
    uint64_t propagation;
    uint64_t user_namespace;
};
constexpr uint64_t kReadOnly = 1;       // MOUNT_ATTR_RDONLY
constexpr unsigned kRecursive = 0x8000; // AT_RECURSIVE

constexpr size_t kOptionPage = 4095; // mount(2): one page with its NUL

Result<> check_layer(const std::string& path) {
    if (path.empty()) return fail(Code::invalid, "an overlay layer has an empty path");
    if (path.find_first_of(",:\\") != std::string::npos)
        return fail(Code::invalid,
                    fmt::format("overlay layer {} has a ',', ':' or '\\' in its path", path));
    return {};
}

std::string common_parent(const std::vector<std::string>& paths) {
    std::string common = paths.front().substr(0, paths.front().rfind('/') + 1);
    for (const std::string& path : paths)
        while (!path.starts_with(common)) {
            const size_t slash = common.rfind('/', common.size() - 2);
            common = slash == std::string::npos ? "" : common.substr(0, slash + 1);
        }
    return common;
}

std::string overlay_options(const OverlayMount& overlay, size_t strip) {
    std::string out = "lowerdir=";
    for (size_t i = 0; i < overlay.lower.size(); i++)
        out.append(i == 0 ? "" : ":").append(overlay.lower[i], strip);
    if (!overlay.upper.empty())
        out.append(",upperdir=").append(overlay.upper).append(",workdir=").append(overlay.work);
    for (const std::string& option : overlay.options) out.append(",").append(option);
    return out;
}

Result<> mount_with(const OverlayMount& overlay, const std::string& data) {
    if (mount("overlay", overlay.target.c_str(), "overlay", 0, data.c_str()) == 0) return {};
    return fail_errno(
        fmt::format("mount an overlay of {} layers on {}", overlay.lower.size(), overlay.target));
}

// On a thread with a working folder of its own, so that layer names can be short.
Result<> mount_relative(const OverlayMount& overlay, const std::string& parent,
                        const std::string& data) {
    Result<> result;
    std::thread([&] {
        if (unshare(CLONE_FS) != 0 || chdir(parent.c_str()) != 0)
            result = fail_errno(fmt::format("enter {}", parent));
        else
            result = mount_with(overlay, data);
    }).join();
    return result;
}

// "\040" -> ' ', as mountinfo writes blanks, tabs, newlines and backslashes.
std::string unescape(std::string_view text) {
    std::string out;
    for (size_t i = 0; i < text.size(); i++) {
        if (text[i] == '\\' && i + 3 < text.size()) {
            unsigned value = 0;
            const auto [end, error] =
                std::from_chars(text.data() + i + 1, text.data() + i + 4, value, 8);
            if (error == std::errc() && end == text.data() + i + 4 && value < 256) {
                out.push_back(static_cast<char>(value));
                i += 3;
                continue;
            }
        }
        out.push_back(text[i]);
    }
    return out;
}

std::string_view next_field(std::string_view& rest) {
    const size_t blank = std::min(rest.find(' '), rest.size());
    const std::string_view field = rest.substr(0, blank);
    rest.remove_prefix(std::min(blank + 1, rest.size()));
    return field;
}

bool to_number(std::string_view text, auto& out) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    return error == std::errc() && end == text.data() + text.size();
}

} // namespace

Result<> mount_overlay(const OverlayMount& overlay) {
    if (overlay.lower.empty())
        return fail(Code::invalid, "an overlay needs at least one lower layer");
    if (overlay.upper.empty() != overlay.work.empty())
        return fail(Code::invalid, "an overlay has both upper and work folders, or neither");
    for (const std::string& layer : overlay.lower) TRY(check_layer(layer));
    if (!overlay.upper.empty()) {
        TRY(check_layer(overlay.upper));
        TRY(check_layer(overlay.work));
    }
    const std::string data = overlay_options(overlay, 0);
    if (data.size() <= kOptionPage) return mount_with(overlay, data);
    const std::string parent = common_parent(overlay.lower);
    const std::string shorter = overlay_options(overlay, parent.size());
    if (shorter.size() > kOptionPage)
        return fail(
            Code::too_large,
            fmt::format("an overlay of {} layers does not fit into the {} bytes that mount(2) "
                        "takes; flatten the image",
                        overlay.lower.size(), kOptionPage));
    return mount_relative(overlay, parent, shorter);
}

Result<> mount_filesystem(const std::string& type, const std::string& source,
                          const std::string& target, unsigned long flags, const std::string& data) {
    if (::mount(source.c_str(), target.c_str(), type.c_str(), flags, data.c_str()) == 0) return {};
    return fail_errno(fmt::format("mount {} on {}", type, target));
}

Result<> bind_mount(const std::string& source, const std::string& target, BindOptions options) {
    const unsigned long flags = options.recursive ? MS_BIND | MS_REC : MS_BIND;
    if (::mount(source.c_str(), target.c_str(), nullptr, flags, nullptr) != 0)
        return fail_errno(fmt::format("bind {} to {}", source, target));
    if (!options.read_only) return {};
    MountAttributes attributes{kReadOnly, 0, 0, 0};
    if (syscall(SYS_mount_setattr, AT_FDCWD, target.c_str(), options.recursive ? kRecursive : 0u,
                &attributes, sizeof attributes) == 0)
        return {};
    const int saved = errno;
    umount2(target.c_str(), MNT_DETACH);
    return fail_errno(fmt::format("make {} read-only", target), saved);
}

Result<> unmount(const std::string& target) {
    if (umount2(target.c_str(), UMOUNT_NOFOLLOW) == 0) return {};
    if (errno == EBUSY && umount2(target.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) return {};
    if (errno == EINVAL || errno == ENOENT) return {};
    return fail_errno(fmt::format("unmount {}", target));
}

Result<> unmount_all(const std::string& target) {
    const auto table = TRY(read_mount_table());
    // Later lines lie on or below earlier ones.
    for (auto entry = table.rbegin(); entry != table.rend(); ++entry)
        if (entry->mount_point == target || entry->mount_point.starts_with(target + "/"))
            TRY(unmount(entry->mount_point));
    return {};
}

Result<MountEntry> parse_mount_entry(std::string_view line) {
    MountEntry out;
    std::string_view rest = line;
    const bool ids =
        to_number(next_field(rest), out.id) && to_number(next_field(rest), out.parent_id);
    const std::string_view device = next_field(rest);
    const size_t colon = device.find(':');
    if (!ids || colon == std::string_view::npos || !to_number(device.substr(0, colon), out.major) ||
        !to_number(device.substr(colon + 1), out.minor))
        return fail(Code::invalid, fmt::format("not a line of mountinfo: \"{}\"", line));
    out.root = unescape(next_field(rest));
    out.mount_point = unescape(next_field(rest));
    out.options = next_field(rest);
    for (std::string_view field = next_field(rest); field != "-"; field = next_field(rest)) {
        if (rest.empty())
            return fail(Code::invalid, fmt::format("not a line of mountinfo: \"{}\"", line));
        out.propagation.append(out.propagation.empty() ? "" : " ").append(field);
    }
    out.type = next_field(rest);
    out.source = unescape(next_field(rest));
    out.super_options = next_field(rest);
    return out;
}

Result<std::vector<MountEntry>> read_mount_table() {
    const std::string text = TRY(io::read_file("/proc/self/mountinfo"));
    std::vector<MountEntry> out;
    std::string_view rest = text;
    while (!rest.empty()) {
        const size_t end = std::min(rest.find('\n'), rest.size());
        if (end > 0) out.push_back(TRY(parse_mount_entry(rest.substr(0, end))));
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    return out;
}

Result<bool> is_mount_point(const std::string& path) {
    const auto table = TRY(read_mount_table());
    for (const MountEntry& entry : table)
        if (entry.mount_point == path) return true;
    return false;
}

} // namespace cloudlet::linux
