#pragma once
// Seccomp profiles as values, compiled to the kernel's BPF bytes by libseccomp. The tiny init
// program only loads the bytes. Compiling costs milliseconds, so equal profiles are compiled once
// per process.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cloudlet/base/result.h"
#include "cloudlet/linux/capability.h"

namespace cloudlet::linux {

/// SCMP_ACT_... of OCI runtime-spec 1.2, config-linux.md "Seccomp". `notify` is not supported.
enum class SeccompAction { allow, error, trap, kill_process, kill_thread, trace, log };

/// A condition on one argument of a system call, as libseccomp's SCMP_CMP_...
struct SeccompArgument {
    enum class Compare { not_equal, less, less_equal, equal, greater_equal, greater, masked_equal };
    unsigned index = 0; // 0..5
    uint64_t value = 0;
    uint64_t value_two = 0; // masked_equal: value is the mask, value_two the datum
    Compare compare = Compare::equal;
};

struct SeccompRule {
    std::vector<std::string> names; // names unknown to libseccomp are skipped, as runc does
    SeccompAction action = SeccompAction::allow;
    std::optional<unsigned> errno_value; // for error and trace
    std::vector<SeccompArgument> arguments;
};

struct SeccompProfile {
    SeccompAction default_action = SeccompAction::error;
    std::optional<unsigned> default_errno;  // EPERM when absent
    std::vector<std::string> architectures; // "SCMP_ARCH_X86_64", ...; empty: the native one
    std::vector<std::string> flags;         // "SECCOMP_FILTER_FLAG_..."
    std::vector<SeccompRule> rules;
};

/// What is loaded: seccomp(2)'s flags and the array of struct sock_filter as bytes.
struct SeccompFilter {
    unsigned flags = 0;
    std::string program;
};

/// Error: Code::invalid names the action, architecture or flag that is unknown. A system call newer
/// than every name in the profile answers ENOSYS, not the default errno, so that a libc falls back.
/// Thread-safe; equal profiles share one compilation.
Result<SeccompFilter> compile_seccomp(const SeccompProfile& profile);

/// From now on compiled filters are also kept as files in this folder (made at need, mode 0700), so
/// that the next process need not compile. A file that is damaged or of another version is compiled
/// anew.
void keep_compiled_seccomp_in(const std::string& folder);

/// An allow-list in the manner of Docker's default profile; calls that need a capability are
/// allowed only when `capabilities` holds it.
SeccompProfile default_seccomp_profile(CapabilitySet capabilities);

/// A text that is equal exactly for equal profiles: the key of caches.
std::string fingerprint(const SeccompProfile& profile);

} // namespace cloudlet::linux
