#include "daemon.h"

#include <csignal>
#include <sys/prctl.h>
#include <unistd.h>

#include <fmt/format.h>

#include "cloudlet/api/client.h"
#include "cloudlet/api/informer.h"
#include "cloudlet/base/log.h"
#include "cloudlet/engine/engine.h"
#include "cloudlet/image/image_store.h"
#include "cloudlet/io/event_loop.h"
#include "cloudlet/io/file.h"
#include "cloudlet/io/worker_pool.h"
#include "cloudlet/kube/controllers/controllers.h"
#include "cloudlet/kube/node/node_agent.h"
#include "cloudlet/kube/scheduler/scheduler.h"
#include "cloudlet/kube/server/api_server.h"
#include "cloudlet/linux/cgroup.h"
#include "cloudlet/linux/seccomp.h"
#include "cloudlet/net/http_server.h"
#include "cloudlet/net/tls.h"
#include "cloudlet/network/dns_server.h"
#include "cloudlet/network/pod_network.h"
#include "cloudlet/network/service_proxy.h"
#include "cloudlet/store/sqlite.h"
#include "control_api.h"
#include "machine.h"
#include "pki.h"
#include "version.h"

namespace cloudlet::app {

// In the order of their making; destroyed in reverse, so each outlives what stands on it.
struct Daemon::Parts {
    Settings settings;
    WallTime started = system_clock().wall();
    std::optional<io::FileLock> lock;
    Pki pki;
    std::unique_ptr<image::ImageStore> images;
    std::unique_ptr<network::PodNetwork> network;
    std::unique_ptr<network::ServiceProxy> proxy;
    std::unique_ptr<network::DnsServer> dns;
    std::unique_ptr<io::LoopThread> loop;
    std::unique_ptr<engine::Engine> engine;
    std::unique_ptr<store::Store> store;
    std::unique_ptr<io::WorkerPool> workers;
    std::unique_ptr<kube::server::ApiServer> api;
    std::unique_ptr<ControlApi> control;
    std::unique_ptr<net::HttpServer> http;
    std::unique_ptr<api::InformerSet> informers;
    std::unique_ptr<kube::controllers::ControllerManager> controllers;
    std::unique_ptr<kube::scheduler::Scheduler> scheduler;
    std::unique_ptr<kube::node::NodeAgent> node;
    std::vector<std::string> warnings;

