#include "cloudlet/kube/server/api_server.h"

#include <fmt/format.h>

#include "cloudlet/base/log.h"
#include "cloudlet/io/event_loop.h"
#include "cloudlet/io/worker_pool.h"
#include "http_api.h"
#include "local_client.h"

namespace cloudlet::kube::server {

namespace {

std::vector<KnownToken> known_tokens(const ApiServerOptions& options) {
    std::vector<KnownToken> known;
    for (const StaticToken& token : options.static_tokens)
        if (!token.token.empty()) known.push_back({token.token, {token.user, token.groups, {}}});
    return known;
}

class Server final : public ApiServer {
public:
    Server(const ApiServerOptions& options, TokenSigner signer, Ipv4Range range)
        : core_(options, std::move(signer), range), hub_(std::make_shared<WatchHub>(core_)),
          http_(core_, hub_), client_(core_, hub_) {}
    ~Server() override { stop(); }

    Result<> start() {
        Cache::Listener listener;
        listener.on_batch = [hub = hub_](const std::vector<Collection*>& collections) {
            hub->changed(collections);
        };
        listener.on_other = [this](const store::Event& event) {
            if (!core_.cluster_ips.apply(event)) core_.node_ports.apply(event);
        };
        TRY(core_.cache.follow(*core_.options.store, std::move(listener)));
        TRY(bootstrap(core_));
        core_.options.loop->post([ticker = ticker_] { ticker->schedule(); });
        return {};
    }

    net::Handler handler() override {
        return [this](ExchangePointer exchange) { http_.handle(exchange); };
    }
    std::function<bool(const ExchangePointer&)> inline_handler() override {
        return [this](const ExchangePointer& exchange) { return http_.handle_inline(exchange); };
    }
    api::Client& client() override { return client_; }
    void set_node_connector(NodeConnector* connector) override { core_.connector = connector; }

    void stop() override {
        if (core_.stopped.exchange(true)) return;
        // Waits for what the loop is doing with watches and the ticker; they are gone afterwards.
        core_.options.loop->call([this] {
            hub_->stop();
            ticker_->stop();
        });
        core_.cache.stop();
    }

private:
    /// Compacts the store's history: what is older than one interval goes. Loop thread.
    struct Ticker : std::enable_shared_from_this<Ticker> {
        explicit Ticker(Core& owner)
            : core(owner), loop(*owner.options.loop), interval(owner.options.compaction_interval) {}
        void schedule() {
            if (over || interval <= Duration::zero()) return;
            timer = loop.after(interval, [self = shared_from_this()] { self->tick(); });
        }
        void tick() {
            timer = 0;
            const int64_t revision = std::exchange(previous, core.cache.revision());
            store::Store* store = core.options.store;
            const bool submitted =
                revision > store->compacted_revision() &&
                core.options.pool->submit([store, revision] {
                    if (auto done = store->compact(revision);
                        !done && done.error().code != Code::expired)
                        log_warning("kube", "compacting the store: {}", done.error().to_string());
                });
            if (!submitted) log_debug("kube", "nothing to compact at revision {}", revision);
            schedule();
        }
        void stop() {
            over = true;
            if (timer) loop.cancel(timer);
        }

        Core& core;
        io::EventLoop& loop;
        const Duration interval;
        io::EventLoop::TimerId timer = 0;
        int64_t previous = 0;
        bool over = false;
    };

    Core core_;
    std::shared_ptr<WatchHub> hub_;
    HttpApi http_;
    LocalClient client_;
    std::shared_ptr<Ticker> ticker_ = std::make_shared<Ticker>(core_);
};

} // namespace

Core::Core(const ApiServerOptions& given, TokenSigner token_signer, Ipv4Range range)
    : options(given), kinds(api::builtin_kinds()), service_range(range),
      signer(std::move(token_signer)), cache(kinds, {given.watch_window, given.watch_window_bytes}),
      cluster_ips(std::string(store_prefix) + ".cluster-ips/", cluster_ip_range(range)),
      node_ports(std::string(store_prefix) + ".node-ports/",
                 {given.node_port_first, given.node_port_last, given.node_port_first}),
      authenticator(signer, cache, *given.clock, known_tokens(given)),
      event_leases(*given.store, *given.clock, given.event_ttl),
      writer(*given.store, cache, *given.pool) {}

const api::Kind& Core::kind_of(const api::Resource& resource) const {
    return *kinds.find(resource.group, resource.version, resource.plural);
}

Result<std::unique_ptr<ApiServer>> ApiServer::create(ApiServerOptions options) {
    if (!options.store || !options.loop || !options.pool || !options.clock)
        return fail(Code::invalid, "the API server needs a store, a loop, a pool and a clock");
    if (options.node_port_first == 0 || options.node_port_first > options.node_port_last)
        return fail(
            Code::invalid,
            fmt::format("node ports {}-{}: the first must be above 0 and not above the last",
                        options.node_port_first, options.node_port_last));
    const Ipv4Range range = TRY(parse_ipv4_range(options.service_cidr));
    auto signer =
        TRY(TokenSigner::create(options.service_account_key_pem, options.service_account_issuer));
    auto server = std::make_unique<Server>(options, std::move(signer), range);
    TRY(server->start());
    return std::unique_ptr<ApiServer>(std::move(server));
}

net::Response ApiServer::error_page(int status, const std::string& message) {
    Failure failure;
    failure.code = status;
    failure.message = message;
    switch (status) {
    case 400: failure.reason = "BadRequest"; break;
    case 408: failure.reason = "Timeout"; break;
    case 413: failure.reason = "RequestEntityTooLarge"; break;
    case 431: failure.reason = "BadRequest"; break;
    case 503:
        failure.reason = "ServiceUnavailable";
        failure.retry_after_seconds = 1;
        break;
    default: break;
    }
    return failure_response(failure);
}

} // namespace cloudlet::kube::server
