#include "cloudlet/rados/memory_store.h"

#include <algorithm>
#include <deque>
#include <utility>

#include <fmt/format.h>

#include "cloudlet/base/check.h"
#include "object_store/memory_state.h"
#include "object_store/transaction_parts.h"

namespace cloudlet::rados {

namespace {

struct Pending {
    uint64_t token = 0;
    UndoList undo;
};

/// The OSD's own records, and what makes objects smaller. A change of an object's own info goes
/// along with the latter.
bool may_use_reserve(const Operation& operation) {
    using namespace change;
    constexpr size_t small = 512;
    const StoreChange& what = operation.change;
    if (auto* set = std::get_if<SetXattrs>(&what))
        return std::ranges::all_of(set->values,
                                   [](const auto& xattr) { return xattr.second.size() <= small; });
    return operation.collection == CollectionId{} || std::holds_alternative<Remove>(what) ||
           std::holds_alternative<RemoveCollection>(what) ||
           std::holds_alternative<RemoveXattr>(what) ||
           std::holds_alternative<RemoveOmapKeys>(what) ||
           std::holds_alternative<RemoveOmapRange>(what) ||
           std::holds_alternative<ClearOmap>(what) || std::holds_alternative<Truncate>(what);
}

/// Bytes that a full disk takes beyond its capacity: removals are written down in the PG's log.
uint64_t reserve_for(const Transaction& transaction, uint64_t capacity) {
    constexpr uint64_t least = 64 << 10, part = 32;
    if (!std::ranges::all_of(transaction.operations, may_use_reserve)) return 0;
    return std::max(least, capacity / part);
}

std::string place(const CollectionId& collection, const ObjectId& object) {
    return fmt::format("{} of {}", object.to_string(), collection.to_string());
}

/// The sentence is made only when there is something to say.
template <typename T>
Result<T> with_place(Result<T> result, const CollectionId& collection, const ObjectId& object) {
    if (!result) result.error().context.push_back(place(collection, object));
    return result;
}

} // namespace

struct MemoryStore::State {
    State(StoreListener& to, MemoryStoreOptions with) : listener(to), options(with) {}

    Result<void> alive() const {
        if (!failure) return {};
        return tl::unexpected(*failure);
    }
    Result<const MemoryObject*> find(const CollectionId& collection, const ObjectId& object) const {
        TRY(alive());
        auto found = contents.find(collection, object);
        return found ? found : with_context(std::move(found), collection.to_string());
    }

