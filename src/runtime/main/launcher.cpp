#include "launcher.h"

#include <unistd.h>

#include "launch/embedded.h"
#include "launch/launch.h"

namespace cloudlet::runtime {
namespace {

auto failed(Error error, int exit_code = 1) {
    return tl::unexpected(LaunchFailure{std::move(error), exit_code});
}

auto failed(const cl_message& message) {
    Error error;
    error.code = message.exit_code == 127 ? Code::not_found : Code::io;
    error.message = message.text;
    error.os_errno = message.os_errno;
    return failed(std::move(error), message.exit_code);
}

Error internal(std::string message) {
    Error error;
    error.message = std::move(message);
    return error;
}

} // namespace

tl::expected<Launched, LaunchFailure> launch(const Plan& plan, int start_listener) {
    const auto init = init_program();
    if (!init) return failed(init.error());
    const io::UniqueFd file(cl_sealed_file("cloudlet-plan", plan.bytes.data(), plan.bytes.size()));
    cl_launch work{};
    if (!file || cl_plan_check(&work.plan, plan.bytes.data(), plan.bytes.size()) != 0)
        return failed(internal("the compiled plan is damaged"));
    work.plan_fd = file.get();
    work.init_fd = *init;
    work.start_fd = start_listener;
    for (int i = 0; i < 3; i++) work.stdio[i] = i;
    cl_message message{};
    if (cl_launch_begin(&work, &message) != 0) return failed(message);
    Launched out;
    for (;;) {
        int fd = -1;
        const int got = cl_launch_receive(work.control, &message, &fd);
        if (got == 1 && message.kind == CL_MSG_TERMINAL) {
            out.terminal.reset(fd);
            continue;
        }
        if (fd >= 0) close(fd);
        if (got == 1 && message.kind == CL_MSG_READY) break;
        if (got == 0 && (work.plan.header->flags & CL_PLAN_WAITS) == 0) break;
        cl_launch_abort(&work);
        if (got == 1) return failed(message);
        return failed(internal("the container's init ended while it was set up"));
    }
    out.pid = work.pid;
    close(work.pidfd);
    close(work.control);
    return out;
}

} // namespace cloudlet::runtime
