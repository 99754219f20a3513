#include "cloudlet/linux/seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

// Newer than our libseccomp's own copies of kernel constants, so after linux/seccomp.h.
#include <seccomp.h>

#include <map>
#include <memory>
#include <mutex>

#include <fmt/format.h>

#include "cloudlet/base/id.h"
#include "cloudlet/io/fd.h"
#include "cloudlet/io/file.h"

namespace cloudlet::linux {
namespace {

using Context = std::unique_ptr<void, decltype(&seccomp_release)>;

uint32_t action_of(SeccompAction action, std::optional<unsigned> errno_value) {
    const auto number = static_cast<uint16_t>(errno_value.value_or(EPERM));
    switch (action) {
    case SeccompAction::allow: return SCMP_ACT_ALLOW;
    case SeccompAction::error: return SCMP_ACT_ERRNO(number);
    case SeccompAction::trap: return SCMP_ACT_TRAP;
    case SeccompAction::kill_process: return SCMP_ACT_KILL_PROCESS;
    case SeccompAction::kill_thread: return SCMP_ACT_KILL_THREAD;
    case SeccompAction::trace: return SCMP_ACT_TRACE(number);
    case SeccompAction::log: return SCMP_ACT_LOG;
    }
    return SCMP_ACT_KILL_PROCESS;
}

struct Architecture {
    std::string_view name; // of the OCI spec
    uint32_t token;        // libseccomp's
    uint32_t audit;        // what the kernel puts into seccomp_data.arch
};
constexpr Architecture kArchitectures[] = {
    {"SCMP_ARCH_X86", SCMP_ARCH_X86, AUDIT_ARCH_I386},
    {"SCMP_ARCH_X86_64", SCMP_ARCH_X86_64, AUDIT_ARCH_X86_64},
    {"SCMP_ARCH_X32", SCMP_ARCH_X32, AUDIT_ARCH_X86_64},
    {"SCMP_ARCH_ARM", SCMP_ARCH_ARM, AUDIT_ARCH_ARM},
    {"SCMP_ARCH_AARCH64", SCMP_ARCH_AARCH64, AUDIT_ARCH_AARCH64},
};

Result<std::vector<Architecture>> architectures_of(const SeccompProfile& profile) {
    std::vector<Architecture> out;
    const uint32_t native = seccomp_arch_native();
    for (const Architecture& known : kArchitectures)
        if (known.token == native) out.push_back(known);
    for (const std::string& name : profile.architectures) {
        bool found = false;
        for (const Architecture& known : kArchitectures) {
            if (known.name != name) continue;
            found = true;
            if (known.token != native) out.push_back(known);
        }
        if (!found)
            return fail(Code::invalid, fmt::format("seccomp: unknown architecture \"{}\"", name));
    }
    return out;
}

scmp_arg_cmp compare_of(const SeccompArgument& argument) {
    using Compare = SeccompArgument::Compare;
    scmp_compare op = SCMP_CMP_EQ;
    switch (argument.compare) {
    case Compare::not_equal: op = SCMP_CMP_NE; break;
    case Compare::less: op = SCMP_CMP_LT; break;
    case Compare::less_equal: op = SCMP_CMP_LE; break;
    case Compare::equal: op = SCMP_CMP_EQ; break;
    case Compare::greater_equal: op = SCMP_CMP_GE; break;
    case Compare::greater: op = SCMP_CMP_GT; break;
    case Compare::masked_equal: op = SCMP_CMP_MASKED_EQ; break;
    }
    return {argument.index, op, argument.value, argument.value_two};
}

// libseccomp wants at most one condition for each argument in a rule; several on one argument mean
// "any of them" (OCI runtime-spec, as runc reads it).
bool repeats_an_index(const std::vector<SeccompArgument>& arguments) {
    unsigned seen = 0;
    for (const SeccompArgument& argument : arguments) {
        if (seen & 1u << argument.index) return true;
        seen |= 1u << argument.index;
    }
    return false;
}

Result<> add_rule(scmp_filter_ctx context, uint32_t action, int number, const std::string& name,
                  const std::vector<SeccompArgument>& arguments) {
    std::vector<scmp_arg_cmp> compares;
    for (const SeccompArgument& argument : arguments) compares.push_back(compare_of(argument));
    if (repeats_an_index(arguments)) {
        for (const scmp_arg_cmp& compare : compares)
            if (const int error = seccomp_rule_add_array(context, action, number, 1, &compare);
                error != 0)
                return fail_errno(fmt::format("seccomp rule for {}", name), -error);
        return {};
    }
    const int error = seccomp_rule_add_array(
        context, action, number, static_cast<unsigned>(compares.size()), compares.data());
    return error == 0 ? Result<>{} : fail_errno(fmt::format("seccomp rule for {}", name), -error);
}

Result<> add_rules(scmp_filter_ctx context, const SeccompProfile& profile) {
    const uint32_t fallback = action_of(profile.default_action, profile.default_errno);
    for (const SeccompRule& rule : profile.rules) {
        const uint32_t action = action_of(rule.action, rule.errno_value);
        if (action == fallback) continue; // libseccomp refuses rules that say nothing
        for (const SeccompArgument& argument : rule.arguments)
            if (argument.index > 5)
                return fail(Code::invalid, "seccomp: a system call has arguments 0 to 5");
        for (const std::string& name : rule.names) {
            const int number = seccomp_syscall_resolve_name(name.c_str());
            if (number == __NR_SCMP_ERROR) continue;
            TRY(add_rule(context, action, number, name, rule.arguments));
        }
    }
    return {};
}

// The highest number that the profile speaks about: what is above did not exist when it was
// written.
int highest_known(const SeccompProfile& profile, uint32_t architecture) {
    int highest = -1;
    for (const SeccompRule& rule : profile.rules)
        for (const std::string& name : rule.names) {
            const int number = seccomp_syscall_resolve_name_arch(architecture, name.c_str());
            highest = std::max(highest, number == __NR_SCMP_ERROR ? -1 : number);
        }
    return highest;
}

// A C library tries a new system call first and falls back on ENOSYS only; EPERM would break it. So
// numbers above the highest known one answer ENOSYS before the filter proper is asked.
std::string unknown_call_prefix(const SeccompProfile& profile,
                                const std::vector<Architecture>& architectures) {
    constexpr uint32_t kX32Bit = 0x40000000;
    std::vector<sock_filter> code;
    if (profile.default_action != SeccompAction::error) return {};
    for (const Architecture& architecture : architectures) {
        const int highest = highest_known(profile, architecture.token);
        if (highest < 0 || architecture.token == SCMP_ARCH_X32) continue;
        const sock_filter part[] = {
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, architecture.audit, 0, 4),
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
            BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, kX32Bit, 2, 0),
            BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, static_cast<uint32_t>(highest), 0, 1),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        };
        code.insert(code.end(), std::begin(part), std::end(part));
    }
    return {reinterpret_cast<const char*>(code.data()), code.size() * sizeof(sock_filter)};
}

