#pragma once
// Every current object in memory, by resource, and the recent changes of each: what all reads and
// watches are served from. The store's one watch feeds it, on the store's thread, before the writer
// is told of its commit; so a client that was answered sees its own write.

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cached_object.h"
#include "cloudlet/api/resources.h"
#include "cloudlet/store/store.h"

namespace cloudlet::kube::server {

/// One committed change of one object.
struct Change {
    int64_t revision = 0;
    ObjectPointer current;  // null: removed
    ObjectPointer previous; // null: made
};
using ChangePointer = std::shared_ptr<const Change>;

/// The keys of the store that the server uses.
inline constexpr std::string_view store_prefix = "/registry/";
std::string collection_prefix(const api::Kind& kind); // "/registry/deployments.apps/"
std::string store_key(const api::Kind& kind, std::string_view ns, std::string_view name);

/// All objects of one resource. Thread-safe.
class Collection {
public:
    Collection(const api::Kind& kind, size_t window, size_t window_bytes);

    const api::Kind& kind() const { return *kind_; }
    ObjectPointer get(std::string_view path) const;

    /// Objects in key order: those of one namespace (all when empty) whose path is greater than
    /// `after`; stops after `limit` matches (0: all).
    struct Selection {
        std::string_view ns;
        std::string_view name; // when not empty only this name
        const api::LabelSelector* labels = nullptr;
        const api::FieldSelector* fields = nullptr;
        std::string after;
        size_t limit = 0;
    };
    struct Selected {
        std::vector<ObjectPointer> objects;
        int64_t last_change = 0; // revision of the collection's newest change
        bool more = false;
        size_t remaining = 0; // paths after the last one selected (counted without selectors)
    };
    Selected select(const Selection& selection) const;
    size_t size() const;

    /// The changes after `revision`; nothing when the window does not reach back that far.
    std::optional<std::vector<ChangePointer>> changes_after(int64_t revision) const;

private:
    friend class Cache;
    void apply(const store::Event& event, ObjectPointer current);
    void load(ObjectPointer object);

    const api::Kind* kind_;
    const size_t window_limit_;
    const size_t window_bytes_limit_;
    mutable std::mutex mutex_;
    std::map<std::string, ObjectPointer, std::less<>> objects_;
    std::deque<ChangePointer> window_;
    size_t window_bytes_ = 0;
    int64_t window_floor_ = 0; // every change above it is in the window
    int64_t last_change_ = 0;
};

class Cache {
public:
    struct Limits {
        size_t window = 4096;
        size_t window_bytes = size_t{4} << 20;
    };
    Cache(const api::Kinds& kinds, Limits limits);

    /// Null for a kind that is not stored.
    Collection* find(const api::Kind& kind);
    Collection& of(const api::Resource& resource); // a built-in one

    /// Reads everything from the store and follows it. `on_batch` runs on the store's thread after
    /// a batch is in the cache; `on_other` gets events of keys that are no objects, at the load as
    /// well.
    struct Listener {
        std::function<void(const std::vector<Collection*>&)> on_batch;
        std::function<void(const store::Event&)> on_other;
    };
    Result<> follow(store::Store& store, Listener listener);
    void stop() { watch_.reset(); }

    /// All batches up to this revision are in the cache.
    int64_t revision() const { return revision_.load(std::memory_order_acquire); }

    /// Lets the next event of `key` reuse the writer's parsed value when the bytes are the same.
    void expect(const std::string& key, const SharedBytes& bytes, Json parsed);
    void forget(const std::string& key, const SharedBytes& bytes);

private:
    void apply(const store::WatchBatch& batch);
    Collection* collection_of_key(std::string_view key);
    Json take_expected(const std::string& key, const SharedBytes& bytes);
    Result<int64_t> load(store::Store& store);

    std::map<std::string, std::unique_ptr<Collection>, std::less<>>
        by_prefix_; // "deployments.apps"
    std::map<const api::Kind*, Collection*> by_kind_;
    std::atomic<int64_t> revision_{0};
    Listener listener_;
    std::mutex expected_mutex_;
    std::multimap<std::string, std::pair<SharedBytes, Json>> expected_;
    std::unique_ptr<store::Watch> watch_;
};

} // namespace cloudlet::kube::server
