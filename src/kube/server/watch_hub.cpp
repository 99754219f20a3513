#include "watch_hub.h"

#include <algorithm>

#include <fmt/format.h>

#include "cloudlet/io/event_loop.h"

namespace cloudlet::kube::server {

void WatchHub::changed(const std::vector<Collection*>& collections) {
    std::lock_guard lock(mutex_);
    if (stopped_) return;
    const bool posted = !dirty_.empty();
    dirty_.insert(collections.begin(), collections.end());
    if (!posted) core_.options.loop->post([hub = shared_from_this()] { hub->pump(); });
}

void WatchHub::pump() {
    std::set<Collection*> dirty;
    {
        std::lock_guard lock(mutex_);
        if (stopped_) return;
        dirty.swap(dirty_);
    }
    for (Collection* collection : dirty)
        if (auto feed = feeds_.find(collection); feed != feeds_.end())
            pump(*collection, feed->second);
}

void WatchHub::pump(Collection& collection, Feed& feed) {
    if (feed.watchers.empty()) return;
    auto changes = collection.changes_after(feed.delivered);
    if (!changes) {
        // The window ran over while the loop was busy: everyone starts anew.
        for (const auto& watcher : std::exchange(feed.watchers, {}))
            watcher->fail(expired(fmt::format("too old resource version: {}", feed.delivered)));
        return;
    }
    for (const ChangePointer& change : *changes) {
        ChangeEncoder encoder(collection.kind(), *change, core_.now());
        std::erase_if(feed.watchers,
                      [&](const auto& watcher) { return !deliver(*watcher, encoder); });
        feed.delivered = change->revision;
    }
}

bool WatchHub::deliver(Watcher& watcher, ChangeEncoder& encoder) {
    const Change& change = encoder.change();
    if (change.revision <= watcher.seen) return true;
    watcher.seen = change.revision;
    const bool now = change.current && watcher.filter.matches(*change.current);
    const bool before = change.previous && watcher.filter.matches(*change.previous);
    if (!now && !before) return true;
    const EventType type = !now     ? EventType::deleted
                           : before ? EventType::modified
                                    : EventType::added;
    return watcher.deliver(type, encoder);
}

void WatchHub::add(std::shared_ptr<Watcher> watcher) {
    {
        std::lock_guard lock(mutex_);
        if (stopped_) return watcher->fail(unavailable("the server is stopping"));
    }
    Collection& collection = watcher->collection;
    auto backlog = collection.changes_after(watcher->seen);
    if (!backlog)
        return watcher->fail(expired(fmt::format("too old resource version: {} ({})", watcher->seen,
                                                 core_.cache.revision())));
    for (const ChangePointer& change : *backlog) {
        ChangeEncoder encoder(collection.kind(), *change, core_.now());
        if (!deliver(*watcher, encoder)) return;
    }
    Feed& feed = feeds_[&collection];
    if (feed.watchers.empty()) feed.delivered = watcher->seen;
    feed.watchers.push_back(std::move(watcher));
}

void WatchHub::remove(const Watcher* watcher) {
    auto feed = feeds_.find(&watcher->collection);
    if (feed == feeds_.end()) return;
    std::erase_if(feed->second.watchers,
                  [watcher](const auto& entry) { return entry.get() == watcher; });
}

int64_t WatchHub::catch_up(Collection& collection) {
    const int64_t revision = core_.cache.revision();
    if (auto feed = feeds_.find(&collection); feed != feeds_.end()) pump(collection, feed->second);
    return revision;
}

void WatchHub::stop() {
    {
        std::lock_guard lock(mutex_);
        stopped_ = true;
        dirty_.clear();
    }
    for (auto& [collection, feed] : std::exchange(feeds_, {}))
        for (const auto& watcher : feed.watchers) watcher->stop();
}

size_t WatchHub::size() const {
    size_t count = 0;
    for (const auto& [collection, feed] : feeds_) count += feed.watchers.size();
    return count;
}

} // namespace cloudlet::kube::server
