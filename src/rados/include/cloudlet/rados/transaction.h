#pragma once
// A change of an object store as a value: an ordered list of operations, all or nothing.
//
// It is made once, by the primary, and travels to the replicas as bytes; so an operation names
// everything it needs and means the same on every store. Copies share the data they write. Plain
// data; thread-safe to read.

#include <compare>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "cloudlet/base/bytes.h"
#include "cloudlet/base/result.h"
#include "cloudlet/rados/osd_map.h"

namespace cloudlet::rados {

/// A placement group's objects; by default the OSD's own records.
struct CollectionId {
    CollectionId() = default;
    CollectionId(PgId id) : pg(id) {} // NOLINT: a PG's collection is named like the PG

    PgId pg{-1, 0}; // no pool has the number -1
    auto operator<=>(const CollectionId&) const = default;
    std::string to_string() const;
};

/// Objects are ordered by hash, then name. The store does not compute the hash: who wants the
/// objects of a half of a PG to lie together gives the hash with its bits reversed.
struct ObjectId {
    uint32_t hash = 0;
    std::string name; // not empty; any bytes
    auto operator<=>(const ObjectId&) const = default;
    std::string to_string() const; // for messages: the name's odd bytes are escaped
};

using Attributes = std::map<std::string, std::string>;

struct StoreLimits {
    static constexpr uint64_t object_bytes = uint64_t{128} << 20;
    static constexpr size_t name_bytes = 4096; // of an object, an xattr or an omap key
    static constexpr size_t xattr_bytes = 64 << 10;
    static constexpr size_t omap_value_bytes = 1 << 20;
    // Of one transaction; an object of full size and its attributes fit.
    static constexpr size_t operations = 1 << 16;
    static constexpr size_t entries = 1 << 17;
    static constexpr uint64_t transaction_bytes = uint64_t{160} << 20;
    // A clone is a few bytes in a message and a lot of work in a store.
    static constexpr uint64_t cloned_bytes = uint64_t{512} << 20;
};

/// What an operation does. Those that put something into an object make it when it is missing;
/// those that take something from it need it. Taking what an object does not have is no error.
namespace change {

struct CreateCollection {
    bool operator==(const CreateCollection&) const = default;
};
struct RemoveCollection { // an empty one
    bool operator==(const RemoveCollection&) const = default;
};
struct Touch {
    bool operator==(const Touch&) const = default;
};
struct Write {
    uint64_t offset = 0;
    SharedBytes data; // null is empty
    bool operator==(const Write& other) const;
};
struct Zero { // makes the object longer when it ends before
    uint64_t offset = 0, length = 0;
    bool operator==(const Zero&) const = default;
};
struct Truncate { // or extend
    uint64_t size = 0;
    bool operator==(const Truncate&) const = default;
};
struct Remove {
    bool operator==(const Remove&) const = default;
};
struct SetXattrs {
    Attributes values;
    bool operator==(const SetXattrs&) const = default;
};
struct RemoveXattr {
    std::string name;
    bool operator==(const RemoveXattr&) const = default;
};
struct SetOmap {
    Attributes values;
    bool operator==(const SetOmap&) const = default;
};
struct RemoveOmapKeys {
    std::vector<std::string> keys;
    bool operator==(const RemoveOmapKeys&) const = default;
};
struct RemoveOmapRange { // from <= key < until; no end when `until` is empty
    std::string from, until;
    bool operator==(const RemoveOmapRange&) const = default;
};
struct ClearOmap {
    bool operator==(const ClearOmap&) const = default;
};
struct Clone { // `to` becomes a copy of the object, whatever it was
    ObjectId to;
    bool operator==(const Clone&) const = default;
};
struct Replace { // the object becomes this, whatever it was; recovery writes so
    SharedBytes data;
    Attributes xattrs, omap;
    bool operator==(const Replace& other) const;
};

} // namespace change

/// The order of the alternatives is their number in the encoded form.
using StoreChange =
    std::variant<change::CreateCollection, change::RemoveCollection, change::Touch, change::Write,
                 change::Zero, change::Truncate, change::Remove, change::SetXattrs,
                 change::RemoveXattr, change::SetOmap, change::RemoveOmapKeys,
                 change::RemoveOmapRange, change::ClearOmap, change::Clone, change::Replace>;

struct Operation {
    CollectionId collection;
    ObjectId object; // empty for the two that change collections
    StoreChange change;
    bool operator==(const Operation&) const = default;
};

struct Transaction {
    std::vector<Operation> operations;

    Transaction& create_collection(CollectionId collection);
    Transaction& remove_collection(CollectionId collection);
    Transaction& add(CollectionId collection, ObjectId object, StoreChange change);
    Transaction& write(CollectionId collection, ObjectId object, uint64_t offset, std::string data);

    bool operator==(const Transaction&) const = default;
};

/// What can be said without a store. Error: Code::too_large beyond StoreLimits, Code::invalid for
/// an object without a name, or with one where a collection is changed.
Result<void> check_transaction(const Transaction& transaction);

/// The same of what a Replace brings, without a transaction around it.
Result<void> check_content(const change::Replace& content);

std::string encode_transaction(const Transaction& transaction);
/// Safe for any bytes. Error: Code::invalid with the byte offset, or as check_transaction().
Result<Transaction> decode_transaction(std::string_view bytes);

} // namespace cloudlet::rados
