#include "cache.h"

#include <algorithm>

#include "cloudlet/base/check.h"
#include "cloudlet/base/log.h"
#include "failure.h"

namespace cloudlet::kube::server {

std::string collection_prefix(const api::Kind& kind) {
    return std::string(store_prefix) + resource_of(kind).qualified() + "/";
}

std::string store_key(const api::Kind& kind, std::string_view ns, std::string_view name) {
    return collection_prefix(kind) + object_path(ns, name);
}

Collection::Collection(const api::Kind& kind, size_t window, size_t window_bytes)
    : kind_(&kind), window_limit_(window), window_bytes_limit_(window_bytes) {}

ObjectPointer Collection::get(std::string_view path) const {
    std::lock_guard lock(mutex_);
    auto found = objects_.find(path);
    return found == objects_.end() ? nullptr : found->second;
}

size_t Collection::size() const {
    std::lock_guard lock(mutex_);
    return objects_.size();
}

Collection::Selected Collection::select(const Selection& selection) const {
    static const api::LabelSelector any_label;
    static const api::FieldSelector any_field;
    const auto& labels = selection.labels ? *selection.labels : any_label;
    const auto& fields = selection.fields ? *selection.fields : any_field;
    const bool in_namespace = kind_->namespaced && !selection.ns.empty();
    const std::string prefix = in_namespace ? std::string(selection.ns) + "/" : std::string();

    Selected selected;
    std::lock_guard lock(mutex_);
    selected.last_change = last_change_;
    if (!selection.name.empty() && (in_namespace || !kind_->namespaced)) {
        auto found = objects_.find(
            object_path(in_namespace ? selection.ns : std::string_view(), selection.name));
        if (found != objects_.end() && found->first > selection.after &&
            found->second->matches(labels, fields))
            selected.objects.push_back(found->second);
        return selected;
    }
    auto at = selection.after.empty() ? objects_.lower_bound(prefix)
                                      : objects_.upper_bound(std::max(selection.after, prefix));
    for (; at != objects_.end() && at->first.starts_with(prefix); ++at) {
        if (!selection.name.empty() && at->second->name() != selection.name) continue;
        if (!at->second->matches(labels, fields)) continue;
        if (selection.limit && selected.objects.size() == selection.limit) {
            selected.more = true;
            break;
        }
        selected.objects.push_back(at->second);
    }
    if (selected.more)
        for (; at != objects_.end() && at->first.starts_with(prefix); ++at) ++selected.remaining;
    return selected;
}

std::optional<std::vector<ChangePointer>> Collection::changes_after(int64_t revision) const {
    std::lock_guard lock(mutex_);
    if (revision < window_floor_) return std::nullopt;
    auto first = std::upper_bound(
        window_.begin(), window_.end(), revision,
        [](int64_t wanted, const ChangePointer& change) { return wanted < change->revision; });
    return std::vector<ChangePointer>(first, window_.end());
}

void Collection::load(ObjectPointer object) {
    std::lock_guard lock(mutex_);
    last_change_ = std::max(last_change_, object->revision());
    objects_[object_path(object->ns(), object->name())] = std::move(object);
}

void Collection::apply(const store::Event& event, ObjectPointer current) {
    const std::string path = event.current.key.substr(collection_prefix(*kind_).size());
    auto change = std::make_shared<Change>();
    change->revision = event.current.mod_revision;
    change->current = current;

    std::lock_guard lock(mutex_);
    auto found = objects_.find(path);
    if (found != objects_.end()) change->previous = found->second;
    if (current)
        objects_[path] = std::move(current);
    else if (found != objects_.end())
        objects_.erase(found);
    last_change_ = change->revision;
    if (!change->current && !change->previous) return;

    window_bytes_ +=
        change->current ? change->current->json()->size() : change->previous->json()->size();
    window_.push_back(std::move(change));
    while (window_.size() > window_limit_ ||
           (window_bytes_ > window_bytes_limit_ && window_.size() > 1)) {
        const Change& oldest = *window_.front();
        window_floor_ = oldest.revision;
        window_bytes_ -=
            oldest.current ? oldest.current->json()->size() : oldest.previous->json()->size();
        window_.pop_front();
    }
}

Cache::Cache(const api::Kinds& kinds, Limits limits) {
    for (const api::Kind& kind : kinds.all()) {
        if (!kind.stored) continue;
        auto& slot = by_prefix_[resource_of(kind).qualified()];
        slot = std::make_unique<Collection>(kind, limits.window, limits.window_bytes);
        by_kind_[&kind] = slot.get();
    }
}

Collection* Cache::find(const api::Kind& kind) {
    auto found = by_kind_.find(&kind);
    return found == by_kind_.end() ? nullptr : found->second;
}

Collection& Cache::of(const api::Resource& resource) {
    auto found = by_prefix_.find(resource.qualified());
    check(found != by_prefix_.end(), "a built-in resource is in the cache");
    return *found->second;
}

Collection* Cache::collection_of_key(std::string_view key) {
    if (!key.starts_with(store_prefix)) return nullptr;
    key.remove_prefix(store_prefix.size());
    auto found = by_prefix_.find(key.substr(0, key.find('/')));
    return found == by_prefix_.end() ? nullptr : found->second.get();
}

Result<int64_t> Cache::load(store::Store& store) {
    store::RangeRequest request;
    request.key = store_prefix;
    request.range_end = TRY(store::prefix_end(store_prefix));
    request.revision = store.revision();
    request.limit = 1000;
    const int64_t revision = request.revision;
    for (bool more = revision > 0; more;) {
        auto page = TRY(store.range(request));
        for (const store::KeyValue& entry : page.values) {
            if (Collection* collection = collection_of_key(entry.key)) {
                auto object =
                    CachedObject::make(collection->kind(), entry.value, entry.mod_revision);
                if (object)
                    collection->load(std::move(*object));
                else
                    log_error("kube", "{} in the store cannot be read: {}", entry.key,
                              object.error().to_string());
            } else if (listener_.on_other) {
                listener_.on_other({store::Event::Type::put, entry, std::nullopt});
            }
        }
        more = page.more && !page.values.empty();
        if (more) request.key = page.values.back().key + '\0';
    }
    for (auto& [prefix, collection] : by_prefix_) collection->window_floor_ = revision;
    return revision;
}

Result<> Cache::follow(store::Store& store, Listener listener) {
    listener_ = std::move(listener);
    const int64_t revision =
        TRY(with_context(load(store), "reading the cluster's objects from the store"));
    revision_.store(revision, std::memory_order_release);
    watch_ = TRY(store.watch(std::string(store_prefix), revision + 1,
                             [this](const store::WatchBatch& batch) { apply(batch); }));
    return {};
}

void Cache::expect(const std::string& key, const SharedBytes& bytes, Json parsed) {
    std::lock_guard lock(expected_mutex_);
    expected_.emplace(key, std::pair(bytes, std::move(parsed)));
}

void Cache::forget(const std::string& key, const SharedBytes& bytes) { take_expected(key, bytes); }

Json Cache::take_expected(const std::string& key, const SharedBytes& bytes) {
    std::lock_guard lock(expected_mutex_);
    auto [first, last] = expected_.equal_range(key);
    for (auto at = first; at != last; ++at) {
        if (at->second.first != bytes) continue;
        Json parsed = std::move(at->second.second);
        expected_.erase(at);
        return parsed;
    }
    return {};
}

void Cache::apply(const store::WatchBatch& batch) {
    std::vector<Collection*> touched;
    for (const store::Event& event : batch.events) {
        Collection* collection = collection_of_key(event.current.key);
        if (!collection) {
            if (listener_.on_other) listener_.on_other(event);
            continue;
        }
        ObjectPointer current;
        if (event.type == store::Event::Type::put) {
            auto made = CachedObject::make(collection->kind(), event.current.value,
                                           event.current.mod_revision,
                                           take_expected(event.current.key, event.current.value));
            if (!made) {
                log_error("kube", "{} cannot be read: {}", event.current.key,
                          made.error().to_string());
                continue;
            }
            current = std::move(*made);
        }
        collection->apply(event, std::move(current));
        touched.push_back(collection);
    }
    revision_.store(batch.revision, std::memory_order_release);
    if (listener_.on_batch && !touched.empty()) listener_.on_batch(touched);
}

} // namespace cloudlet::kube::server
