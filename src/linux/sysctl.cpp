#include "cloudlet/linux/sysctl.h"

#include <fcntl.h>
#include <unistd.h>

#include "cloudlet/io/fd.h"

namespace cloudlet::linux {

namespace {

Result<io::UniqueFd> open_sysctl(std::string_view name, int flags) {
    std::string path = fmt::format("/proc/sys/{}", name);
    io::UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC));
    if (!fd) return fail_errno(fmt::format("sysctl {}", name));
    return fd;
}

} // namespace

Result<std::string> read_sysctl(std::string_view name) {
    io::UniqueFd fd = TRY(open_sysctl(name, O_RDONLY));
    char buffer[4096];
    ssize_t count = ::read(fd.get(), buffer, sizeof buffer);
    if (count < 0) return fail_errno(fmt::format("read sysctl {}", name));
    std::string value(buffer, static_cast<size_t>(count));
    while (!value.empty() && value.back() == '\n') value.pop_back();
    return value;
}

Result<> write_sysctl(std::string_view name, std::string_view value) {
    io::UniqueFd fd = TRY(open_sysctl(name, O_WRONLY));
    ssize_t count = ::write(fd.get(), value.data(), value.size());
    if (count < 0) return fail_errno(fmt::format("write sysctl {} = {}", name, value));
    return {};
}

} // namespace cloudlet::linux
