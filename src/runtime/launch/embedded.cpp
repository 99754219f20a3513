#include "launch/embedded.h"

#include <cstddef>
#include <mutex>

#include "launch/launch.h"

__asm__(
    ".section .rodata\n"
    ".global cl_init_begin\n.global cl_init_end\n.global cl_monitor_begin\n.global cl_monitor_end\n"
    "cl_init_begin:\n.incbin \"" CL_INIT_FILE "\"\ncl_init_end:\n"
    "cl_monitor_begin:\n.incbin \"" CL_MONITOR_FILE "\"\ncl_monitor_end:\n"
    ".text\n");

extern "C" {
extern const char cl_init_begin[], cl_init_end[], cl_monitor_begin[], cl_monitor_end[];
}

namespace cloudlet::runtime {
namespace {

class Program {
public:
    Result<int> open(const char* name, const char* begin, const char* end) {
        const std::lock_guard lock(mutex_);
        if (fd_ < 0) fd_ = cl_sealed_file(name, begin, static_cast<size_t>(end - begin));
        if (fd_ < 0) return fail_errno("make a sealed memory file for the container's init");
        return fd_;
    }

private:
    std::mutex mutex_;
    int fd_ = -1;
};

} // namespace

Result<int> init_program() {
    static Program program;
    return program.open("cloudlet-init", cl_init_begin, cl_init_end);
}

Result<int> monitor_program() {
    static Program program;
    return program.open("cloudlet-monitor", cl_monitor_begin, cl_monitor_end);
}

} // namespace cloudlet::runtime
