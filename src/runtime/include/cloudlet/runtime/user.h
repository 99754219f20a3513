#pragma once
// User names are resolved in the container's own /etc/passwd and /etc/group, opened beneath its
// root (openat2 with RESOLVE_IN_ROOT): a symbolic link in an image never leads to the host's files.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cloudlet/base/result.h"
#include "cloudlet/runtime/spec.h"

namespace cloudlet::runtime {

struct ResolvedUser {
    uint32_t uid = 0;
    uint32_t gid = 0;
    std::vector<uint32_t> additional_gids; // groups that list the user as a member
    std::string name;                      // empty when the uid has no line in /etc/passwd
    std::string home;                      // "/" when unknown
    User to_user() const { return {uid, gid, std::nullopt, additional_gids}; }
};

/// Resolves "", "name", "uid", "name:group", "uid:gid" as Docker does: a name must exist, a number
/// need not; the group's default is the user's own, else 0. Error: not_found names the user or
/// group.
Result<ResolvedUser> resolve_user(const std::string& root, std::string_view user);

} // namespace cloudlet::runtime
