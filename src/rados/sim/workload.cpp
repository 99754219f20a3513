#include "sim/workload.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "sim/history_check.h"

namespace cloudlet::rados::sim {

class Workload::Ear final : public ClientListener {
public:
    Ear(Workload& workload, size_t client) : workload_(workload), client_(client) {}
    void done(uint64_t number, const message::ClientReply& reply) override {
        workload_.answered(client_, number, reply);
    }

private:
    Workload& workload_;
    size_t client_;
};

namespace {

std::string key_of(const ObjectRequest& request) {
    return fmt::format("{}/{}", request.pool, request.name);
}

/// Of a key.
std::string name_in(const std::string& key) { return key.substr(key.find('/') + 1); }

} // namespace

Workload::Workload(const ClusterPlan& plan, Random random)
    : random_(random), objects_(plan.objects), wanted_(plan.operations),
      pace_(plan.working_time * plan.clients / plan.operations) {
    for (const auto& [id, pool] : plan.base->pools) pools_.push_back(id);
    for (size_t i = 0; i < plan.clients; ++i)
        clients_.push_back({.ear = std::make_unique<Ear>(*this, i),
                            .most_in_flight = 1 + random_.below(3),
                            .requests = RandomRequests(fmt::format("c{}.", i))});
}

Workload::~Workload() = default;

ClientListener& Workload::listener(int32_t client) {
    return *clients_[static_cast<size_t>(client)].ear;
}

void Workload::client_ended(int32_t client) { clients_[static_cast<size_t>(client)].open.clear(); }

void Workload::begin(Cluster& cluster) {
    engine_ = &cluster.engine();
    for (size_t i = 0; i < clients_.size(); ++i) go_on(cluster, cluster.client_node(i));
}

void Workload::go_on(Cluster& cluster, NodeId node) {
    if (is_done()) return;
    const auto client = static_cast<size_t>(cluster.engine().entity(node).number);
    if (cluster.client(client) && clients_[client].open.size() < clients_[client].most_in_flight)
        ask(cluster, client, something(clients_[client], objects_.size()));
    // In bursts, for what comes close together meets; else as the pace demands.
    const Duration next = random_.chance(0.4)
                              ? random_span(random_, Duration(0), std::chrono::milliseconds(20))
                              : random_span(random_, Duration(0), 3 * pace_);
    cluster.engine().queue().push(cluster.engine().now() + next,
                                  {.kind = Event::Kind::work, .node = node});
}

void Workload::read_everything(Cluster& cluster) {
    for (PoolId pool : pools_)
        for (const std::string& name : objects_)
            ask(cluster, 0,
                {.pool = pool,
                 .name = name,
                 .ops = {op::Read{}, op::GetXattrs{}, op::GetOmap{"", 1000}}});
}

void Workload::burst(Cluster& cluster) {
    if (bursts_left_ == 0 || is_done()) return;
    --bursts_left_;
    const size_t each = 1 + random_.below(4);
    for (size_t i = 0; i < clients_.size(); ++i)
        for (size_t n = 0; n < each; ++n)
            cluster.engine().queue().push(
                cluster.engine().now() +
                    random_span(random_, Duration(0), std::chrono::milliseconds(30)),
                {.kind = Event::Kind::work, .node = cluster.client_node(i), .number = 1});
}

void Workload::ask_once(Cluster& cluster, NodeId node) {
    constexpr size_t hot_objects = 2, most_open = 6;
    const auto client = static_cast<size_t>(cluster.engine().entity(node).number);
    if (cluster.client(client) && clients_[client].open.size() < most_open)
        ask(cluster, client, something(clients_[client], hot_objects));
}

void Workload::run_errand(Cluster& cluster, NodeId node, uint32_t number) {
    constexpr size_t most_open = 12;
    const auto client = static_cast<size_t>(cluster.engine().entity(node).number);
    if (!cluster.client(client) || clients_[client].open.size() >= most_open) return;
    ObjectRequest request{.pool = first_pool, .name = objects_[(number - 2) / 2]};
    if (number == errand(Errand::read, (number - 2) / 2))
        request.ops = {op::Read{}};
    else
        request.ops = {clients_[client].requests.random_append(random_)};
    ask(cluster, client, std::move(request));
}

/// Of the first objects.
ObjectRequest Workload::something(Client& client, size_t objects) {
    ObjectRequest request{.pool = pools_[random_.below(pools_.size())],
                          .name = objects_[random_.below(objects)]};
    request.ops = client.requests.random_ops(random_, client.seen[key_of(request)]);
    if (random_.chance(0.1)) request.flags = message::ClientOp::full_try;
    return request;
}

void Workload::ask(Cluster& cluster, size_t client, ObjectRequest request) {
    cluster.engine().act(cluster.client_node(client), [&] {
        const std::string object = key_of(request);
        const ObjectOps ops = request.ops;
        const uint64_t number = cluster.client(client)->submit(std::move(request));
        clients_[client].open[number] = history_.called(static_cast<int32_t>(client), number,
                                                        object, ops, cluster.engine().now());
    });
}

void Workload::answered(size_t client, uint64_t number, const message::ClientReply& reply) {
    auto found = clients_[client].open.find(number);
    if (found == clients_[client].open.end()) return;
    history_.returned(found->second, reply, engine_->now());
    if (reply.user_version > 0)
        clients_[client].seen[history_.calls()[found->second].object] = reply.user_version;
    clients_[client].open.erase(found);
}

bool Workload::all_answered() const {
    return std::ranges::all_of(clients_, [](const Client& client) { return client.open.empty(); });
}

std::optional<Violation> Workload::must_be_answered(Cluster& cluster) const {
    for (size_t i = 0; i < clients_.size(); ++i) {
        if (clients_[i].open.empty()) continue;
        const Call& call = history_.calls()[clients_[i].open.begin()->second];
        ClientMachine* machine = cluster.client(i);
        return Violation{
            "never answered",
            fmt::format("{} on {}; the client says:\n  {}", describe(call), call.object,
                        machine ? fmt::format("{}", fmt::join(machine->describe(), "\n  "))
                                : "nothing, it does not live"),
            name_in(call.object)};
    }
    return std::nullopt;
}

std::optional<Violation> Workload::must_be_linearizable() {
    const HistoryVerdict verdict = judge_history(history_);
    judged_ = verdict.objects;
    undecided_ = verdict.undecided;
    if (!verdict.finding) return std::nullopt;
    const Finding& finding = *verdict.finding;
    const bool undecided = finding.kind == Finding::Kind::undecided;
    return Violation{undecided ? "undecided" : "not linearizable",
                     fmt::format("{}: {}", finding.object, finding.story), name_in(finding.object)};
}

} // namespace cloudlet::rados::sim
