#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include "object_store/memory_state.h"
#include "object_store/transaction_parts.h"

namespace cloudlet::rados {

namespace {

constexpr uint64_t record_bytes = 512; // on the disk, for each object and collection
constexpr size_t tree_node = 32;

const Footprint empty_collection{record_bytes,
                                 heap_bytes(tree_node + sizeof(Collections::value_type))};

/// Of an object without contents.
Footprint base_of(const ObjectId& id) {
    return {record_bytes + id.name.size(),
            heap_bytes(tree_node + sizeof(Objects::value_type)) + heap_bytes(id.name)};
}

uint32_t index_of(uint64_t offset) { return static_cast<uint32_t>(offset / block_bytes); }

/// Keeps the sums right while something in a collection changes size.
template <typename Function>
auto counted(MemoryContents& contents, MemoryCollection& collection, MemoryObject& object,
             Function function) {
    Footprint before = object.footprint();
    auto old = function();
    collection.footprint.take(before);
    collection.footprint.add(object.footprint());
    contents.used += object.footprint().disk - before.disk;
    return old;
}

void count_in(MemoryContents& contents, MemoryCollection& collection, const Footprint& more) {
    collection.footprint.add(more);
    contents.used += more.disk;
}

void count_out(MemoryContents& contents, MemoryCollection& collection, const Footprint& less) {
    collection.footprint.take(less);
    contents.used -= less.disk;
}

/// Of an object with its contents.
Footprint whole_of(const ObjectId& id, const MemoryObject& object) {
    Footprint sum = base_of(id);
    sum.add(object.footprint());
    return sum;
}

/// Sets again what one step replaced.
struct TakeBack {
    MemoryContents& contents;
    MemoryCollection* collection;
    MemoryObject* object;

