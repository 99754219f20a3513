#include <charconv>
#include <mutex>

#include <fmt/format.h>

#include "http_answer.h"
#include "pod_streams.h"

namespace cloudlet::kube::server {

namespace {

class HttpLogSink final : public LogSink, public std::enable_shared_from_this<HttpLogSink> {
public:
    explicit HttpLogSink(std::shared_ptr<net::Exchange> exchange)
        : exchange_(std::move(exchange)) {}

    void begin() {
        exchange_->on_close([self = shared_from_this()] { self->closed(); });
    }
    bool write(std::string bytes) override {
        std::lock_guard lock(mutex_);
        if (over_) return false;
        start();
        return bytes.empty() || exchange_->write(std::move(bytes));
    }
    size_t queued_bytes() const override { return exchange_->queued_bytes(); }
    void finish() override {
        std::lock_guard lock(mutex_);
        if (std::exchange(over_, true)) return;
        start();
        exchange_->finish();
    }
    void fail(Error error) override {
        std::lock_guard lock(mutex_);
        if (std::exchange(over_, true)) return;
        if (started_)
            exchange_->abort();
        else
            answer_failure(*exchange_, from_error(error));
    }
    void on_close(std::function<void()> handler) override {
        {
            std::lock_guard lock(mutex_);
            if (!gone_) {
                handler_ = std::move(handler);
                return;
            }
        }
        handler();
    }

private:
    void start() {
        if (std::exchange(started_, true)) return;
        exchange_->start_stream(
            200, {{"Content-Type", "text/plain"}, {"Cache-Control", "no-cache, private"}});
    }
    void closed() {
        std::function<void()> handler;
        {
            std::lock_guard lock(mutex_);
            over_ = gone_ = true;
            handler = std::move(handler_);
        }
        if (handler) handler();
    }

    std::shared_ptr<net::Exchange> exchange_;
    std::mutex mutex_;
    bool started_ = false;
    bool over_ = false;
    bool gone_ = false;
    std::function<void()> handler_;
};

Outcome<std::optional<int64_t>> read_count(const net::Query& query, std::string_view name,
                                           int64_t least) {
    const std::string_view text = query.get(name);
    if (text.empty()) return std::nullopt;
    int64_t number = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size() || number < least)
        return refuse(bad_request(fmt::format(
            "{}: Invalid value: \"{}\": must be a whole number, at least {}", name, text, least)));
    return number;
}

Outcome<LogOptions> read_log_options(const net::Query& query, WallTime now) {
    LogOptions options;
    options.follow = query.get_bool("follow");
    options.previous = query.get_bool("previous");
    options.timestamps = query.get_bool("timestamps");
    options.tail_lines = NEED(read_count(query, "tailLines", 0));
    options.limit_bytes = NEED(read_count(query, "limitBytes", 1));
    if (auto seconds = NEED(read_count(query, "sinceSeconds", 1)))
        options.since = now - std::chrono::seconds(*seconds);
    if (const std::string_view text = query.get("sinceTime"); !text.empty()) {
        if (options.since)
            return refuse(bad_request("at most one of sinceTime or sinceSeconds may be specified"));
        options.since = NEED(parse_time(text));
    }
    return options;
}

std::vector<std::string> container_names(const api::Object& pod,
                                         std::initializer_list<std::string_view> lists) {
    std::vector<std::string> names;
    for (std::string_view list : lists)
        for (const Json& container : pod.spec()[list].items())
            names.emplace_back(container["name"].as_string());
    return names;
}

} // namespace

Outcome<ContainerTarget> find_container(Core& core, const Target& target, const net::Query& query) {
    const ObjectPointer found =
        core.cache.of(api::resources::pods).get(object_path(target.ns, target.name));
    if (!found) return refuse(not_found(api::resources::pods, target.name));
    const api::Object pod = found->object();
    ContainerTarget container{target.ns, target.name, found->uid(),
                              std::string(pod.spec()["nodeName"].as_string()),
                              std::string(query.get("container"))};
    const auto main = container_names(pod, {"containers"});
    if (container.container.empty()) {
        if (main.size() != 1)
            return refuse(bad_request(
                fmt::format("a container name must be specified for pod {}, choose one of: [{}]",
                            target.name, fmt::join(main, " "))));
        container.container = main.front();
        return container;
    }
    for (const std::string& name :
         container_names(pod, {"containers", "initContainers", "ephemeralContainers"}))
        if (name == container.container) return container;
    return refuse(bad_request(
        fmt::format("container {} is not valid for pod {}", container.container, target.name)));
}

Outcome<> serve_logs(Core& core, const std::shared_ptr<net::Exchange>& exchange,
                     const Target& target) {
    const net::Query& query = exchange->request().query;
    const LogOptions options = NEED(read_log_options(query, core.now()));
    const ContainerTarget container = NEED(find_container(core, target, query));
    if (container.node.empty()) { // not scheduled: nothing was logged yet
        exchange->respond({200, {{"Content-Type", "text/plain"}}, {}, {}});
        return {};
    }
    NodeConnector* connector = core.connector.load();
    if (!connector) return refuse(unavailable("the node agent is not running yet; try again"));
    auto sink = std::make_shared<HttpLogSink>(exchange);
    sink->begin();
    connector->logs(container, options, std::move(sink));
    return {};
}

} // namespace cloudlet::kube::server
