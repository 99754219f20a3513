#pragma once
// Hands the cache's changes to everyone who watches. Watchers belong to the loop's thread: the
// store's thread only says that something changed, and one pass over the watchers follows.

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

#include "cloudlet/net/http_server.h"
#include "core.h"
#include "watch_event.h"

namespace cloudlet::kube::server {

/// What one watcher sees of a collection.
struct WatchFilter {
    std::string ns;
    api::LabelSelector labels;
    api::FieldSelector fields;
    bool matches(const CachedObject& object) const {
        return (ns.empty() || object.ns() == ns) && object.matches(labels, fields);
    }
};

/// Someone who watches one collection. Everything runs on the loop's thread.
class Watcher {
public:
    Watcher(Collection& watched, WatchFilter what) : collection(watched), filter(std::move(what)) {}
    virtual ~Watcher() = default;
    /// False: the watcher is over and is dropped.
    virtual bool deliver(EventType type, ChangeEncoder& encoder) = 0;
    virtual void fail(const Failure& failure) = 0;
    virtual void stop() = 0;

    Collection& collection;
    const WatchFilter filter;
    int64_t seen = 0; // every change up to this revision was delivered
};

class WatchHub : public std::enable_shared_from_this<WatchHub> {
public:
    explicit WatchHub(Core& core) : core_(core), loop_(*core.options.loop) {}

    /// From the store's thread: these collections changed.
    void changed(const std::vector<Collection*>& collections);

    /// The rest: loop thread.
    /// Delivers what the window has after `seen`, then what comes. An `expired` failure when the
    /// window does not reach back that far.
    void add(std::shared_ptr<Watcher> watcher);
    void remove(const Watcher* watcher);
    /// Delivers everything that is in the cache; returns the revision up to which that is so.
    int64_t catch_up(Collection& collection);
    void stop();
    size_t size() const;

    Core& core() { return core_; }
    io::EventLoop& loop() { return loop_; } // also once the server is gone

private:
    struct Feed {
        int64_t delivered = 0;
        std::vector<std::shared_ptr<Watcher>> watchers;
    };
    void pump();
    void pump(Collection& collection, Feed& feed);
    bool deliver(Watcher& watcher, ChangeEncoder& encoder);

    Core& core_;
    io::EventLoop& loop_;
    std::map<Collection*, Feed> feeds_;
    std::mutex mutex_;
    std::set<Collection*> dirty_; // guarded by mutex_; not empty: a pump is posted
    bool stopped_ = false;
};

/// Answers a watch request: streams events until the client goes away, the time is up, or it is too
/// slow.
void serve_watch(const std::shared_ptr<WatchHub>& hub, std::shared_ptr<net::Exchange> exchange,
                 const Target& target, ListQuery query, EventStyle style);

/// A watch of a caller in this process.
Outcome<std::unique_ptr<api::Watch>>
watch_locally(const std::shared_ptr<WatchHub>& hub, Collection& collection, WatchFilter filter,
              std::string_view resource_version,
              std::function<void(const api::WatchEvent&)> on_event);

} // namespace cloudlet::kube::server
