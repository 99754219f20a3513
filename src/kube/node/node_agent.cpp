#include "cloudlet/kube/node/node_agent.h"

#include <set>

#include <fmt/format.h>

#include "cloudlet/base/log.h"
#include "cloudlet/image/image_store.h"
#include "cloudlet/io/file.h"
#include "cloudlet/linux/mount.h"
#include "connector.h"
#include "node_reporter.h"
#include "pod_worker.h"

namespace cloudlet::kube::node {

using codec::Json;
using namespace std::chrono_literals;

namespace {

constexpr size_t longest_queue = 100'000;
constexpr Duration refresh_period = 300s; // tokens and whatever an event was missed for

} // namespace

AgentContext::AgentContext(NodeAgentOptions given, NodeAgentParts the_parts)
    : options(std::move(given)), parts(the_parts),
      volumes(options.root,
              {.config_map =
                   [this](const std::string& ns, const std::string& name) {
                       return fetch(api::resources::config_maps, ns, name);
                   },
               .secret =
                   [this](const std::string& ns, const std::string& name) {
                       return fetch(api::resources::secrets, ns, name);
                   },
               .token = [this](const api::Object& pod, const std::string& audience,
                               int64_t seconds) { return request_token(pod, audience, seconds); }}),
      events(parts.informers.client(), "kubelet", options.node_name),
      pool("pods", std::max<size_t>(options.workers, 1), longest_queue),
      pulls("pulls", 2, longest_queue) {}

Result<api::Object> AgentContext::fetch(const api::Resource& resource, const std::string& ns,
                                        const std::string& name) const {
    if (api::Object known = parts.informers.of(resource).get({ns, name})) return known;
    return client().get(resource, {ns, name});
}

/// authentication.k8s.io/v1 TokenRequest, bound to the pod.
Result<std::string> AgentContext::request_token(const api::Object& pod, const std::string& audience,
                                                int64_t seconds) const {
    Json spec = Json::object({{"expirationSeconds", seconds}});
    spec.set("audiences", audience.empty() ? Json::array() : Json::array({Json(audience)}));
    spec.set(
        "boundObjectRef",
        Json::object(
            {{"kind", "Pod"}, {"apiVersion", "v1"}, {"name", pod.name()}, {"uid", pod.uid()}}));
    Json request =
        Json::object({{"apiVersion", "authentication.k8s.io/v1"}, {"kind", "TokenRequest"}});
    request.set("spec", std::move(spec));
    const std::string account(pod.spec()["serviceAccountName"].as_string("default"));
    const Json answer =
        TRY(client().post(api::resources::service_accounts, {std::string(pod.ns()), account},
                          "token", std::move(request)));
    const auto token = answer.at({"status", "token"}).as_string();
    if (token.empty())
        return fail(Code::internal,
                    "the token request for service account " + account + " gave no token");
    return std::string(token);
}

std::string AgentContext::log_folder(const std::string& ns, const std::string& name,
                                     const std::string& uid) const {
    // A file's name has 255 bytes at most, a namespace's 63, a pod's 253; the uid tells pods apart.
    return fmt::format("{}/log/pods/{}_{}_{}", options.root, ns, name.substr(0, 150), uid);
}

struct NodeAgent::Impl {
    Impl(NodeAgentOptions options, NodeAgentParts parts)
        : held(std::make_shared<AgentContext>(std::move(options), parts)), context(*held),
          reporter(context.options, context.client(), parts.images),
          connector(context, [this](const std::string& uid) { return find(uid); }),
          pods(context.client(), api::resources::pods, "",
               {.labels = {},
                .fields = api::FieldSelector::equals("spec.nodeName", context.options.node_name),
                .resource_version = {}}) {}

    std::shared_ptr<PodWorker> find(const std::string& uid) {
        std::lock_guard lock(mutex);
        auto found = workers.find(uid);
        return found == workers.end() ? nullptr : found->second;
    }