    Result<> prepare_folders();
    Result<> open_storage();
    Result<> open_network();
    Result<> open_api();
    Result<> listen();
    Result<> start_controllers();
    Result<> start_node();
    codec::Json status() const;
    void stop();
};

Result<> Daemon::Parts::prepare_folders() {
    for (const auto& folder : {settings.root, settings.root + "/log", settings.run_dir()})
        TRY(with_context(
            io::make_directories(folder, 0755),
            "the cloud needs this folder; choose another root with --root, or make it writable"));
    lock = TRY(with_context(io::FileLock::acquire(settings.lock_file()),
                            "another daemon serves " + settings.root +
                                " or begins to; see cloudlet status"));
    // Who holds the lock alone writes here: others' halves are left from a crash.
    TRY(io::sweep_temporary_files(settings.root));
    TRY(with_context(remember_settings(settings),
                     "the cloud's folder must be writable; choose another with --root"));
    auto cgroups = TRY(with_context(linux::CgroupHost::probe(),
                                    "containers need cgroups; mount them at /sys/fs/cgroup"));
    warnings = cgroups.missing();
    return {};
}

Result<> Daemon::Parts::open_storage() {
    ServerNames names{{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
                       "kubernetes.default.svc." + settings.cluster_domain},
                      {settings.api_address(), settings.node_ip, TRY(settings.service_address(1)),
                       TRY(settings.network_options()).gateway().to_string()}};
    pki = TRY(open_pki(settings.root + "/pki", names));
    images = TRY(image::ImageStore::open(settings.root));
    store = TRY(store::open_sqlite_store({.path = settings.root + "/store/cloudlet.db"}));
    return {};
}

Result<> Daemon::Parts::open_network() {
    auto options = TRY(settings.network_options());
    constexpr auto choice = "the pods' network (--pod-cidr and --service-cidr choose another)";
    network = TRY(with_context(network::PodNetwork::open(options), choice));
    proxy = TRY(with_context(network::ServiceProxy::open(options), choice));
    network::DnsOptions names;
    names.listen = {options.gateway()};
    names.domain = settings.cluster_domain;
    names.pod_block = options.cluster_block;
    names.service_block = options.service_block;
    dns = TRY(network::DnsServer::start(names));
    for (auto& warning : network->warnings()) warnings.push_back(std::move(warning));
    loop = TRY(io::LoopThread::start("loop"));
    linux::keep_compiled_seccomp_in(settings.root + "/seccomp"); // saves 15 ms a start
    engine = TRY(engine::Engine::open({.root = settings.root, .instance_id = settings.instance},
                                      loop->loop(), *images, network.get()));
    return {};
}

Result<> Daemon::Parts::open_api() {
    workers = std::make_unique<io::WorkerPool>("api", 6, 4096);
    kube::server::ApiServerOptions options;
    options.store = store.get();
    options.loop = &loop->loop();
    options.pool = workers.get();
    options.service_account_key_pem = pki.service_account_key;
    options.static_tokens = {{pki.admin_token, "cloudlet-admin", {"system:masters"}}};
    options.service_account_issuer = "https://kubernetes.default.svc." + settings.cluster_domain;
    options.advertise_address = TRY(settings.network_options()).gateway().to_string();
    options.advertise_port = settings.port;
    options.service_cidr = settings.service_cidr;
    api = TRY(kube::server::ApiServer::create(options));
    return {};
}

Result<> Daemon::Parts::listen() {
    control = std::make_unique<ControlApi>(ControlParts{
        .images = *images,
        .status = [this] { return status(); },
        .kubeconfig =
            [this](bool with_token) {
                auto credential = with_token ? Credential::token : Credential::certificate;
                return make_kubeconfig(pki, credential, settings.api_address(), settings.port);
            },
        .image_in_use = [this](const std::string& id) { return engine->uses_image(id); },
        .stop = [] { kill(getpid(), SIGTERM); }});
    net::ServerOptions options;
    options.error_page = kube::server::ApiServer::error_page;
    options.inline_handler =
        [this, serve = api->inline_handler()](const std::shared_ptr<net::Exchange>& exchange) {
            return !control->owns(exchange->request()) && serve(exchange);
        };
    auto handler = [this, serve = api->handler()](std::shared_ptr<net::Exchange> exchange) {
        if (control->owns(exchange->request()))
            control->handle(std::move(exchange));
        else
            serve(std::move(exchange));
    };
    http = TRY(net::HttpServer::create(loop->loop(), *workers, options, handler));
    auto tls = TRY(net::TlsContext::server({pki.server.cert_pem, pki.server.key_pem, pki.ca_pem}));
    TRY(http->listen_unix(settings.control_socket(), 0600));
    TRY(require_free_port(settings.listen, settings.port));
    TRY(http->listen_tcp(settings.listen, settings.port, tls));
    // Pods reach the API at their gateway, whatever address people are given.
    const std::string gateway = TRY(settings.network_options()).gateway().to_string();
    if (settings.listen == "0.0.0.0" || settings.listen == gateway) return {};
    return http->listen_tcp(gateway, settings.port, tls);
}

Result<> Daemon::Parts::start_controllers() {
    informers = std::make_unique<api::InformerSet>(api->client());
    kube::controllers::ControllerOptions options;
    options.ca_pem = pki.ca_pem;
    controllers = TRY(kube::controllers::ControllerManager::create(options, *informers));
    scheduler = TRY(kube::scheduler::Scheduler::create({}, *informers));
    return {};
}

Result<> Daemon::Parts::start_node() {
    kube::node::NodeAgentOptions options;
    options.node_name = settings.node_name;
    options.root = settings.root;
    options.node_ip = settings.node_ip;
    options.pod_cidr = TRY(settings.network_options()).pod_block.to_string();
    options.version = kubernetes_version();
    options.runtime_version = version();
    options.cluster_domain = settings.cluster_domain;
    options.cluster_dns = TRY(settings.service_address(10));
    options.api_host = TRY(settings.service_address(1));
    options.api_port = "443";
    node = TRY(kube::node::NodeAgent::create(
        options, {*informers, *engine, *images, loop->loop(), proxy.get(), dns.get()}));
    TRY(informers->start());
    TRY(controllers->start());
    TRY(scheduler->start());
    TRY(node->start());
    api->set_node_connector(&node->connector());
    return {};
}

codec::Json Daemon::Parts::status() const {
    using codec::Json;
    auto pods = informers->of(api::resources::pods).list();
    auto running = std::count_if(pods.begin(), pods.end(), [](const api::Object& pod) {
        return pod.status()["phase"].as_string() == "Running";
    });
    auto machine = informers->of(api::resources::nodes).get({"", settings.node_name});
    auto processes = own_processes(getpid(), settings.run_dir(), settings.root);
    uint64_t memory = 0;
    for (const auto& process : processes) memory += process.pss_kib;
    auto notes = Json::array();
    for (const auto& warning : warnings) notes.push_back(warning);
    return Json::object(
        {{"pid", getpid()},
         {"ready", machine.condition_is("Ready", "True")},
         {"server", fmt::format("https://{}:{}", settings.api_address(), settings.port)},
         {"started", format_time(started)},
         {"version", version()},
         {"kubernetesVersion", kubernetes_version()},
         {"root", settings.root},
         {"instance", settings.instance},
         {"node", Json::object({{"name", settings.node_name}, {"address", settings.node_ip}})},
         {"pods", Json::object({{"total", pods.size()}, {"running", running}})},
         {"containers", engine->list().size()},
         {"images", images->list().size()},
         {"services", informers->of(api::resources::services).size()},
         {"processes", processes.size()},
         {"memoryKiB", memory},
         {"revision", store->revision()},
         {"warnings", std::move(notes)}});
}

// Nobody new is let in, then those who write stop, then what they wrote to.
void Daemon::Parts::stop() {
    if (api) api->set_node_connector(nullptr);
    if (node) node->stop();
    if (scheduler) scheduler->stop();
    if (controllers) controllers->stop();
    if (informers) informers->stop();
    if (api) api->stop();
    if (http) http->shutdown(std::chrono::seconds(1));
    if (control) control->stop();
    if (workers) workers->stop();
}

Daemon::Daemon(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Daemon::~Daemon() { parts_->stop(); }

Result<std::unique_ptr<Daemon>> Daemon::start(const Settings& settings) {
    std::unique_ptr<Daemon> daemon(new Daemon(std::make_unique<Parts>()));
    auto& parts = *daemon->parts_;
    parts.settings = settings;
    TRY(parts.prepare_folders());
    TRY(parts.open_storage());
    TRY(parts.open_network());
    TRY(parts.open_api());
    TRY(parts.start_controllers());
    TRY(parts.start_node());
    TRY(parts.listen());
    for (const auto& warning : parts.warnings) log_warning("app", "{}", warning);
    log_info("app", "ready: node {}, API at https://{}:{}", settings.node_name, settings.listen,
             settings.port);
    return daemon;
}

void Daemon::wait_for_stop() {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    int signal = 0;
    sigwait(&signals, &signal);
    log_info("app", "stopping: {}", strsignal(signal));
}

static void tell(int ready_fd, const std::string& line) {
    if (ready_fd < 0) { // in the foreground: a failure is read there, "ready" nowhere
        if (line.starts_with("error: ")) fmt::print(stderr, "cloudlet: {}", line.substr(7));
        return;
    }
    ssize_t ignored = write(ready_fd, line.data(), line.size());
    (void)ignored; // whoever started us may have gone; the log has it too
    close(ready_fd);
}

static LogLevel level_named(const std::string& name) {
    if (name == "debug") return LogLevel::debug;
    if (name == "warning") return LogLevel::warning;
    if (name == "error") return LogLevel::error;
    return LogLevel::info;
}

int run_daemon(const Settings& settings, int ready_fd) {
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_NAME, "cloudlet"); // started through /proc/self/exe, it would be called "exe"
    sigset_t signals;               // taken by wait_for_stop() alone
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);

    set_log_level(level_named(settings.log_level));
    auto folder = io::make_directories(settings.root + "/log", 0755);
    if (!folder || !set_log_file(settings.log_file())) {
        tell(ready_fd,
             fmt::format("error: the log {} cannot be written: choose another folder with --root\n",
                         settings.log_file()));
        return 1;
    }
    log_info("app", "cloudlet {} starts with root {}, instance {}", version(), settings.root,
             settings.instance);
    auto daemon = Daemon::start(settings);
    if (!daemon) {
        log_error("app", "the start failed: {}", daemon.error().to_string());
        tell(ready_fd, "error: " + daemon.error().to_string() + "\n");
        return 1;
    }
    tell(ready_fd, "ready\n");
    (*daemon)->wait_for_stop();
    daemon->reset();
    log_info("app", "stopped");
    return 0;
}

} // namespace cloudlet::app
