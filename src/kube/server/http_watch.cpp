// A watch over HTTP: chunks of event lines.

#include <deque>

#include <fmt/format.h>

#include "cloudlet/base/random.h"
#include "cloudlet/io/event_loop.h"
#include "watch_hub.h"

namespace cloudlet::kube::server {

namespace {

constexpr size_t initial_burst = size_t{1} << 20; // bytes in flight while the initial state is sent
constexpr size_t initial_refill = size_t{256} << 10;

/// Between 30 and 60 minutes, so that clients that connected together do not come back together.
int64_t default_timeout_seconds() {
    const std::string bytes = secure_random_bytes(2);
    return 1800 +
           (static_cast<unsigned char>(bytes[0]) << 8 | static_cast<unsigned char>(bytes[1])) %
               1800;
}

class HttpWatcher final : public Watcher, public std::enable_shared_from_this<HttpWatcher> {
public:
    HttpWatcher(std::shared_ptr<WatchHub> hub, Collection& watched, WatchFilter what,
                std::shared_ptr<net::Exchange> exchange, EventStyle style)
        : Watcher(watched, std::move(what)), hub_(std::move(hub)), exchange_(std::move(exchange)),
          style_(std::move(style)) {}

    void begin(const ListQuery& query);

    bool deliver(EventType type, ChangeEncoder& encoder) override {
        const bool columns = std::exchange(first_, false);
        return push(encoder.line(type, style_, columns));
    }
    void fail(const Failure& failure) override {
        push(share(encode_error_event(failure)));
        end();
    }
    void stop() override { end(); }

private:
    void add_initial_state(const ListQuery& query);
    void send_initial();
    bool push(SharedBytes line);
    void bookmark();
    void time_is_up();
    void end();
    void drop();

    std::shared_ptr<WatchHub> hub_;
    std::shared_ptr<net::Exchange> exchange_;
    const EventStyle style_;
    bool first_ = true;
    bool bookmarks_ = false;
    bool over_ = false;
    std::vector<ObjectPointer> initial_;
    size_t initial_sent_ = 0;
    std::deque<SharedBytes> waiting_; // until the initial state is out
    size_t waiting_bytes_ = 0;
    io::EventLoop::TimerId timeout_ = 0;
    io::EventLoop::TimerId bookmark_ = 0;
};

void HttpWatcher::begin(const ListQuery& query) {
    Core& core = hub_->core();
    auto self = shared_from_this();
    exchange_->start_stream(
        200, {{"Content-Type", "application/json"}, {"Cache-Control", "no-cache, private"}});
    // The exchange keeps the watcher alive until it is over.
    exchange_->on_close([self] { self->drop(); });
    bookmarks_ = query.bookmarks;
    const int64_t seconds =
        query.timeout_seconds > 0 ? query.timeout_seconds : default_timeout_seconds();
    timeout_ =
        core.options.loop->after(std::chrono::seconds(seconds), [self] { self->time_is_up(); });
    if (bookmarks_)
        bookmark_ =
            core.options.loop->after(core.options.bookmark_interval, [self] { self->bookmark(); });

    const auto wanted = parse_revision(query.resource_version);
    const bool from_now = query.match == "NotOlderThan" && !query.send_initial_events;
    if (wanted && *wanted > core.cache.revision())
        return fail(timeout(fmt::format("Too large resource version: {}, current: {}", *wanted,
                                        core.cache.revision()),
                            1));
    if (query.send_initial_events || (!from_now && *wanted == 0))
        add_initial_state(query);
    else
        seen = *wanted > 0 ? *wanted : core.cache.revision();
    hub_->add(self);
}

void HttpWatcher::add_initial_state(const ListQuery& query) {
    const int64_t revision = hub_->core().cache.revision();
    Collection::Selection selection;
    selection.ns = filter.ns;
    selection.labels = &filter.labels;
    selection.fields = &filter.fields;
    auto selected = collection.select(selection);
    seen = std::max(revision, selected.last_change);
    initial_ = std::move(selected.objects);
    send_initial();
    if (query.send_initial_events && query.bookmarks)
        push(share(
            encode_bookmark(collection.kind(), style_, seen, BookmarkKind::initial_events_end)));
}

void HttpWatcher::send_initial() {
    while (!over_ && initial_sent_ < initial_.size() && exchange_->queued_bytes() < initial_burst) {
        const ObjectPointer object = std::exchange(initial_[initial_sent_++], nullptr);
        const bool columns = std::exchange(first_, false);
        exchange_->write(
            encode_event(EventType::added, encode_object(collection.kind(), style_, *object->json(),
                                                         hub_->core().now(), columns)));
    }
    if (over_) return;
    if (initial_sent_ < initial_.size())
        return exchange_->when_drained(initial_refill,
                                       [self = shared_from_this()] { self->send_initial(); });
    initial_ = {};
    initial_sent_ = 0;
    for (SharedBytes& line : std::exchange(waiting_, {})) exchange_->write(std::move(line));
    waiting_bytes_ = 0;
}

bool HttpWatcher::push(SharedBytes line) {
    if (over_) return false;
    const size_t limit = hub_->core().options.watch_queue_bytes;
    if (!initial_.empty()) {
        waiting_bytes_ += line->size();
        waiting_.push_back(std::move(line));
    } else if (!exchange_->write(std::move(line))) {
        return false;
    }
    if (waiting_bytes_ <= limit && exchange_->queued_bytes() <= limit + initial_burst) return true;
    exchange_->abort(); // too slow: it starts anew from a list
    return false;
}

void HttpWatcher::bookmark() {
    if (over_) return;
    bookmark_ = hub_->core().options.loop->after(hub_->core().options.bookmark_interval,
                                                 [self = shared_from_this()] { self->bookmark(); });
    const int64_t revision = hub_->catch_up(collection);
    if (!over_ && initial_.empty())
        push(share(encode_bookmark(collection.kind(), style_, std::max(revision, seen),
                                   BookmarkKind::progress)));
}

void HttpWatcher::time_is_up() {
    timeout_ = 0;
    if (over_) return;
    const int64_t revision = hub_->catch_up(collection);
    if (bookmarks_ && !over_ && initial_.empty())
        push(share(encode_bookmark(collection.kind(), style_, std::max(revision, seen),
                                   BookmarkKind::progress)));
    end();
}

void HttpWatcher::end() {
    if (over_) return;
    exchange_->finish();
    drop();
}

void HttpWatcher::drop() {
    if (std::exchange(over_, true)) return;
    if (timeout_) hub_->loop().cancel(timeout_);
    if (bookmark_) hub_->loop().cancel(bookmark_);
    // Not from within a pass over the watchers.
    hub_->loop().post([self = shared_from_this()] { self->hub_->remove(self.get()); });
}

} // namespace

void serve_watch(const std::shared_ptr<WatchHub>& hub, std::shared_ptr<net::Exchange> exchange,
                 const Target& target, ListQuery query, EventStyle style) {
    Core& core = hub->core();
    WatchFilter filter{target.ns, std::move(query.labels), std::move(query.fields)};
    if (!target.name.empty())
        filter.fields = api::FieldSelector::equals("metadata.name", target.name);
    auto watcher =
        std::make_shared<HttpWatcher>(hub, *core.cache.find(*target.kind), std::move(filter),
                                      std::move(exchange), std::move(style));
    core.options.loop->post([watcher, query = std::move(query)] { watcher->begin(query); });
}

} // namespace cloudlet::kube::server
