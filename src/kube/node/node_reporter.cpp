#include "node_reporter.h"

#include "cloudlet/base/log.h"

namespace cloudlet::kube::node {

using codec::Json;
using namespace std::chrono_literals;

namespace {

const std::string lease_namespace = "kube-node-lease";

} // namespace

NodeReporter::NodeReporter(const NodeAgentOptions& options, api::Client& client,
                           image::ImageStore& images)
    : options_(options), client_(client), images_(images), facts_(read_machine(options.root)) {}

NodeReporter::~NodeReporter() { stop(); }

Result<> NodeReporter::start() {
    TRY(with_context(write_node(), "node " + options_.node_name));
    if (auto lease = write_lease(); !lease)
        log_warning("node", "lease: {}", lease.error().to_string());
    stopping_ = false;
    thread_ = std::thread([this] { run(); });
    return {};
}

void NodeReporter::stop() {
    {
        std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
}

void NodeReporter::touch() {
    {
        std::lock_guard lock(mutex_);
        touched_ = true;
    }
    wake_.notify_all();
}

/// Makes the Node when it is not there, then writes its status.
Result<> NodeReporter::write_node() {
    const api::ObjectKey key{"", options_.node_name};
    auto node = client_.get(api::resources::nodes, key);
    if (!node && node.error().code == Code::not_found) {
        node = client_.create(api::resources::nodes, "", node_object(options_, facts_));
        if (!node && node.error().code == Code::already_exists)
            node = client_.get(api::resources::nodes, key);
    } else if (node) {
        const Json wanted = node_object(options_, facts_);
        Json patch = Json::object();
        patch.set_path({"metadata", "labels"}, wanted.at({"metadata", "labels"}));
        bool differs = false;
        for (const auto& [label, value] : wanted.at({"metadata", "labels"}).members())
            differs = differs || node->label(label) != value.as_string();
        if (differs) node = client_.patch(api::resources::nodes, key, api::PatchType::merge, patch);
    }
    if (!node) return tl::unexpected(node.error());
    pressure_ = read_pressure(options_.root);
    Json status = node_status(options_, facts_, pressure_, images_.list(), node->status(), true,
                              system_clock().wall());
    TRY(client_.patch(api::resources::nodes, key, api::PatchType::merge,
                      Json::object({{"status", status}}), "status"));
    status_ = std::move(status);
    return {};
}

Result<> NodeReporter::write_lease() {
    const api::ObjectKey key{lease_namespace, options_.node_name};
    const std::string now = format_micro_time(system_clock().wall());
    Json patch = Json::object();
    patch.set_path({"spec", "renewTime"}, now);
    auto renewed = client_.patch(api::resources::leases, key, api::PatchType::merge, patch);
    if (renewed) return {};
    if (renewed.error().code != Code::not_found) return tl::unexpected(renewed.error());
    Json lease = Json::object({{"metadata", Json::object({{"name", options_.node_name}})}});
    const int64_t seconds = std::max<int64_t>(options_.lease_period / 1s * 4, 1);
    lease.set("spec", Json::object({{"holderIdentity", options_.node_name},
                                    {"leaseDurationSeconds", seconds},
                                    {"renewTime", now}}));
    auto made = client_.create(api::resources::leases, lease_namespace, lease);
    if (!made && made.error().code == Code::not_found) { // somebody removed the namespace
        Json ns = Json::object({{"metadata", Json::object({{"name", lease_namespace}})}});
        TRY(client_.create(api::resources::namespaces, "", std::move(ns)));
        made = client_.create(api::resources::leases, lease_namespace, std::move(lease));
    }
    if (!made) return tl::unexpected(made.error());
    return {};
}

void NodeReporter::run() {
    MonotonicTime next_status = system_clock().monotonic() + options_.status_period;
    MonotonicTime next_lease = system_clock().monotonic() + options_.lease_period;
    std::unique_lock lock(mutex_);
    while (true) {
        wake_.wait_until(lock, next_lease, [&] { return stopping_ || touched_; });
        if (stopping_) return;
        const bool touched = std::exchange(touched_, false);
        lock.unlock();
        const NodePressure now = read_pressure(options_.root);
        const bool changed = now.memory != pressure_.memory || now.disk != pressure_.disk;
        if (touched || changed || system_clock().monotonic() >= next_status) {
            next_status = system_clock().monotonic() + options_.status_period;
            if (auto written = write_node(); !written)
                log_warning("node", "node status: {}", written.error().to_string());
        }
        if (system_clock().monotonic() >= next_lease) {
            next_lease = system_clock().monotonic() + options_.lease_period;
            if (auto lease = write_lease(); !lease)
                log_warning("node", "lease: {}", lease.error().to_string());
        }
        lock.lock();
    }
}

} // namespace cloudlet::kube::node
