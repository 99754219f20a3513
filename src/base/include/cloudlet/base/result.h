#pragma once
// The error contract of the whole program: a fallible function returns Result<T>, never throws.
//
// An Error says what happened, to what, and what to do next; callers add context on the way up
// (outermost first when printed). Codes are few and are mapped exactly once to HTTP, to Kubernetes
// Status reasons and to exit statuses, each in the room that speaks that language.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tl/expected.hpp>

namespace cloudlet {

enum class Code {
    invalid,         // the input is wrong; the same call will fail again
    not_found,       // the named thing does not exist
    already_exists,  // the named thing exists and was to be made
    conflict,        // somebody else changed it first; read again and retry
    expired,         // the requested history is gone (HTTP 410)
    unauthenticated, // who are you?
    forbidden,       // we know who you are; you may not
    unsupported,     // this build, kernel or protocol cannot do it
    unavailable,     // try again later
    timeout,         // a deadline passed
    too_large,       // a limit on size or count was exceeded
    exhausted,       // no space, memory, addresses or descriptors left
    cancelled,       // the caller or a shutdown gave it up
    io,              // the operating system refused (see os_errno)
    internal,        // a bug of ours that was caught
};

/// The field's name of a code, in lower case with spaces ("not found").
std::string_view name_of(Code code);

/// What went wrong. Copyable, cheap to move; safe to hand across threads.
struct Error {
    Code code = Code::internal;
    std::string message;
    std::vector<std::string> context; // innermost first; see with_context()
    int os_errno = 0;                 // errno when the kernel said no, else 0

    /// "context: context: message" in one line, as a person reads it.
    std::string to_string() const;
};

template <typename T = void>
using Result = tl::expected<T, Error>;

/// Makes the unexpected value of any Result: `return fail(Code::not_found, "image x not found")`.
tl::unexpected<Error> fail(Code code, std::string message);

/// The same for a failed system call: message is "what: strerror(errno)", the code is chosen from
/// errno_value (ENOENT -> not_found, EEXIST -> already_exists, ENOSPC -> exhausted, else io).
tl::unexpected<Error> fail_errno(std::string_view what, int errno_value);
tl::unexpected<Error> fail_errno(std::string_view what); // errno as it is now

/// Adds one frame of context to a failed result; a success passes unchanged.
template <typename T>
Result<T> with_context(Result<T> result, std::string_view context) {
    if (!result) result.error().context.emplace_back(context);
    return result;
}

namespace detail {
template <typename T>
T take(Result<T>& result) {
    return std::move(*result);
}
inline void take(Result<void>&) {}
} // namespace detail

} // namespace cloudlet

/// Evaluates a Result expression; yields its value, or returns its error from this function.
/// `auto bytes = TRY(read_file(path));`   `TRY(write_file(path, bytes));`
#define TRY(...) CLOUDLET_TRY(CLOUDLET_TRY_NAME(__COUNTER__), __VA_ARGS__)

// The name is unique, so that one TRY may stand inside another.
#define CLOUDLET_TRY_NAME(number) CLOUDLET_TRY_PASTE(cloudlet_try_result_, number)
#define CLOUDLET_TRY_PASTE(prefix, number) prefix##number
#define CLOUDLET_TRY(result, ...)                                                                  \
    __extension__({                                                                                \
        auto result = (__VA_ARGS__);                                                               \
        if (!result) [[unlikely]]                                                                  \
            return ::tl::unexpected<::cloudlet::Error>(std::move(result.error()));                 \
        ::cloudlet::detail::take(result);                                                          \
    })