    StoreListener& listener;
    MemoryStoreOptions options;
    MemoryContents contents;
    std::deque<Pending> pending; // oldest first
    bool next_sync_fails = false;
    std::optional<Error> failure;
    uint64_t life = 0; // counts crashes
};

MemoryStore::MemoryStore(StoreListener& listener, MemoryStoreOptions options)
    : state_(std::make_unique<State>(listener, options)) {}

MemoryStore::~MemoryStore() = default;

Result<void> MemoryStore::submit(const Transaction& transaction, uint64_t token) {
    TRY(state_->alive());
    TRY(check_transaction(transaction));
    MemoryContents& contents = state_->contents;
    UndoList undo;
    MemoryEdit edit(contents, undo);
    const uint64_t before = contents.used, capacity = state_->options.capacity;
    Result<void> done;
    for (size_t i = 0; i < transaction.operations.size() && done; ++i) {
        if (done = edit.apply(transaction.operations[i]); !done)
            done = with_context(
                with_context(std::move(done), transaction.operations[i].collection.to_string()),
                fmt::format("operation {}", i));
    }
    if (done && contents.used > before &&
        contents.used > capacity + reserve_for(transaction, capacity))
        done = fail(Code::exhausted, fmt::format("the disk of {} bytes is full ({} used); remove "
                                                 "objects or add OSDs",
                                                 capacity, before));
    if (!done) {
        contents.take_back(std::move(undo));
        return done;
    }
    state_->pending.push_back({token, std::move(undo)});
    return {};
}

size_t MemoryStore::pending() const { return state_->pending.size(); }

void MemoryStore::sync(size_t count) {
    State& state = *state_;
    if (state.failure) return;
    if (state.next_sync_fails) {
        state.failure = fail(Code::io, "a sync of the disk failed: what it holds is not known; "
                                       "stop the OSD and look at the disk")
                            .value();
        state.listener.failed(Error(*state.failure));
        return;
    }
    count = std::min(count, state.pending.size());
    std::vector<uint64_t> tokens;
    tokens.reserve(count);
    for (; tokens.size() < count; state.pending.pop_front())
        tokens.push_back(state.pending.front().token);
    const uint64_t life = state.life; // the listener may let the power fail
    for (size_t i = 0; i < tokens.size() && state.life == life; ++i)
        state.listener.committed(tokens[i]);
}

void MemoryStore::fail_next_sync() { state_->next_sync_fails = true; }

void MemoryStore::set_capacity(uint64_t bytes) { state_->options.capacity = bytes; }

CrashReport MemoryStore::crash(Random& random, size_t at_most) {
    State& state = *state_;
    CrashReport report;
    report.kept = random.below(std::min(at_most, state.pending.size()) + 1);
    report.lost = state.pending.size() - report.kept;
    report.torn = report.lost > 0 && random.chance(0.5);
    while (state.pending.size() > report.kept) {
        state.contents.take_back(std::move(state.pending.back().undo));
        state.pending.pop_back();
    }
    state.pending.clear();
    state.next_sync_fails = false;
    state.failure.reset();
    ++state.life;
    return report;
}

Result<std::string> MemoryStore::read(const CollectionId& collection, const ObjectId& object,
                                      uint64_t offset, uint64_t length) const {
    const MemoryObject* found = TRY(state_->find(collection, object));
    return with_place(found->read(offset, length), collection, object);
}

Result<ObjectStat> MemoryStore::stat(const CollectionId& collection, const ObjectId& object) const {
    return ObjectStat{TRY(state_->find(collection, object))->size()};
}

Result<std::string> MemoryStore::xattr(const CollectionId& collection, const ObjectId& object,
                                       const std::string& name) const {
    const MemoryObject* found = TRY(state_->find(collection, object));
    const Values& values = found->values(ObjectPart::xattrs);
    auto at = values.find(name);
    if (at == values.end())
        return fail(Code::not_found, fmt::format("{} has no xattr \"{}\"",
                                                 place(collection, object), printable(name)));
    auto bytes = MemoryObject::verified(ObjectPart::xattrs, name, at->second);
    return std::string(TRY(with_place(bytes, collection, object)));
}

Result<Attributes> MemoryStore::xattrs(const CollectionId& collection,
                                       const ObjectId& object) const {
    const MemoryObject* found = TRY(state_->find(collection, object));
    Attributes attributes;
    for (const auto& [name, value] : found->values(ObjectPart::xattrs)) {
        auto bytes = MemoryObject::verified(ObjectPart::xattrs, name, value);
        attributes.emplace_hint(attributes.end(), name, TRY(with_place(bytes, collection, object)));
    }
    return attributes;
}

Result<OmapPage> MemoryStore::omap(const CollectionId& collection, const ObjectId& object,
                                   const std::string& from, const std::string& until,
                                   size_t limit) const {
    const MemoryObject* found = TRY(state_->find(collection, object));
    const Values& values = found->values(ObjectPart::omap);
    OmapPage page;
    for (auto at = values.lower_bound(from); at != values.end(); ++at) {
        if (!until.empty() && at->first >= until) break;
        if (page.entries.size() == limit) {
            page.more = true;
            break;
        }
        auto bytes = MemoryObject::verified(ObjectPart::omap, at->first, at->second);
        page.entries.emplace_back(at->first, TRY(with_place(bytes, collection, object)));
    }
    return page;
}

Result<Attributes> MemoryStore::omap_values(const CollectionId& collection, const ObjectId& object,
                                            const std::vector<std::string>& keys) const {
    const MemoryObject* found = TRY(state_->find(collection, object));
    const Values& values = found->values(ObjectPart::omap);
    Attributes attributes;
    for (const std::string& key : keys) {
        auto at = values.find(key);
        if (at == values.end()) continue;
        auto bytes = MemoryObject::verified(ObjectPart::omap, key, at->second);
        attributes.emplace(key, TRY(with_place(bytes, collection, object)));
    }
    return attributes;
}

Result<ObjectPage> MemoryStore::list(const CollectionId& collection,
                                     const std::optional<ObjectId>& after, size_t limit) const {
    TRY(state_->alive());
    const Objects& objects = TRY(state_->contents.find(collection))->objects;
    ObjectPage page;
    auto at = after ? objects.upper_bound(*after) : objects.begin();
    for (; at != objects.end() && page.objects.size() < limit; ++at)
        page.objects.push_back(at->first);
    page.more = at != objects.end();
    return page;
}

Result<std::vector<CollectionId>> MemoryStore::collections() const {
    TRY(state_->alive());
    std::vector<CollectionId> ids;
    for (const auto& [id, collection] : state_->contents.collections) ids.push_back(id);
    return ids;
}

Result<StoreSpace> MemoryStore::space() const {
    TRY(state_->alive());
    return StoreSpace{used_bytes(), state_->options.capacity};
}

uint64_t MemoryStore::used_bytes() const { return state_->contents.used; }

size_t MemoryStore::memory_bytes(const CollectionId& collection) const {
    auto found = state_->contents.find(collection);
    return found ? (*found)->footprint.memory : 0;
}

Result<void> MemoryStore::damage(const Damage& what, Random& random) {
    auto in = state_->contents.collections.find(what.collection);
    if (in != state_->contents.collections.end()) {
        auto at = in->second.objects.find(what.object);
        if (at != in->second.objects.end() && at->second.flip_bit(what.part, random)) return {};
    }
    return fail(Code::not_found,
                fmt::format("nothing to damage in {}", place(what.collection, what.object)));
}

std::optional<Damage> MemoryStore::rot(Random& random) {
    std::vector<Damage> all;
    for (const auto& [collection, contents] : state_->contents.collections) {
        for (const auto& [id, object] : contents.objects) {
            if (!object.blocks().empty()) all.push_back({collection, id, ObjectPart::data});
            for (ObjectPart part : {ObjectPart::xattrs, ObjectPart::omap})
                if (!object.values(part).empty()) all.push_back({collection, id, part});
        }
    }
    if (all.empty()) return std::nullopt;
    Damage chosen = std::move(all[random.below(all.size())]);
    check(damage(chosen, random).has_value(), "what was found to damage is gone");
    return chosen;
}

} // namespace cloudlet::rados
