#include "cloudlet/network/service_proxy.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <set>
#include <unordered_map>

#include <linux/netlink.h>

#include "cloudlet/base/log.h"
#include "ruleset.h"
#include "service_rules.h"
#include "stale_connections.h"

namespace cloudlet::network {

namespace nft = linux::nft;

namespace {

constexpr uint16_t dns_port = 53;

struct KeyHash {
    size_t operator()(const ServiceKey& key) const noexcept {
        uint64_t mixed = uint64_t{key.cluster_ip.value} << 24 | uint64_t{key.port} << 8 |
                         static_cast<uint8_t>(key.protocol);
        return static_cast<size_t>((mixed ^ mixed >> 29) * 0x9E3779B97F4A7C15ULL);
    }
};

ServiceKey key_of(const ServicePort& service) {
    return {service.cluster_ip, service.protocol, service.port};
}

std::string describe(const ServicePort& service) {
    if (!service.name.empty()) return service.name;
    return fmt::format("{}:{}", service.cluster_ip.to_string(), service.port);
}

} // namespace

// A full desired state, without copying it.
using Services = std::vector<const ServicePort*>;

// One change on its way to the kernel. Nothing in memory is touched until the kernel has taken it.
struct Change {
    std::vector<const ServicePort*> services; // new or different
    std::vector<ServiceKey> removed;
    std::map<std::string, int> hairpin_delta; // address as hairpin key -> more or fewer users
    std::set<std::string> new_chains;
    std::vector<ServiceElement> removed_elements;
    std::vector<ServiceElement> added_elements;
    std::vector<StaleFront> stale;
};

struct ServiceProxy::Impl {
    struct Known {
        ServicePort service;
        uint64_t seen = 0; // the last full state that had it
    };

    NetworkOptions options;
    linux::NetlinkSocket socket;
    std::unordered_map<ServiceKey, Known, KeyHash> known;
    std::vector<Known*> order; // of the last full state: the next one is mostly the same
    std::map<Front, ServiceKey> fronts;
    std::map<std::string, int> hairpin_users;
    std::set<std::string> chains;
    std::vector<ServicePort> built_in;
    bool adopted = false; // the kernel's elements are exactly those of `known`
    uint64_t generation = 0;
    ProxyStats stats;
    mutable std::mutex mutex;

    Impl(NetworkOptions chosen, linux::NetlinkSocket opened)
        : options(std::move(chosen)), socket(std::move(opened)) {}

