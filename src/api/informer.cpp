#include "cloudlet/api/informer.h"

#include <condition_variable>
#include <set>
#include <thread>
#include <unordered_map>

#include <pthread.h>

#include "cloudlet/base/log.h"

namespace cloudlet::api {

// The watch's callback changes the copy and calls the handlers itself: one thread, in order. The
// `relist` thread wakes only when a watch broke.
struct Informer::State {
    Client& client;
    Resource resource;
    std::string ns;
    WatchOptions selectors;

    mutable std::mutex mutex; // guards the copy; never held while a handler runs
    std::map<ObjectKey, Object> objects;
    struct Index {
        IndexFunction function;
        std::map<std::string, std::set<ObjectKey>> keys;
    };
    std::map<std::string, Index> indexes;
    bool synced = false;

    std::recursive_mutex delivery; // one change at a time, its handlers included
    std::vector<Handler> handlers;

    std::mutex control;
    std::condition_variable wake;
    bool broken = false;
    bool stopping = false;
    std::unique_ptr<Watch> watch;
    std::thread relist_thread;

    State(Client& c, Resource r) : client(c), resource(std::move(r)) {}

    void reindex(const ObjectKey& key, const Object& before, const Object& after) {
        for (auto& [name, index] : indexes) {
            if (before)
                for (const auto& value : index.function(before)) {
                    auto found = index.keys.find(value);
                    if (found == index.keys.end()) continue;
                    found->second.erase(key);
                    if (found->second.empty()) index.keys.erase(found);
                }
            if (after)
                for (const auto& value : index.function(after)) index.keys[value].insert(key);
        }
    }

    /// Puts `after` (empty: absent) in place and tells the handlers. `delivery` is held.
    void apply(const ObjectKey& key, const Object& after) {
        Object before;
        {
            std::lock_guard lock(mutex);
            auto found = objects.find(key);
            if (found != objects.end()) before = found->second;
            if (!before && !after) return;
            reindex(key, before, after);
            if (after)
                objects[key] = after;
            else
                objects.erase(found);
        }
        if (before && after && before.resource_version() == after.resource_version()) return;
        for (const auto& handler : handlers) handler(before, after);
    }

    void on_event(const WatchEvent& event) {
        std::lock_guard guard(delivery);
        switch (event.type) {
        case WatchEvent::Type::added:
        case WatchEvent::Type::modified: apply(event.object.key(), event.object); break;
        case WatchEvent::Type::deleted: apply(event.object.key(), Object()); break;
        case WatchEvent::Type::bookmark: break;
        case WatchEvent::Type::error: {
            std::lock_guard lock(control);
            broken = true;
            wake.notify_all();
        }
        }
    }

    void replace(const ObjectList& list) {
        std::lock_guard guard(delivery);
        std::set<ObjectKey> gone;
        {
            std::lock_guard lock(mutex);
            for (const auto& [key, object] : objects) gone.insert(key);
        }
        for (const auto& object : list.items) {
            gone.erase(object.key());
            apply(object.key(), object);
        }
        for (const auto& key : gone) apply(key, Object());
        std::lock_guard lock(mutex);
        synced = true;
    }

    Result<> list_and_watch(const std::shared_ptr<State>& self) {
        auto list = TRY(client.list(resource, ns, {selectors.labels, selectors.fields, 0, {}}));
        replace(list);
        WatchOptions options = selectors;
        options.resource_version = list.resource_version;
        std::weak_ptr<State> weak = self;
        auto started = TRY(client.watch(resource, ns, options, [weak](const WatchEvent& event) {
            if (auto state = weak.lock()) state->on_event(event);
        }));
        std::lock_guard lock(control);
        watch = std::move(started);
        return {};
    }

