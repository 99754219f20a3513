#include "cloudlet/network/options.h"

#include "cloudlet/base/id.h"

namespace cloudlet::network {

// A link name has 15 characters: "cl", eight of the id, "-", four hexadecimal digits.
std::string NetworkOptions::link_prefix() const {
    std::string tag =
        instance_id.size() <= 8 ? instance_id : fmt::format("{:08x}", fnv1a32(instance_id));
    return "cl" + tag + "-";
}

namespace {

tl::unexpected<Error> bad(std::string_view what, const std::string& value, std::string_view rule) {
    return fail(Code::invalid, fmt::format("{} {} {}", what, value, rule));
}

} // namespace

Result<> validate(const NetworkOptions& options) {
    bool named = !options.instance_id.empty() && options.instance_id.size() <= 64;
    for (char c : options.instance_id)
        named = named && ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'));
    if (!named)
        return bad("instance id", options.instance_id,
                   "is not 1 to 64 lower-case letters and digits");
    if (options.pod_block.prefix < 16 || options.pod_block.prefix > 30)
        return bad("pod block", options.pod_block.to_string(), "is not between /16 and /30");
    if (options.cluster_block.prefix > options.pod_block.prefix ||
        !options.cluster_block.contains(options.pod_block.base))
        return bad("pod block", options.pod_block.to_string(),
                   "is not inside the cluster's pod network " + options.cluster_block.to_string());
    if (options.service_block.prefix > 30 || options.service_block.prefix < 8)
        return bad("service block", options.service_block.to_string(), "is not between /8 and /30");
    if (options.service_block.overlaps(options.cluster_block))
        return bad("service block", options.service_block.to_string(),
                   "overlaps the pod network " + options.cluster_block.to_string());
    if (options.dns_service && !options.service_block.contains(*options.dns_service))
        return bad("DNS service address", options.dns_service->to_string(),
                   "is not inside the service block " + options.service_block.to_string());
    return {};
}

} // namespace cloudlet::network