    bool is_built_in(const ServiceKey& key) const;
    Known* find(const ServicePort& service, size_t position);
    Result<Change> compare(const Services& services);
    Result<> check_fronts(const Change& change) const;
    void expand(Change& change) const;
    void expand_one(Change& change, const ServicePort* before, const ServicePort* after) const;
    void count_hairpins(Change& change, const ServicePort& service, int step) const;
    Result<> commit(Change& change);
    void remember(const Change& change);
    Result<> adopt(const Services& services);
    Result<> make_change(Change& change);
    Result<> apply(const Services& services);
};

ServiceProxy::ServiceProxy(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ServiceProxy::~ServiceProxy() = default;

Result<std::unique_ptr<ServiceProxy>> ServiceProxy::open(const NetworkOptions& options) {
    TRY(validate(options));
    auto impl = std::make_unique<Impl>(options, TRY(linux::NetlinkSocket::open(NETLINK_NETFILTER)));
    TRY(has_table(impl->socket, options)); // says clearly when the kernel has no nf_tables
    TRY(ensure_ruleset(impl->socket, options));
    if (options.dns_service)
        for (Protocol protocol : {Protocol::udp, Protocol::tcp}) {
            ServicePort service;
            service.name = "cluster DNS";
            service.cluster_ip = *options.dns_service;
            service.protocol = protocol;
            service.port = dns_port;
            service.endpoints = {{options.gateway(), dns_port}};
            impl->built_in.push_back(std::move(service));
        }
    return std::unique_ptr<ServiceProxy>(new ServiceProxy(std::move(impl)));
}

bool ServiceProxy::Impl::is_built_in(const ServiceKey& key) const {
    return std::ranges::any_of(built_in,
                               [&](const ServicePort& service) { return key_of(service) == key; });
}

ServiceProxy::Impl::Known* ServiceProxy::Impl::find(const ServicePort& service, size_t position) {
    ServiceKey key = key_of(service);
    if (position < order.size() && order[position] && key_of(order[position]->service) == key)
        return order[position];
    auto found = known.find(key);
    return found == known.end() ? nullptr : &found->second;
}

// What differs between the full desired state and what is known.
Result<Change> ServiceProxy::Impl::compare(const Services& services) {
    Change change;
    ++generation;
    size_t met = 0;
    std::set<ServiceKey> fresh;
    for (size_t i = 0; i < services.size(); ++i) {
        const ServicePort& service = *services[i];
        Known* old = find(service, i);
        bool twice = old ? old->seen == generation : !fresh.insert(key_of(service)).second;
        if (twice)
            return fail(Code::invalid, fmt::format("service {}: another service has {} port {} too",
                                                   describe(service),
                                                   service.cluster_ip.to_string(), service.port));
        if (old) {
            old->seen = generation;
            ++met;
        }
        if (!old || old->service != service) change.services.push_back(&service);
    }
    if (met < known.size())
        for (const auto& [key, entry] : known)
            if (entry.seen != generation) change.removed.push_back(key);
    return change;
}

// Two services may not be reached by the same address and port.
Result<> ServiceProxy::Impl::check_fronts(const Change& change) const {
    std::set<ServiceKey> leaving(change.removed.begin(), change.removed.end());
    for (const ServicePort* service : change.services) leaving.insert(key_of(*service));
    std::set<Front> claimed;
    for (const ServicePort* service : change.services)
        for (const Front& front : fronts_of(*service)) {
            auto owner = fronts.find(front);
            bool taken = owner != fronts.end() && !leaving.contains(owner->second);
            if (!claimed.insert(front).second || taken)
                return fail(Code::invalid,
                            fmt::format("service {}: {} port {} is used by another service",
                                        describe(*service),
                                        front.of_node() ? "node" : front.address.to_string(),
                                        front.port));
        }
    return {};
}

void ServiceProxy::Impl::count_hairpins(Change& change, const ServicePort& service,
                                        int step) const {
    for (const Endpoint& endpoint : ready_endpoints(service)) {
        bool pod_of_ours =
            options.pod_block.contains(endpoint.address) && endpoint.address != options.gateway();
        if (pod_of_ours) change.hairpin_delta[hairpin_key(endpoint.address)] += step;
    }
}

void ServiceProxy::Impl::expand_one(Change& change, const ServicePort* before,
                                    const ServicePort* after) const {
    ElementChanges elements =
        difference(before ? elements_of(*before) : std::vector<ServiceElement>{},
                   after ? elements_of(*after) : std::vector<ServiceElement>{});
    std::ranges::move(elements.removed, std::back_inserter(change.removed_elements));
    for (ServiceElement& element : elements.added) {
        if (element.is_verdict() && !chains.contains(element.value))
            change.new_chains.insert(element.value);
        change.added_elements.push_back(std::move(element));
    }
    if (before) count_hairpins(change, *before, -1);
    if (after) count_hairpins(change, *after, +1);
    add_stale_fronts(change.stale, before, after);
}

void ServiceProxy::Impl::expand(Change& change) const {
    for (const ServiceKey& key : change.removed)
        expand_one(change, &known.at(key).service, nullptr);
    for (const ServicePort* service : change.services) {
        auto old = known.find(key_of(*service));
        expand_one(change, old == known.end() ? nullptr : &old->second.service, service);
    }
}

Result<> ServiceProxy::Impl::commit(Change& change) {
    nft::Batch batch(table_family, options.table());
    for (const std::string& chain : change.new_chains) add_service_chain(batch, chain);
    // A map's elements come in runs, so that they share messages.
    for (const char* map : service_maps)
        for (const ServiceElement& element : change.removed_elements)
            if (element.map == map) batch.delete_element(map, element.key);
    for (const char* map : service_maps)
        for (const ServiceElement& element : change.added_elements) {
            if (element.map != map) continue;
            if (element.is_verdict())
                batch.add_element(map, {element.key, {}, element.value});
            else
                batch.add_element(map, {element.key, element.value, {}});
        }
    for (const auto& [key, step] : change.hairpin_delta) {
        auto users = hairpin_users.find(key);
        int before = users == hairpin_users.end() ? 0 : users->second;
        if (before > 0 && before + step == 0) batch.delete_element(names::hairpins, key);
        if (before == 0 && step > 0) batch.add_element(names::hairpins, {key, {}, {}});
    }
    return batch.commit(socket);
}

void ServiceProxy::Impl::remember(const Change& change) {
    for (const ServiceKey& key : change.removed) {
        for (const Front& front : fronts_of(known.at(key).service)) fronts.erase(front);
        known.erase(key);
    }
    for (const ServicePort* service : change.services)
        if (auto old = known.find(key_of(*service)); old != known.end())
            for (const Front& front : fronts_of(old->second.service)) fronts.erase(front);
    for (const ServicePort* service : change.services) {
        known[key_of(*service)] = {*service, generation};
        for (const Front& front : fronts_of(*service)) fronts[front] = key_of(*service);
    }
    for (const auto& [key, step] : change.hairpin_delta)
        if ((hairpin_users[key] += step) == 0) hairpin_users.erase(key);
    chains.insert(change.new_chains.begin(), change.new_chains.end());
    stats.services = known.size();
    stats.elements_changed = change.removed_elements.size() + change.added_elements.size();
}

// Services that ended while nobody watched: their fronts are only known from the elements they
// left.
void add_vanished_fronts(Change& change, const std::vector<ServiceElement>& removed) {
    std::set<Front> present;
    for (const StaleFront& stale : change.stale) present.insert(stale.front);
    for (const ServiceElement& element : removed) {
        if (!element.is_verdict()) continue;
        auto vanished = read_front(element.key, element.map == names::node_ports);
        if (vanished && present.insert(*vanished).second) change.stale.push_back({*vanished, {}});
    }
}

// The first full state meets a table that may be full already: change only what differs.
Result<> ServiceProxy::Impl::adopt(const Services& services) {
    TRY(ensure_ruleset(socket, options));
    known.clear();
    order.clear();
    fronts.clear();
    hairpin_users.clear();
    chains.clear();
    for (const nft::Chain& chain : TRY(nft::list_chains(socket, table_family)))
        if (chain.table == options.table() && is_service_chain(chain.name))
            chains.insert(chain.name);
    Change change = TRY(compare(services));
    TRY(check_fronts(change));
    expand(change);
    std::vector<ServiceElement> present;
    for (const char* map : service_maps)
        for (nft::Element& element :
             TRY(nft::list_elements(socket, table_family, options.table(), map)))
            present.push_back(
                {map, std::move(element.key), std::move(element.value) + element.chain});
    auto by_identity = [](const auto& a, const auto& b) { return a.identity() < b.identity(); };
    std::ranges::sort(present, by_identity);
    std::ranges::sort(change.added_elements, by_identity);
    ElementChanges needed = difference(present, change.added_elements);
    add_vanished_fronts(change, needed.removed);
    change.removed_elements = std::move(needed.removed);
    change.added_elements = std::move(needed.added);
    nft::Batch extra(table_family, options.table());
    for (const nft::Element& element :
         TRY(nft::list_elements(socket, table_family, options.table(), names::hairpins)))
        if (!change.hairpin_delta.contains(element.key))
            extra.delete_element(names::hairpins, element.key);
    TRY(commit(change));
    TRY(extra.commit(socket));
    remember(change);
    adopted = true;
    return forget_stale(change.stale);
}

Result<> ServiceProxy::Impl::make_change(Change& change) {
    TRY(check_fronts(change));
    expand(change);
    TRY(commit(change));
    remember(change);
    return forget_stale(change.stale);
}

Result<> ServiceProxy::Impl::apply(const Services& services) {
    if (!adopted) return adopt(services);
    Change change = TRY(compare(services));
    bool same = change.services.empty() && change.removed.empty();
    if (!same) {
        order.clear();
        auto made = make_change(change);
        if (!made && made.error().code == Code::not_found) {
            // Somebody flushed the ruleset: build it again from what we know.
            log_warning("network", "nft table {} had vanished; it is made again", options.table());
            return adopt(services);
        }
        TRY(std::move(made));
    }
    if (order.size() != services.size()) {
        order.assign(services.size(), nullptr);
        for (size_t i = 0; i < services.size(); ++i) order[i] = &known.at(key_of(*services[i]));
    }
    return {};
}

Result<> ServiceProxy::apply(const std::vector<ServicePort>& services) {
    std::lock_guard lock(impl_->mutex);
    Services all;
    all.reserve(services.size() + impl_->built_in.size());
    for (const ServicePort& service : impl_->built_in) all.push_back(&service);
    for (const ServicePort& service : services)
        if (!impl_->is_built_in(key_of(service))) all.push_back(&service);
    return with_context(impl_->apply(all), "service rules");
}

Result<> ServiceProxy::update(const std::vector<ServicePort>& changed,
                              const std::vector<ServiceKey>& removed) {
    std::lock_guard lock(impl_->mutex);
    Impl& impl = *impl_;
    if (!impl.adopted)
        return fail(Code::invalid, "service rules: update() before the first apply()");
    Change change;
    std::set<ServiceKey> kept;
    for (const ServicePort& service : changed) {
        if (!kept.insert(key_of(service)).second)
            return fail(Code::invalid, fmt::format("service {} is named twice", describe(service)));
        auto old = impl.known.find(key_of(service));
        bool different = old == impl.known.end() || old->second.service != service;
        if (different && !impl.is_built_in(key_of(service))) change.services.push_back(&service);
    }
    for (const ServiceKey& key : removed)
        if (impl.known.contains(key) && !impl.is_built_in(key) && kept.insert(key).second)
            change.removed.push_back(key);
    if (change.services.empty() && change.removed.empty()) return {};
    impl.order.clear();
    return with_context(impl.make_change(change), "service rules");
}

ProxyStats ServiceProxy::stats() const {
    std::lock_guard lock(impl_->mutex);
    return impl_->stats;
}

} // namespace cloudlet::network
