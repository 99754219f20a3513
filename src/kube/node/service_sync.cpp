#include "service_sync.h"

#include "cloudlet/base/log.h"

namespace cloudlet::kube::node {

using namespace std::chrono_literals;

namespace {

constexpr const char* by_service = "node/service";

api::ObjectKey service_of(const api::Object& slice) {
    return {std::string(slice.ns()), std::string(slice.label("kubernetes.io/service-name"))};
}

} // namespace

ServiceSync::ServiceSync(api::InformerSet& informers, network::ServiceProxy* proxy,
                         network::DnsServer* dns, std::string own_dns, RoutesChanged changed)
    : informers_(informers), proxy_(proxy), dns_(dns), own_dns_(std::move(own_dns)),
      changed_(std::move(changed)) {
    auto& slices = informers_.of(api::resources::endpoint_slices);
    slices.add_index(by_service, [](const api::Object& slice) {
        return std::vector<std::string>{service_of(slice).to_string()};
    });
    slices.add_handler([this](const api::Object& before, const api::Object& after) {
        if (before) touch(service_of(before));
        if (after) touch(service_of(after));
    });
    informers_.of(api::resources::services)
        .add_handler([this](const api::Object& before, const api::Object& after) {
            touch(after ? after.key() : before.key());
        });
}

ServiceSync::~ServiceSync() { stop(); }

void ServiceSync::start() {
    std::set<api::ObjectKey> all;
    {
        std::lock_guard lock(mutex_);
        all = std::exchange(dirty_, {});
        stopping_ = false;
    }
    for (const auto& service : informers_.of(api::resources::services).list())
        all.insert(service.key());
    work(all);
    thread_ = std::thread([this] { run(); });
}

void ServiceSync::stop() {
    {
        std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
}

void ServiceSync::touch(const api::ObjectKey& service) {
    {
        std::lock_guard lock(mutex_);
        dirty_.insert(service);
    }
    wake_.notify_one();
}

bool ServiceSync::is_routed(const std::string& ip) const {
    auto address = linux::parse_ipv4(ip);
    std::lock_guard lock(mutex_);
    return address && routed_.contains(*address);
}

void ServiceSync::run() {
    std::unique_lock lock(mutex_);
    while (true) {
        wake_.wait(lock, [&] { return stopping_ || !dirty_.empty(); });
        if (stopping_) return;
        const auto services = std::exchange(dirty_, {});
        lock.unlock();
        work(services);
        lock.lock();
    }
}

ServiceSync::Programmed ServiceSync::compute(const api::ObjectKey& key) const {
    Programmed programmed;
    const api::Object service = informers_.of(api::resources::services).get(key);
    if (!service) return programmed;
    const auto slices =
        informers_.of(api::resources::endpoint_slices).by_index(by_service, key.to_string());
    programmed.dns = dns_service(service, slices);
    if (service.spec()["clusterIP"].as_string() == own_dns_ && !own_dns_.empty()) return programmed;
    programmed.ports = service_ports(service, slices);
    programmed.routed = routed_addresses(programmed.ports, slices);
    return programmed;
}

/// Hands the changes to the kernel; when a change is refused, the whole state once more.
bool ServiceSync::program(const std::map<api::ObjectKey, Programmed>& fresh) {
    if (!proxy_) return true;
    if (applied_) {
        std::vector<network::ServicePort> changed;
        std::vector<network::ServiceKey> removed;
        std::set<network::ServiceKey> wanted;
        for (const auto& [key, now] : fresh)
            for (const auto& port : now.ports)
                wanted.insert({port.cluster_ip, port.protocol, port.port});
        for (const auto& [key, now] : fresh) {
            const auto before = state_.find(key);
            if (before != state_.end() && before->second.ports == now.ports) continue;
            changed.insert(changed.end(), now.ports.begin(), now.ports.end());
            if (before == state_.end()) continue;
            for (const auto& port : before->second.ports) {
                const network::ServiceKey gone{port.cluster_ip, port.protocol, port.port};
                if (!wanted.contains(gone)) removed.push_back(gone);
            }
        }
        if (changed.empty() && removed.empty()) return true;
        auto updated = proxy_->update(changed, removed);
        if (updated) return true;
        log_warning("node", "service rules: {}; programming all of them anew",
                    updated.error().to_string());
    }
    std::vector<network::ServicePort> all;
    for (const auto& [key, programmed] : state_)
        if (!fresh.contains(key))
            all.insert(all.end(), programmed.ports.begin(), programmed.ports.end());
    for (const auto& [key, programmed] : fresh)
        all.insert(all.end(), programmed.ports.begin(), programmed.ports.end());
    auto applied = proxy_->apply(all);
    applied_ = applied_ || applied.has_value();
    if (!applied) log_error("node", "service rules: {}", applied.error().to_string());
    return applied.has_value();
}

void ServiceSync::work(const std::set<api::ObjectKey>& services) {
    std::map<api::ObjectKey, Programmed> fresh;
    for (const auto& key : services) fresh.emplace(key, compute(key));
    if (!program(fresh)) {
        std::unique_lock lock(mutex_);
        dirty_.insert(services.begin(), services.end());
        wake_.wait_for(lock, 1s, [&] { return stopping_; }); // then again
        return;
    }
    bool names_changed = state_.empty();
    {
        std::lock_guard lock(mutex_);
        for (auto& [key, now] : fresh) {
            const auto before = state_.find(key);
            if (before != state_.end()) {
                for (const auto& address : before->second.routed)
                    if (--routed_[address] <= 0) routed_.erase(address);
            }
            for (const auto& address : now.routed) ++routed_[address];
            names_changed |=
                before == state_.end() ? now.dns.has_value() : before->second.dns != now.dns;
            if (now.dns || !now.ports.empty()) {
                state_[key] = std::move(now);
            } else {
                state_.erase(key);
            }
        }
    }
    if (dns_ && names_changed) {
        network::DnsRecords records;
        for (const auto& [key, programmed] : state_)
            if (programmed.dns) records.services.push_back(*programmed.dns);
        dns_->update(std::move(records));
    }
    if (changed_) changed_();
}

} // namespace cloudlet::kube::node
