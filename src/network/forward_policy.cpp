#include "forward_policy.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>

#include <linux/netfilter_ipv4/ip_tables.h>

#include "cloudlet/io/fd.h"
#include "cloudlet/io/file.h"

namespace cloudlet::network {

namespace nft = linux::nft;

namespace {

std::string iptables_fix(const char* program, const std::string& links) {
    return fmt::format("{0} -I FORWARD -i {1}+ -j ACCEPT && {0} -I FORWARD -o {1}+ -j ACCEPT",
                       program, links);
}

bool names_our_links(linux::NetlinkSocket& socket, const nft::Chain& chain,
                     const std::string& links) {
    auto rules = nft::list_rule_bytes(socket, chain);
    if (!rules) return false;
    for (const std::string& rule : *rules)
        if (rule.find(links) != std::string::npos) return true;
    return false;
}

std::string family_name(nft::Family family) { return family == nft::Family::inet ? "inet" : "ip"; }

void add_nft_obstacles(linux::NetlinkSocket& socket, const std::string& links,
                       std::vector<std::string>& lines) {
    auto chains = nft::list_chains(socket);
    if (!chains) return;
    for (const nft::Chain& chain : *chains) {
        bool ip = chain.family == nft::Family::ip || chain.family == nft::Family::inet;
        bool forwards = chain.hook == static_cast<uint32_t>(nft::Hook::forward);
        if (!ip || !forwards || !chain.drops_by_default || names_our_links(socket, chain, links))
            continue;
        bool is_iptables =
            chain.table == "filter" && chain.name == "FORWARD" && chain.family == nft::Family::ip;
        std::string where =
            fmt::format("{} {} {}", family_name(chain.family), chain.table, chain.name);
        std::string fix = is_iptables
                              ? iptables_fix("iptables", links)
                              : fmt::format("nft insert rule {0} iifname \"{1}*\" accept && "
                                            "nft insert rule {0} oifname \"{1}*\" accept",
                                            where, links);
        lines.push_back(
            fmt::format("the firewall chain \"{}\" drops forwarded packets by default, so pods may "
                        "not reach each other or the outside; allow them: {}",
                        where, fix));
    }
}

// The legacy table as one blob: entries one after another, the policy in the entry of the hook's
// underflow.
std::string read_legacy_filter(int fd, ipt_getinfo& info) {
    std::strcpy(info.name, "filter");
    socklen_t size = sizeof info;
    if (::getsockopt(fd, SOL_IP, IPT_SO_GET_INFO, &info, &size) < 0) return {};
    std::string blob(sizeof(ipt_get_entries) + info.size, '\0');
    auto* request = reinterpret_cast<ipt_get_entries*>(blob.data());
    std::strcpy(request->name, "filter");
    request->size = info.size;
    size = static_cast<socklen_t>(blob.size());
    if (::getsockopt(fd, SOL_IP, IPT_SO_GET_ENTRIES, blob.data(), &size) < 0) return {};
    return blob.substr(sizeof(ipt_get_entries));
}

bool legacy_forward_drops(const std::string& links) {
    // Asking for a table would load it; the list of loaded ones does not.
    auto loaded = io::read_file("/proc/thread-self/net/ip_tables_names");
    if (!loaded || loaded->find("filter") == std::string::npos) return false;
    io::UniqueFd fd(::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW));
    if (!fd) return false;
    ipt_getinfo info{};
    std::string entries = read_legacy_filter(fd.get(), info);
    size_t policy = info.underflow[NF_INET_FORWARD];
    if (policy + sizeof(ipt_entry) + sizeof(xt_standard_target) > entries.size()) return false;
    ipt_entry entry;
    std::memcpy(&entry, entries.data() + policy, sizeof entry);
    if (policy + entry.target_offset + sizeof(xt_standard_target) > entries.size()) return false;
    xt_standard_target target;
    std::memcpy(&target, entries.data() + policy + entry.target_offset, sizeof target);
    bool drops = target.verdict == -NF_DROP - 1;
    return drops && entries.find(links) == std::string::npos;
}

} // namespace

std::vector<std::string> forward_obstacles(linux::NetlinkSocket& socket,
                                           const NetworkOptions& options) {
    std::vector<std::string> lines;
    std::string links = options.link_prefix();
    add_nft_obstacles(socket, links, lines);
    if (legacy_forward_drops(links))
        lines.push_back(fmt::format(
            "the iptables (legacy) chain FORWARD drops forwarded packets by default, so pods "
            "may not reach each other or the outside; allow them: {}",
            iptables_fix("iptables-legacy", links)));
    return lines;
}

} // namespace cloudlet::network
