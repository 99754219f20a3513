#include "cloudlet/base/result.h"

#include <cerrno>
#include <cstring>

namespace cloudlet {

std::string_view name_of(Code code) {
    switch (code) {
    case Code::invalid: return "invalid";
    case Code::not_found: return "not found";
    case Code::already_exists: return "already exists";
    case Code::conflict: return "conflict";
    case Code::expired: return "expired";
    case Code::unauthenticated: return "unauthenticated";
    case Code::forbidden: return "forbidden";
    case Code::unsupported: return "unsupported";
    case Code::unavailable: return "unavailable";
    case Code::timeout: return "timeout";
    case Code::too_large: return "too large";
    case Code::exhausted: return "exhausted";
    case Code::cancelled: return "cancelled";
    case Code::io: return "io";
    case Code::internal: return "internal";
    }
    return "unknown";
}

std::string Error::to_string() const {
    std::string line;
    for (auto frame = context.rbegin(); frame != context.rend(); ++frame) {
        line += *frame;
        line += ": ";
    }
    return line + message;
}

tl::unexpected<Error> fail(Code code, std::string message) {
    return tl::unexpected<Error>(Error{code, std::move(message), {}, 0});
}

static Code code_of_errno(int errno_value) {
    switch (errno_value) {
    case ENOENT: return Code::not_found;
    case EEXIST: return Code::already_exists;
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case ENOMEM: return Code::exhausted;
    case EOPNOTSUPP:
    case ENOSYS: return Code::unsupported;
    case ETIMEDOUT: return Code::timeout;
    case ECANCELED: return Code::cancelled;
    default: return Code::io;
    }
}

tl::unexpected<Error> fail_errno(std::string_view what, int errno_value) {
    char buffer[128];
    std::string message(what);
    message += ": ";
    message += strerror_r(errno_value, buffer, sizeof buffer);
    return tl::unexpected<Error>(
        Error{code_of_errno(errno_value), std::move(message), {}, errno_value});
}

tl::unexpected<Error> fail_errno(std::string_view what) { return fail_errno(what, errno); }

} // namespace cloudlet