    std::vector<std::shared_ptr<PodWorker>> all() {
        std::lock_guard lock(mutex);
        std::vector<std::shared_ptr<PodWorker>> list;
        for (const auto& [uid, worker] : workers) list.push_back(worker);
        return list;
    }

    void connect();
    void pod_event(const api::Object& before, const api::Object& after);
    void add_worker(const api::Object& pod, bool gone);
    void source_event(const char* kind, const api::Object& before, const api::Object& after);
    void clear_orphans();
    void schedule_refresh();

    const std::shared_ptr<AgentContext> held;
    AgentContext& context;
    NodeReporter reporter;
    Connector connector;
    std::mutex mutex;
    std::map<std::string, std::shared_ptr<PodWorker>> workers; // by uid
    api::Informer pods;
    bool running = false;
    io::EventLoop::TimerId refresh_timer = 0; // loop thread
};

void NodeAgent::Impl::pod_event(const api::Object& before, const api::Object& after) {
    if (before && (!after || before.uid() != after.uid()))
        if (auto worker = find(std::string(before.uid()))) worker->gone();
    if (!after) return;
    if (auto worker = find(std::string(after.uid()))) return worker->update(after);
    add_worker(after, false);
}

void NodeAgent::Impl::add_worker(const api::Object& pod, bool gone) {
    auto worker = std::make_shared<PodWorker>(held, pod);
    {
        std::lock_guard lock(mutex);
        if (!running || !workers.emplace(worker->uid(), worker).second) return;
    }
    worker->begin(gone);
}

void NodeAgent::Impl::source_event(const char* kind, const api::Object& before,
                                   const api::Object& after) {
    const api::Object& object = after ? after : before;
    if (!after) return; // pods keep what they have
    const std::string reference = kind + std::string(object.name());
    for (const auto& worker : all())
        if (worker->refers_to(reference) && worker->pod().ns() == object.ns())
            worker->sources_changed();
}

/// What this machine has of pods that the API no longer knows: ended and cleaned up.
void NodeAgent::Impl::clear_orphans() {
    std::set<std::string> known;
    std::set<std::string> folders;
    for (const auto& pod : pods.list()) {
        known.insert(std::string(pod.uid()));
        folders.insert(fmt::format("{}_{}_{}", pod.ns(), pod.name(), pod.uid()));
    }
    for (const auto& sandbox : context.parts.engine.sandboxes()) {
        if (known.contains(sandbox.config.id)) continue;
        known.insert(sandbox.config.id);
        log_info("node", "pod {}/{} was deleted while nobody watched: ending it", sandbox.config.ns,
                 sandbox.config.name);
        Json containers = Json::array();
        std::set<std::string> names;
        for (const auto& info : context.parts.engine.list(sandbox.config.id))
            if (auto label = info.config.labels.find("container");
                label != info.config.labels.end())
                if (names.insert(label->second).second)
                    containers.push_back(Json::object({{"name", label->second}}));
        Json object = Json::object();
        object.set("metadata", Json::object({{"name", sandbox.config.name},
                                             {"namespace", sandbox.config.ns},
                                             {"uid", sandbox.config.id}}));
        const auto grace = sandbox.config.labels.find("grace");
        object.set("spec", Json::object({{"containers", std::move(containers)}}));
        if (grace != sandbox.config.labels.end())
            object.set_path({"spec", "terminationGracePeriodSeconds"}, atoi(grace->second.c_str()));
        folders.insert(
            fmt::format("{}_{}_{}", sandbox.config.ns, sandbox.config.name, sandbox.config.id));
        add_worker(api::Object(std::move(object)), true);
    }
    for (const auto& uid : context.volumes.pods())
        if (!known.contains(uid))
            if (auto removed = context.volumes.remove(uid); !removed)
                log_warning("node", "volumes of pod {}: {}", uid, removed.error().to_string());
    const std::string logs = context.options.root + "/log/pods";
    for (const auto& folder : io::list_directory(logs).value_or(std::vector<std::string>{}))
        if (!folders.contains(folder)) (void)io::remove_tree(logs + "/" + folder);
}

void NodeAgent::Impl::schedule_refresh() {
    context.parts.loop.call([this] {
        refresh_timer = context.parts.loop.after(refresh_period, [this] {
            for (const auto& worker : all()) worker->sources_changed();
            schedule_refresh();
        });
    });
}

/// Asks for the shared informers; before they are started, by whomever.
void NodeAgent::Impl::connect() {
    context.services =
        std::make_unique<ServiceSync>(context.parts.informers, context.parts.proxy,
                                      context.parts.dns, context.options.cluster_dns, [this] {
                                          for (const auto& worker : all()) worker->routes_changed();
                                      });
    context.parts.informers.of(api::resources::config_maps)
        .add_handler([this](const api::Object& before, const api::Object& after) {
            source_event("configmap/", before, after);
        });
    context.parts.informers.of(api::resources::secrets)
        .add_handler([this](const api::Object& before, const api::Object& after) {
            source_event("secret/", before, after);
        });
    // On one machine nothing works without its Node: one that is deleted is registered anew at
    // once.
    context.parts.informers.of(api::resources::nodes)
        .add_handler([this](const api::Object& before, const api::Object& after) {
            if (!after && before.name() == context.options.node_name) reporter.touch();
        });
}

NodeAgent::NodeAgent(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
NodeAgent::~NodeAgent() { stop(); }

Result<std::unique_ptr<NodeAgent>> NodeAgent::create(NodeAgentOptions options,
                                                     NodeAgentParts parts) {
    if (options.node_name.empty() || options.root.empty())
        return fail(Code::invalid, "node agent: the node's name and root folder are needed");
    auto impl = std::make_unique<Impl>(std::move(options), parts);
    impl->connect();
    return std::unique_ptr<NodeAgent>(new NodeAgent(std::move(impl)));
}

Result<> NodeAgent::start() {
    Impl& impl = *impl_;
    AgentContext& context = impl.context;
    TRY(context.volumes.open());
    TRY(impl.reporter.start());
    context.machine = impl.reporter.machine();
    impl.running = true;
    context.pod_finished = [&impl](const std::string& uid) {
        std::lock_guard lock(impl.mutex);
        impl.workers.erase(uid);
    };
    context.pod_changed = [&impl](const std::string& uid) { impl.connector.pod_changed(uid); };
    TRY(context.parts.informers.start());
    context.services->start();
    context.parts.engine.on_exit([&impl](const engine::ContainerInfo& info) {
        auto worker = impl.find(info.config.sandbox);
        if (!worker || !info.config.labels.contains("container")) return;
        (void)impl.context.pool.submit([worker, info] { worker->exited(info); });
    });
    impl.pods.add_handler([&impl](const api::Object& before, const api::Object& after) {
        impl.pod_event(before, after);
    });
    TRY(impl.pods.start());
    impl.clear_orphans();
    impl.schedule_refresh();
    return {};
}

void NodeAgent::stop() {
    Impl& impl = *impl_;
    {
        std::lock_guard lock(impl.mutex);
        if (!std::exchange(impl.running, false)) return;
    }
    impl.pods.stop();
    if (impl.context.services) impl.context.services->stop();
    impl.context.parts.engine.on_exit(nullptr);
    impl.reporter.stop();
    impl.context.parts.loop.call([&impl] { impl.context.parts.loop.cancel(impl.refresh_timer); });
    for (const auto& worker : impl.all()) worker->stop();
    impl.context.pulls.stop();
    impl.context.pool.stop();
    impl.context.events.stop();
}

NodeConnector& NodeAgent::connector() { return impl_->connector; }

Result<> unmount_volumes(const std::string& root) {
    TRY(linux::unmount_all(root + "/memory"));
    return linux::unmount_all(root + "/pods");
}

} // namespace cloudlet::kube::node
