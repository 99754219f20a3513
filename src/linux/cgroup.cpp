#include "cloudlet/linux/cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <thread>

#include <fmt/format.h>

#include "cgroup_files.h"
#include "cloudlet/base/clock.h"
#include "cloudlet/io/file.h"

namespace cloudlet::linux {
namespace {

constexpr Duration kPatience = std::chrono::seconds(10);

// Asks again and again until `done`, ever more slowly: 0.2 ms to 20 ms between two looks.
template <typename Done>
Result<bool> wait_until(Done done) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    auto pause = std::chrono::microseconds(200);
    for (;;) {
        if (TRY(done())) return true;
        if (std::chrono::steady_clock::now() > deadline) return false;
        std::this_thread::sleep_for(pause);
        pause = std::min(pause * 2, std::chrono::microseconds(20000));
    }
}

// v2 raises an event on cgroup.events whenever "populated" or "frozen" changes.
Result<bool> wait_for_event(const std::string& folder, std::string_view key, uint64_t value) {
    const io::UniqueFd file = TRY(io::open_file(folder + "/cgroup.events", O_RDONLY));
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    for (;;) {
        if (read_keyed(folder + "/cgroup.events", key) == value) return true;
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
            deadline - std::chrono::steady_clock::now());
        if (left.count() <= 0) return false;
        pollfd waiting{file.get(), POLLPRI, 0};
        // Woken by the event; the bound covers a change between the read above and this wait.
        ::poll(&waiting, 1, static_cast<int>(std::min<int64_t>(left.count(), 50)));
        char buffer[256];
        static_cast<void>(pread(file.get(), buffer, sizeof buffer, 0));
    }
}

Result<> read_members(const std::string& folder, std::vector<int>& out) {
    const auto text = io::read_file(folder + "/cgroup.procs");
    if (!text)
        return text.error().code == Code::not_found || text.error().os_errno == ENODEV
                   ? Result<>{}
                   : tl::unexpected(text.error());
    const char* at = text->data();
    const char* end = at + text->size();
    while (at < end) {
        int pid = 0;
        const auto [next, error] = std::from_chars(at, end, pid);
        if (error == std::errc() && pid > 0) out.push_back(pid);
        at = next < end ? next + 1 : end;
    }
    return {};
}

std::vector<std::string> child_groups(const std::string& folder) {
    std::vector<std::string> out;
    DIR* directory = opendir(folder.c_str());
    if (directory == nullptr) return out;
    while (const dirent* entry = readdir(directory))
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
            out.push_back(folder + "/" + entry->d_name);
    closedir(directory);
    return out;
}

Result<> members_below(const std::string& folder, std::vector<int>& out) {
    TRY(read_members(folder, out));
    for (const std::string& child : child_groups(folder)) TRY(members_below(child, out));
    return {};
}

// 0, or the errno of the rmdir that failed.
int remove_below(const std::string& folder) {
    if (::rmdir(folder.c_str()) == 0 || errno == ENOENT) return 0;
    if (errno != EBUSY) return errno;
    for (const std::string& child : child_groups(folder))
        if (const int error = remove_below(child); error != 0) return error;
    return ::rmdir(folder.c_str()) == 0 || errno == ENOENT ? 0 : errno;
}

} // namespace

uint64_t read_number(const std::string& path, bool unlimited_is_zero) {
    const auto text = io::read_file(path, 4096);
    if (!text) return 0;
    uint64_t value = 0;
    std::from_chars(text->data(), text->data() + text->size(), value);
    return unlimited_is_zero && value > uint64_t{1} << 62 ? 0 : value;
}

