#include "cloudlet/rados/transaction.h"

#include <type_traits>
#include <utility>

#include <fmt/format.h>

#include "object_store/transaction_parts.h"

namespace cloudlet::rados {

namespace {

/// What the operations seen so far add up to.
struct Sum {
    uint64_t bytes = 0, entries = 0;
};

Result<void> check_size(std::string_view what, uint64_t size, uint64_t limit) {
    if (size <= limit) return {};
    return fail(Code::too_large, fmt::format("{} of {} bytes, at most {}", what, size, limit));
}

Result<void> check_key(Sum& sum, std::string_view what, std::string_view key) {
    ++sum.entries;
    sum.bytes += key.size();
    return check_size(what, key.size(), StoreLimits::name_bytes);
}

Result<void> check_attributes(Sum& sum, std::string_view what, const Attributes& values,
                              size_t limit) {
    for (const auto& [key, value] : values) {
        TRY(check_key(sum, what, key));
        TRY(check_size(what, value.size(), limit));
        sum.bytes += value.size();
    }
    return {};
}

Result<void> check_object(Sum& sum, const ObjectId& object) {
    if (object.name.empty()) return fail(Code::invalid, "an object without a name");
    return check_key(sum, "a name", object.name);
}

Result<void> check_extent(uint64_t offset, uint64_t length) {
    constexpr uint64_t limit = StoreLimits::object_bytes;
    if (offset <= limit && length <= limit - offset) return {};
    return fail(Code::too_large, fmt::format("{} bytes at offset {}, an object has at most {}",
                                             length, offset, limit));
}

Result<void> check_replace(Sum& sum, const change::Replace& replace) {
    sum.bytes += view_of(replace.data).size();
    TRY(check_extent(0, view_of(replace.data).size()));
    TRY(check_attributes(sum, "an xattr", replace.xattrs, StoreLimits::xattr_bytes));
    return check_attributes(sum, "an omap entry", replace.omap, StoreLimits::omap_value_bytes);
}

Result<void> check_sum(const Sum& sum) {
    TRY(check_size("a transaction", sum.bytes, StoreLimits::transaction_bytes));
    if (sum.entries <= StoreLimits::entries) return {};
    return fail(Code::too_large,
                fmt::format("a transaction of more than {} names and keys", StoreLimits::entries));
}

Result<void> check_change(Sum& sum, const StoreChange& change) {
    using namespace change;
    constexpr size_t xattr = StoreLimits::xattr_bytes, omap = StoreLimits::omap_value_bytes;
    return std::visit(
        Overload{
            [&](const Write& write) {
                sum.bytes += view_of(write.data).size();
                return check_extent(write.offset, view_of(write.data).size());
            },
            [](const Zero& zero) { return check_extent(zero.offset, zero.length); },
            [](const Truncate& truncate) { return check_extent(truncate.size, 0); },
            [&](const SetXattrs& set) {
                return check_attributes(sum, "an xattr", set.values, xattr);
            },
            [&](const RemoveXattr& remove) { return check_key(sum, "an xattr", remove.name); },
            [&](const SetOmap& set) {
                return check_attributes(sum, "an omap entry", set.values, omap);
            },
            [&](const RemoveOmapKeys& remove) -> Result<void> {
                for (const std::string& key : remove.keys) TRY(check_key(sum, "an omap key", key));
                return {};
            },
            [&](const RemoveOmapRange& remove) -> Result<void> {
                TRY(check_key(sum, "an omap key", remove.from));
                return check_key(sum, "an omap key", remove.until);
            },
            [&](const Clone& clone) { return check_object(sum, clone.to); },
            [&](const Replace& replace) { return check_replace(sum, replace); },
            [](const auto&) -> Result<void> { return {}; }, // nothing that could be too large
        },
        change);
}

Result<void> check_operation(Sum& sum, const Operation& operation) {
    if (!is_of_collection(operation.change)) {
        TRY(check_object(sum, operation.object));
    } else if (operation.object != ObjectId()) {
        return fail(Code::invalid, "a change of a collection that names an object");
    }
    TRY(check_change(sum, operation.change));
    return check_sum(sum);
}

} // namespace

bool is_of_collection(const StoreChange& change) {
    return std::holds_alternative<change::CreateCollection>(change) ||
           std::holds_alternative<change::RemoveCollection>(change);
}

bool change::Write::operator==(const Write& other) const {
    return offset == other.offset && view_of(data) == view_of(other.data);
}

bool change::Replace::operator==(const Replace& other) const {
    return view_of(data) == view_of(other.data) && xattrs == other.xattrs && omap == other.omap;
}

std::string CollectionId::to_string() const {
    return *this == CollectionId() ? "the OSD's own records" : fmt::format("PG {}", pg.to_string());
}

std::string ObjectId::to_string() const {
    return fmt::format("object \"{}\" ({:08x})", printable(name), hash);
}

Transaction& Transaction::create_collection(CollectionId collection) {
    return add(collection, {}, change::CreateCollection{});
}

Transaction& Transaction::remove_collection(CollectionId collection) {
    return add(collection, {}, change::RemoveCollection{});
}

Transaction& Transaction::add(CollectionId collection, ObjectId object, StoreChange change) {
    operations.push_back({collection, std::move(object), std::move(change)});
    return *this;
}

Transaction& Transaction::write(CollectionId collection, ObjectId object, uint64_t offset,
                                std::string data) {
    return add(collection, std::move(object), change::Write{offset, share(std::move(data))});
}

Result<void> check_transaction(const Transaction& transaction) {
    if (transaction.operations.size() > StoreLimits::operations)
        return fail(Code::too_large,
                    fmt::format("a transaction of {} operations, at most {}",
                                transaction.operations.size(), StoreLimits::operations));
    Sum sum;
    for (size_t i = 0; i < transaction.operations.size(); ++i) {
        auto checked = check_operation(sum, transaction.operations[i]);
        if (!checked) return with_context(std::move(checked), fmt::format("operation {}", i));
    }
    return {};
}

Result<void> check_content(const change::Replace& content) {
    Sum sum;
    TRY(check_replace(sum, content));
    return check_sum(sum);
}

std::string printable(std::string_view bytes) {
    std::string text;
    for (char c : bytes.substr(0, 100)) {
        bool plain = c >= ' ' && c <= '~' && c != '"' && c != '\\';
        text += plain ? std::string(1, c) : fmt::format("\\x{:02x}", static_cast<uint8_t>(c));
    }
    return bytes.size() > 100 ? text + "..." : text;
}

} // namespace cloudlet::rados