    void relist_when_broken(const std::shared_ptr<State>& self) {
        pthread_setname_np(pthread_self(), ("inf-" + resource.plural).substr(0, 15).c_str());
        Duration pause = std::chrono::milliseconds(10);
        for (;;) {
            std::unique_ptr<Watch> old;
            {
                std::unique_lock lock(control);
                wake.wait(lock, [&] { return broken || stopping; });
                if (stopping) return;
                broken = false;
                old = std::move(watch);
            }
            old.reset();
            auto restarted = list_and_watch(self);
            if (restarted) {
                pause = std::chrono::milliseconds(10);
                continue;
            }
            log_warning("api", "informer of {}: {}; listing again in {} ms", resource.qualified(),
                        restarted.error().to_string(), pause / std::chrono::milliseconds(1));
            std::unique_lock lock(control);
            broken = true;
            wake.wait_for(lock, pause, [&] { return stopping; });
            pause = std::min<Duration>(pause * 2, std::chrono::seconds(5));
        }
    }
};

Informer::Informer(Client& client, Resource resource, std::string ns, WatchOptions selectors)
    : state_(std::make_shared<State>(client, std::move(resource))) {
    state_->ns = std::move(ns);
    state_->selectors = std::move(selectors);
}

Informer::~Informer() { stop(); }

void Informer::add_index(const std::string& name, IndexFunction function) {
    std::lock_guard lock(state_->mutex);
    auto& index = state_->indexes[name];
    index.function = std::move(function);
    for (const auto& [key, object] : state_->objects)
        for (const auto& value : index.function(object)) index.keys[value].insert(key);
}

void Informer::add_handler(Handler handler) {
    std::lock_guard guard(state_->delivery);
    for (const auto& object : list()) handler(Object(), object);
    state_->handlers.push_back(std::move(handler));
}

Result<> Informer::start() {
    TRY(state_->list_and_watch(state_));
    state_->relist_thread = std::thread([state = state_] { state->relist_when_broken(state); });
    return {};
}

void Informer::stop() {
    std::unique_ptr<Watch> watch;
    {
        std::lock_guard lock(state_->control);
        state_->stopping = true;
        watch = std::move(state_->watch);
    }
    state_->wake.notify_all();
    watch.reset();
    if (state_->relist_thread.joinable()) state_->relist_thread.join();
    std::lock_guard lock(state_->control);
    watch = std::move(state_->watch); // one that a listing in flight still started
}

bool Informer::synced() const {
    std::lock_guard lock(state_->mutex);
    return state_->synced;
}

Object Informer::get(const ObjectKey& key) const {
    std::lock_guard lock(state_->mutex);
    auto found = state_->objects.find(key);
    return found == state_->objects.end() ? Object() : found->second;
}

std::vector<Object> Informer::list(const std::string& ns) const {
    std::lock_guard lock(state_->mutex);
    std::vector<Object> found;
    auto at = ns.empty() ? state_->objects.begin() : state_->objects.lower_bound({ns, ""});
    for (; at != state_->objects.end() && (ns.empty() || at->first.ns == ns); ++at)
        found.push_back(at->second);
    return found;
}

std::vector<Object> Informer::by_index(const std::string& index, const std::string& value) const {
    std::lock_guard lock(state_->mutex);
    std::vector<Object> found;
    auto named = state_->indexes.find(index);
    if (named == state_->indexes.end()) return found;
    auto keys = named->second.keys.find(value);
    if (keys == named->second.keys.end()) return found;
    for (const auto& key : keys->second) found.push_back(state_->objects.at(key));
    return found;
}

size_t Informer::size() const {
    std::lock_guard lock(state_->mutex);
    return state_->objects.size();
}

const Resource& Informer::resource() const { return state_->resource; }

Informer& InformerSet::of(const Resource& resource) {
    std::lock_guard lock(mutex_);
    auto& informer = informers_[resource];
    if (!informer) informer = std::make_unique<Informer>(client_, resource);
    return *informer;
}

Result<> InformerSet::start() {
    std::vector<Informer*> waiting;
    {
        std::lock_guard lock(mutex_);
        for (auto& [resource, informer] : informers_)
            if (!informer->synced()) waiting.push_back(informer.get());
    }
    for (auto* informer : waiting)
        TRY(with_context(informer->start(), "informer of " + informer->resource().qualified()));
    return {};
}

void InformerSet::stop() {
    std::lock_guard lock(mutex_);
    for (auto& [resource, informer] : informers_) informer->stop();
}

} // namespace cloudlet::api
