#pragma once
// UDP connections that still lead to an endpoint which a service no longer has.

#include <set>
#include <vector>

#include "cloudlet/network/service_proxy.h"
#include "ruleset.h"
#include "service_rules.h"

namespace cloudlet::network {

/// A front whose endpoints changed, with the endpoints it has now.
struct StaleFront {
    Front front;
    std::set<Target> endpoints;
};

/// Adds the UDP fronts of the change from `before` to `after` (either may be null) that may have
/// stale connections: those that lost an endpoint, and those that had none.
void add_stale_fronts(std::vector<StaleFront>& stale, const ServicePort* before,
                      const ServicePort* after);

/// Makes the kernel forget UDP connections from one of these fronts to what is not among its
/// endpoints.
Result<> forget_stale(const std::vector<StaleFront>& stale);

} // namespace cloudlet::network