Result<std::string> export_program(scmp_filter_ctx context) {
    const io::UniqueFd file(memfd_create("seccomp", MFD_CLOEXEC));
    if (!file) return fail_errno("make a memory file for a seccomp filter");
    if (const int error = seccomp_export_bpf(context, file.get()); error != 0)
        return fail_errno("compile the seccomp filter", -error);
    if (lseek(file.get(), 0, SEEK_SET) != 0) return fail_errno("read the seccomp filter");
    return io::read_all(file.get(), 1 << 20);
}

Result<unsigned> flags_of(const SeccompProfile& profile) {
    unsigned flags = 0;
    for (const std::string& name : profile.flags) {
        if (name == "SECCOMP_FILTER_FLAG_LOG")
            flags |= SECCOMP_FILTER_FLAG_LOG;
        else if (name == "SECCOMP_FILTER_FLAG_SPEC_ALLOW")
            flags |= SECCOMP_FILTER_FLAG_SPEC_ALLOW;
        else if (name != "SECCOMP_FILTER_FLAG_TSYNC") // there is only one thread
            return fail(Code::invalid, fmt::format("seccomp: unknown flag \"{}\"", name));
    }
    return flags;
}

Result<SeccompFilter> compile(const SeccompProfile& profile) {
    const Context context(seccomp_init(action_of(profile.default_action, profile.default_errno)),
                          seccomp_release);
    if (!context) return fail(Code::exhausted, "seccomp: no memory for a filter");
    const auto architectures = TRY(architectures_of(profile));
    for (const Architecture& architecture : architectures)
        if (const int error = seccomp_arch_add(context.get(), architecture.token);
            error != 0 && error != -EEXIST)
            return fail_errno(fmt::format("seccomp: add architecture {}", architecture.name),
                              -error);
    seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2); // a tree instead of a list
    TRY(add_rules(context.get(), profile));
    SeccompFilter filter;
    filter.flags = TRY(flags_of(profile));
    filter.program =
        unknown_call_prefix(profile, architectures) + TRY(export_program(context.get()));
    if (filter.program.size() / sizeof(sock_filter) > BPF_MAXINSNS)
        return fail(
            Code::too_large,
            fmt::format("the seccomp profile compiles to more than {} instructions", BPF_MAXINSNS));
    return filter;
}