    void operator()(Undo::Size& was) const { object->set_size(was.old); }
    void operator()(Undo::OneBlock& was) const {
        counted(contents, *collection, *object,
                [&] { return object->set_block(was.index, std::move(was.old)); });
    }
    void operator()(Undo::OneValue& was) const {
        counted(contents, *collection, *object,
                [&] { return object->set_value(was.part, was.key, std::move(was.old)); });
    }
    void operator()(Undo::AllValues& was) const {
        counted(contents, *collection, *object,
                [&] { return object->set_values(was.part, std::move(was.old)); });
    }
    void operator()(Undo::ObjectMade& was) const {
        auto at = collection->objects.find(*was.id);
        count_out(contents, *collection, whole_of(at->first, at->second));
        collection->objects.erase(at);
    }
    void operator()(Undo::ObjectGone& was) const {
        count_in(contents, *collection, whole_of(was.old.key(), was.old.mapped()));
        collection->objects.insert(std::move(was.old));
    }
    void operator()(Undo::CollectionMade& was) const {
        auto at = contents.collections.find(was.id);
        contents.used -= at->second.footprint.disk;
        contents.collections.erase(at);
    }
    void operator()(Undo::CollectionGone& was) const {
        contents.used += was.old.mapped().footprint.disk;
        contents.collections.insert(std::move(was.old));
    }
};

tl::unexpected<Error> no_collection(const CollectionId& id) {
    return fail(Code::not_found, fmt::format("{} has no collection here", id.to_string()));
}

tl::unexpected<Error> no_object(const ObjectId& id) {
    return fail(Code::not_found, fmt::format("{} does not exist", id.to_string()));
}

/// Whether the object is made when it is missing.
bool makes_object(const StoreChange& change) {
    return std::visit(Overload{
                          [](const change::Touch&) { return true; },
                          [](const change::Write&) { return true; },
                          [](const change::Zero&) { return true; },
                          [](const change::Truncate&) { return true; },
                          [](const change::SetXattrs&) { return true; },
                          [](const change::SetOmap&) { return true; },
                          [](const auto&) { return false; },
                      },
                      change);
}

} // namespace

Result<const MemoryCollection*> MemoryContents::find(const CollectionId& collection) const {
    auto at = collections.find(collection);
    if (at == collections.end()) return no_collection(collection);
    return &at->second;
}

Result<const MemoryObject*> MemoryContents::find(const CollectionId& collection,
                                                 const ObjectId& object) const {
    const MemoryCollection* in = TRY(find(collection));
    auto at = in->objects.find(object);
    if (at == in->objects.end()) return no_object(object);
    return &at->second;
}

void MemoryContents::take_back(UndoList list) {
    for (; !list.empty(); list.pop_back()) {
        Undo& undo = list.back();
        std::visit(TakeBack{*this, undo.collection, undo.object}, undo.was);
    }
}

Result<void> MemoryEdit::apply(const Operation& operation) {
    using namespace change;
    if (std::holds_alternative<CreateCollection>(operation.change))
        return make_collection(operation.collection);
    auto at = contents_.collections.find(operation.collection);
    if (at == contents_.collections.end()) return no_collection(operation.collection);
    collection_ = &at->second;
    if (std::holds_alternative<RemoveCollection>(operation.change))
        return remove_collection(operation.collection);

    if (const auto* replace = std::get_if<Replace>(&operation.change)) {
        make_anew(operation.object);
        set_attributes(ObjectPart::xattrs, replace->xattrs);
        set_attributes(ObjectPart::omap, replace->omap);
        return write(0, view_of(replace->data));
    }
    if (makes_object(operation.change)) {
        open_or_make(operation.object);
    } else {
        auto found = collection_->objects.find(operation.object);
        if (found == collection_->objects.end()) return no_object(operation.object);
        object_ = &found->second;
    }
    return change_object(operation);
}

Result<void> MemoryEdit::change_object(const Operation& operation) {
    using namespace change;
    auto done = [](auto function) -> Result<void> {
        function();
        return {};
    };
    return std::visit(
        Overload{
            [&](const Write& write) { return this->write(write.offset, view_of(write.data)); },
            [&](const Zero& zero) { return this->zero(zero.offset, zero.length); },
            [&](const Truncate& truncate) { return this->truncate(truncate.size); },
            [&](const Remove&) { return done([&] { remove_object(operation.object); }); },
            [&](const SetXattrs& set) {
                return done([&] { set_attributes(ObjectPart::xattrs, set.values); });
            },
            [&](const RemoveXattr& remove) {
                return done([&] { set_value(ObjectPart::xattrs, remove.name, {}); });
            },
            [&](const SetOmap& set) {
                return done([&] { set_attributes(ObjectPart::omap, set.values); });
            },
            [&](const RemoveOmapKeys& remove) {
                return done([&] {
                    for (const std::string& key : remove.keys) set_value(ObjectPart::omap, key, {});
                });
            },
            [&](const RemoveOmapRange& range) {
                return done([&] { remove_range(range.from, range.until); });
            },
            [&](const ClearOmap&) { return done([&] { set_values(ObjectPart::omap, {}); }); },
            [&](const Clone& clone) {
                return clone.to == operation.object ? Result<void>() : this->clone(clone.to);
            },
            [](const auto&) -> Result<void> { return {}; }, // it exists: that is all
        },
        operation.change);
}

Result<void> MemoryEdit::make_collection(const CollectionId& id) {
    auto [at, made] = contents_.collections.try_emplace(id);
    if (!made)
        return fail(Code::already_exists, fmt::format("{} has a collection", id.to_string()));
    undo_.push_back({nullptr, nullptr, Undo::CollectionMade{id}});
    count_in(contents_, at->second, empty_collection);
    return {};
}

Result<void> MemoryEdit::remove_collection(const CollectionId& id) {
    if (!collection_->objects.empty())
        return fail(Code::conflict, fmt::format("the collection of {} still holds {} objects",
                                                id.to_string(), collection_->objects.size()));
    contents_.used -= collection_->footprint.disk;
    undo_.push_back({nullptr, nullptr, Undo::CollectionGone{contents_.collections.extract(id)}});
    return {};
}

void MemoryEdit::open_or_make(const ObjectId& id) {
    auto [at, made] = collection_->objects.try_emplace(id);
    object_ = &at->second;
    if (!made) return;
    count_in(contents_, *collection_, base_of(id));
    undo_.push_back({collection_, object_, Undo::ObjectMade{&at->first}});
}

void MemoryEdit::make_anew(const ObjectId& id) {
    remove_object(id);
    open_or_make(id);
}

void MemoryEdit::remove_object(const ObjectId& id) {
    auto node = collection_->objects.extract(id);
    if (node.empty()) return;
    count_out(contents_, *collection_, whole_of(id, node.mapped()));
    undo_.push_back({collection_, nullptr, Undo::ObjectGone{std::move(node)}});
}

Result<void> MemoryEdit::clone(const ObjectId& to) {
    const MemoryObject& from = *object_; // its node stays where it is
    cloned_ += from.footprint().disk;
    if (cloned_ > StoreLimits::cloned_bytes)
        return fail(Code::too_large, fmt::format("a transaction that clones more than {} bytes",
                                                 StoreLimits::cloned_bytes));
    make_anew(to);
    set_size(from.size());
    for (const auto& [index, block] : from.blocks()) set_block(index, block);
    set_values(ObjectPart::xattrs, from.values(ObjectPart::xattrs));
    set_values(ObjectPart::omap, from.values(ObjectPart::omap));
    return {};
}

Result<void> MemoryEdit::write(uint64_t offset, std::string_view data) {
    uint64_t end = offset + data.size();
    if (!data.empty() && end > object_->size()) set_size(end);
    while (!data.empty()) {
        uint64_t start = offset % block_bytes;
        size_t size = std::min<size_t>(data.size(), block_bytes - start);
        TRY(put_bytes(index_of(offset), start, data.substr(0, size)));
        offset += size;
        data.remove_prefix(size);
    }
    return {};
}

Result<void> MemoryEdit::put_bytes(uint32_t index, uint64_t start, std::string_view data) {
    std::string_view old;
    auto at = object_->blocks().find(index);
    bool covers =
        at == object_->blocks().end() || (start == 0 && data.size() >= at->second->bytes.size());
    if (covers && start == 0) {
        set_block(index, make_block(std::string(data)));
        return {};
    }
    if (!covers) old = TRY(object_->block(index));
    // Made at its size, because a string that grows reserves more than it needs.
    std::string bytes(std::max<size_t>(old.size(), start + data.size()), '\0');
    old.copy(bytes.data(), old.size());
    data.copy(bytes.data() + start, data.size());
    set_block(index, make_block(std::move(bytes)));
    return {};
}

Result<void> MemoryEdit::zero(uint64_t offset, uint64_t length) {
    if (length == 0) return {};
    uint64_t end = offset + length;
    if (end > object_->size()) set_size(end);
    uint32_t first = index_of(offset), last = index_of(end);
    if (first == last) return zero_bytes(first, offset % block_bytes, end % block_bytes);
    TRY(zero_bytes(first, offset % block_bytes, block_bytes));
    drop_blocks(first + 1, last);
    return zero_bytes(last, 0, end % block_bytes);
}

/// From `start` to `end` of one block; what a block is shorter is zero already.
Result<void> MemoryEdit::zero_bytes(uint32_t index, uint64_t start, uint64_t end) {
    auto at = object_->blocks().find(index);
    if (start == end || at == object_->blocks().end() || start >= at->second->bytes.size())
        return {};
    if (start == 0 && end >= at->second->bytes.size()) {
        set_block(index, nullptr);
        return {};
    }
    std::string_view old = TRY(object_->block(index));
    std::string bytes(end >= old.size() ? old.substr(0, start) : old);
    if (end < old.size()) std::memset(bytes.data() + start, 0, end - start);
    set_block(index, make_block(std::move(bytes)));
    return {};
}

void MemoryEdit::drop_blocks(uint32_t first, uint32_t end) {
    auto at = object_->blocks().lower_bound(first);
    while (at != object_->blocks().end() && at->first < end) set_block((at++)->first, nullptr);
}

Result<void> MemoryEdit::truncate(uint64_t size) {
    if (size < object_->size()) {
        TRY(zero_bytes(index_of(size), size % block_bytes, block_bytes));
        drop_blocks(index_of(size) + 1, UINT32_MAX);
    }
    set_size(size);
    return {};
}

void MemoryEdit::set_attributes(ObjectPart part, const Attributes& values) {
    for (const auto& [key, value] : values) set_value(part, key, make_value(key, value));
}

void MemoryEdit::remove_range(const std::string& from, const std::string& until) {
    const Values& values = object_->values(ObjectPart::omap);
    auto at = values.lower_bound(from);
    while (at != values.end() && (until.empty() || at->first < until)) {
        std::string key = (at++)->first;
        set_value(ObjectPart::omap, key, {});
    }
}

void MemoryEdit::set_size(uint64_t size) {
    if (size == object_->size()) return;
    undo_.push_back({collection_, object_, Undo::Size{object_->set_size(size)}});
}

void MemoryEdit::set_block(uint32_t index, BlockRef block) {
    BlockRef old = counted(contents_, *collection_, *object_,
                           [&] { return object_->set_block(index, std::move(block)); });
    undo_.push_back({collection_, object_, Undo::OneBlock{index, std::move(old)}});
}

void MemoryEdit::set_value(ObjectPart part, const std::string& key, std::optional<Value> value) {
    bool removes = !value;
    std::optional<Value> old = counted(contents_, *collection_, *object_, [&] {
        return object_->set_value(part, key, std::move(value));
    });
    if (removes && !old) return;
    undo_.push_back({collection_, object_, Undo::OneValue{part, key, std::move(old)}});
}

void MemoryEdit::set_values(ObjectPart part, Values values) {
    Values old = counted(contents_, *collection_, *object_,
                         [&] { return object_->set_values(part, std::move(values)); });
    undo_.push_back({collection_, object_, Undo::AllValues{part, std::move(old)}});
}

} // namespace cloudlet::rados