uint64_t read_keyed(const std::string& path, std::string_view key) {
    const auto text = io::read_file(path, 65536);
    if (!text) return 0;
    std::string_view rest = *text;
    while (!rest.empty()) {
        const size_t end = std::min(rest.find('\n'), rest.size());
        const std::string_view line = rest.substr(0, end);
        rest.remove_prefix(std::min(end + 1, rest.size()));
        if (!line.starts_with(key) || line.size() <= key.size() || line[key.size()] != ' ')
            continue;
        uint64_t value = 0;
        std::from_chars(line.data() + key.size() + 1, line.data() + line.size(), value);
        return value;
    }
    return 0;
}

bool file_has_word(const std::string& path, std::string_view word) {
    const auto text = io::read_file(path, 4096);
    if (!text) return false;
    for (size_t at = text->find(word); at != std::string::npos; at = text->find(word, at + 1)) {
        const size_t end = at + word.size();
        const bool starts = at == 0 || (*text)[at - 1] == ' ';
        if (starts && (end == text->size() || (*text)[end] == ' ' || (*text)[end] == '\n'))
            return true;
    }
    return false;
}

const Cgroup::Part* Cgroup::part_with(std::string_view controller) const {
    for (const Part& part : parts_)
        if (controller.empty() ? part.hierarchy.unified : part.hierarchy.has(controller))
            return &part;
    return nullptr;
}

CgroupFiles Cgroup::files() const {
    CgroupFiles out;
    for (const Part& part : parts_) {
        if (!part.hierarchy.unified) {
            out.v1_folders.push_back(part.folder);
            continue;
        }
        out.v2_folder = part.folder;
        if (io::exists(part.folder + "/cgroup.kill")) out.kill_file = part.folder + "/cgroup.kill";
    }
    if (const Part* memory = part_with("memory"))
        out.oom_file =
            memory->folder + (memory->hierarchy.unified ? "/memory.events" : "/memory.oom_control");
    const std::string& any =
        !out.v2_folder.empty() || parts_.empty() ? out.v2_folder : parts_.front().folder;
    if (!any.empty()) out.procs_file = any + "/cgroup.procs";
    return out;
}

Result<> Cgroup::attach(int pid) const {
    for (const Part& part : parts_)
        TRY(io::write_control_file(part.folder + "/cgroup.procs", fmt::format("{}", pid)));
    return {};
}