// A node has a handful of profiles; a flood of them must not stay in memory.
constexpr size_t kKept = 64;

struct Cache {
    std::mutex mutex;
    std::map<std::string, SeccompFilter> compiled;
    std::string folder; // empty: nothing is kept on disk
};

Cache& cache() {
    static Cache instance;
    return instance;
}

std::string versioned(const std::string& key) {
    const scmp_version* version = seccomp_version();
    return fmt::format("1 {}.{}.{}\n{}", version->major, version->minor, version->micro, key);
}

// A kept filter: its whole key (equal names of files prove nothing), a NUL, the flags, the program.
std::string kept_path(const std::string& folder, const std::string& key) {
    return fmt::format("{}/{:08x}-{}", folder, fnv1a32(key), key.size());
}

std::optional<SeccompFilter> load_kept(const std::string& folder, const std::string& key) {
    const auto bytes = io::read_file(kept_path(folder, key), 1 << 20);
    const size_t head = key.size() + 1 + sizeof(unsigned);
    if (!bytes || bytes->size() < head || bytes->compare(0, key.size(), key) != 0)
        return std::nullopt;
    const size_t size = bytes->size() - head;
    if ((*bytes)[key.size()] != '\0' || size == 0 || size % sizeof(sock_filter) != 0)
        return std::nullopt;
    SeccompFilter out;
    std::memcpy(&out.flags, bytes->data() + key.size() + 1, sizeof out.flags);
    out.program = bytes->substr(head);
    return out;
}

// Only a cache: when it cannot be written, the next process compiles again.
void keep(const std::string& folder, const std::string& key, const SeccompFilter& filter) {
    std::string bytes = key;
    bytes.push_back('\0');
    bytes.append(reinterpret_cast<const char*>(&filter.flags), sizeof filter.flags);
    bytes.append(filter.program);
    if (!io::make_directories(folder, 0700)) return;
    // Several runtimes share the folder. Who holds it may sweep it; the others leave the work to
    // him.
    auto held = io::open_file(folder, O_RDONLY | O_DIRECTORY);
    if (!held || ::flock(held->get(), LOCK_EX | LOCK_NB) != 0) return;
    if (io::sweep_temporary_files(folder))
        static_cast<void>(io::write_file_atomic(kept_path(folder, key), bytes, 0600));
}

} // namespace

std::string fingerprint(const SeccompProfile& profile) {
    std::string out =
        fmt::format("{}/{}/{}/{}\n", static_cast<int>(profile.default_action),
                    profile.default_errno.value_or(0), fmt::join(profile.architectures, ","),
                    fmt::join(profile.flags, ","));
    for (const SeccompRule& rule : profile.rules) {
        out += fmt::format("{}/{}/{}", static_cast<int>(rule.action), rule.errno_value.value_or(0),
                           fmt::join(rule.names, ","));
        for (const SeccompArgument& a : rule.arguments)
            out += fmt::format("/{}:{}:{}:{}", a.index, static_cast<int>(a.compare), a.value,
                               a.value_two);
        out.push_back('\n');
    }
    return out;
}

void keep_compiled_seccomp_in(const std::string& folder) {
    const std::lock_guard lock(cache().mutex);
    cache().folder = folder;
}

Result<SeccompFilter> compile_seccomp(const SeccompProfile& profile) {
    const std::string key = versioned(fingerprint(profile));
    std::string folder;
    {
        const std::lock_guard lock(cache().mutex);
        if (const auto found = cache().compiled.find(key); found != cache().compiled.end())
            return found->second;
        folder = cache().folder;
    }
    auto kept = folder.empty() ? std::nullopt : load_kept(folder, key);
    SeccompFilter filter;
    if (kept) {
        filter = std::move(*kept);
    } else {
        filter = TRY(with_context(compile(profile), "seccomp profile"));
        if (!folder.empty()) keep(folder, key, filter);
    }
    const std::lock_guard lock(cache().mutex);
    if (cache().compiled.size() >= kKept) cache().compiled.clear();
    cache().compiled.emplace(key, filter);
    return filter;
}

} // namespace cloudlet::linux