Result<CgroupStats> Cgroup::stats() const {
    if (!exists()) return fail(Code::not_found, fmt::format("cgroup {} does not exist", path_));
    CgroupStats out;
    const auto microseconds = [](uint64_t count) {
        return Duration(std::chrono::microseconds(count));
    };
    if (const Part* cpu = part_with("cpu")) {
        const std::string file = cpu->folder + "/cpu.stat";
        if (cpu->hierarchy.unified) {
            out.cpu_total = microseconds(read_keyed(file, "usage_usec"));
            out.cpu_user = microseconds(read_keyed(file, "user_usec"));
            out.cpu_system = microseconds(read_keyed(file, "system_usec"));
            out.cpu_throttled = microseconds(read_keyed(file, "throttled_usec"));
        } else {
            out.cpu_throttled = Duration(read_keyed(file, "throttled_time"));
        }
    }
    if (const Part* account = part_with("cpuacct")) {
        const auto ticks = [](uint64_t count) {
            return Duration(count * (1'000'000'000u / static_cast<uint64_t>(sysconf(_SC_CLK_TCK))));
        };
        out.cpu_total = Duration(read_number(account->folder + "/cpuacct.usage"));
        out.cpu_user = ticks(read_keyed(account->folder + "/cpuacct.stat", "user"));
        out.cpu_system = ticks(read_keyed(account->folder + "/cpuacct.stat", "system"));
    }
    if (const Part* memory = part_with("memory")) {
        const bool v2 = memory->hierarchy.unified;
        const std::string base = memory->folder + "/memory.";
        out.memory_bytes = read_number(base + (v2 ? "current" : "usage_in_bytes"));
        out.memory_inactive_file_bytes =
            read_keyed(base + "stat", v2 ? "inactive_file" : "total_inactive_file");
        out.memory_limit_bytes = read_number(base + (v2 ? "max" : "limit_in_bytes"), true);
        out.memory_peak_bytes = read_number(base + (v2 ? "peak" : "max_usage_in_bytes"));
        out.oom_kills = read_keyed(base + (v2 ? "events" : "oom_control"), "oom_kill");
    }
    if (const Part* pids = part_with("pids"))
        out.pids = read_number(pids->folder + "/pids.current");
    return out;
}

Result<std::vector<int>> Cgroup::members() const {
    std::vector<int> out;
    for (const Part& part : parts_) TRY(members_below(part.folder, out));
    std::sort(out.begin(), out.end());
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
}

Result<> Cgroup::freeze() const {
    if (const Part* unified = part_with("")) {
        TRY(io::write_control_file(unified->folder + "/cgroup.freeze", "1"));
        if (TRY(wait_for_event(unified->folder, "frozen", 1))) return {};
    } else if (const Part* freezer = part_with("freezer")) {
        const std::string file = freezer->folder + "/freezer.state";
        TRY(io::write_control_file(file, "FROZEN"));
        const bool frozen = TRY(wait_until([&]() -> Result<bool> {
            if (TRY(io::read_file(file, 64)).starts_with("FROZEN")) return true;
            // Members that forked meanwhile are only caught by asking again.
            TRY(io::write_control_file(file, "FROZEN"));
            return false;
        }));
        if (frozen) return {};
    } else {
        return fail(Code::unsupported, "this host has neither cgroup v2 nor the freezer "
                                       "controller: containers cannot be paused");
    }
    static_cast<void>(thaw());
    return fail(Code::timeout, fmt::format("cgroup {} did not freeze within 10 s", path_));
}

Result<> Cgroup::thaw() const {
    if (const Part* unified = part_with(""))
        return io::write_control_file(unified->folder + "/cgroup.freeze", "0");
    if (const Part* freezer = part_with("freezer"))
        return io::write_control_file(freezer->folder + "/freezer.state", "THAWED");
    return {};
}

Result<bool> Cgroup::is_frozen() const {
    if (const Part* unified = part_with(""))
        return read_keyed(unified->folder + "/cgroup.events", "frozen") == 1;
    if (const Part* freezer = part_with("freezer"))
        return TRY(io::read_file(freezer->folder + "/freezer.state", 64)).starts_with("FROZEN");
    return false;
}

Result<> Cgroup::kill_all() const {
    const Part* unified = part_with("");
    const bool at_once = unified != nullptr && io::exists(unified->folder + "/cgroup.kill");
    const bool gone = TRY(wait_until([&]() -> Result<bool> {
        // v2 kills whole trees, forks included; it does not see a process that was moved out of it.
        if (at_once) TRY(io::write_control_file(unified->folder + "/cgroup.kill", "1"));
        const auto pids = TRY(members());
        if (pids.empty()) return true;
        for (const int pid : pids) ::kill(pid, SIGKILL);
        static_cast<void>(thaw());
        return false;
    }));
    return gone ? Result<>{}
                : fail(Code::timeout,
                       fmt::format("processes of cgroup {} did not die within 10 s", path_));
}

Result<> Cgroup::remove() const {
    for (const Part& part : parts_) {
        int error = 0;
        const bool removed = TRY(wait_until([&]() -> Result<bool> {
            error = remove_below(part.folder);
            if (error == 0) return true;
            if (error != EBUSY)
                return fail_errno(fmt::format("remove cgroup {}", part.folder), error);
            if (part.hierarchy.unified)
                static_cast<void>(wait_for_event(part.folder, "populated", 0));
            return false;
        }));
        if (!removed)
            return fail_errno(fmt::format("remove cgroup {} (it still has processes)", part.folder),
                              error);
    }
    return {};
}

bool Cgroup::exists() const {
    for (const Part& part : parts_)
        if (io::is_directory(part.folder)) return true;
    return false;
}

} // namespace cloudlet::linux
