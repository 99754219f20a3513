#pragma once
// Where one OSD keeps its objects: collections of objects on one disk, changed by transactions.
//
// A collection holds a placement group's objects, or the OSD's own records. An object has data,
// xattrs (few, small) and omap (many, ordered by key). A change is always a Transaction: a list of
// operations that happens as a whole or not at all, whatever fails and whenever the power does.
//
// submit() checks a transaction and carries it out at once: whoever reads next sees it. It is safe
// only later, when the disk has synced; the listener hears `committed(token)` then, in the order of
// submission, many for one sync (group commit). What was submitted and not committed may be gone
// after a crash, but never out of order: if a transaction survived, so did all before it.
//
// Every block of data and every attribute has a checksum, and every read verifies it: a read gives
// the right bytes or Code::io that names what is damaged. A change that needs the old bytes of a
// damaged block (a write of part of it) is refused the same way; one that replaces them heals it.
//
// When a sync fails nobody knows what is on the disk, so it is never tried again: the listener
// hears failed() once, and from then on everything is refused with Code::io.
//
// One thread owns a store and calls it; the listener is called from within the store's calls on
// that thread and may submit more.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cloudlet/base/result.h"
#include "cloudlet/rados/transaction.h"

namespace cloudlet::rados {

class StoreListener {
public:
    virtual ~StoreListener() = default;
    /// The transaction that was submitted with `token`, and all before it, survive a crash.
    virtual void committed(uint64_t token) = 0;
    /// A sync failed. Called once; no token that is still open will be committed.
    virtual void failed(const Error& error) = 0;
};

struct ObjectStat {
    uint64_t size = 0; // bytes, holes included
    bool operator==(const ObjectStat&) const = default;
};

struct ObjectPage {
    std::vector<ObjectId> objects; // ascending
    bool more = false;             // the limit cut the list; go on after the last one
};

struct OmapPage {
    std::vector<std::pair<std::string, std::string>> entries; // ascending by key
    bool more = false;                                        // go on behind the last key
};

struct StoreSpace {
    uint64_t used = 0;     // bytes on the disk
    uint64_t capacity = 0; // bytes
};

/// All calls fail with Code::io once a sync has failed. Reads fail with Code::not_found when the
/// collection or object is not there, and Code::io when what they read is damaged.
class ObjectStore {
public:
    virtual ~ObjectStore() = default;

    /// Visible when it returns, safe when the listener hears the token. On an error nothing has
    /// changed and the token is not used: Code::too_large or invalid as check_transaction() says,
    /// or when it clones more than StoreLimits::cloned_bytes;
    /// not_found for an object or collection that an operation needs; already_exists for a
    /// collection that is to be made; conflict for one that is to be removed and holds objects;
    /// exhausted when the disk is full (a part is kept back for the OSD's own records, and for
    /// transactions that only take away); io when old bytes are needed
    /// and damaged.
    virtual Result<void> submit(const Transaction& transaction, uint64_t token) = 0;

    /// The bytes from `offset`, fewer than `length` when the object ends; holes read as zeros.
    virtual Result<std::string> read(const CollectionId& collection, const ObjectId& object,
                                     uint64_t offset, uint64_t length) const = 0;
    virtual Result<ObjectStat> stat(const CollectionId& collection,
                                    const ObjectId& object) const = 0;
    /// Error: also Code::not_found when the object has no such xattr.
    virtual Result<std::string> xattr(const CollectionId& collection, const ObjectId& object,
                                      const std::string& name) const = 0;
    virtual Result<Attributes> xattrs(const CollectionId& collection,
                                      const ObjectId& object) const = 0;
    /// At most `limit` entries with from <= key < until (no end when `until` is empty).
    virtual Result<OmapPage> omap(const CollectionId& collection, const ObjectId& object,
                                  const std::string& from, const std::string& until,
                                  size_t limit) const = 0;
    /// Those of the keys that the object has.
    virtual Result<Attributes> omap_values(const CollectionId& collection, const ObjectId& object,
                                           const std::vector<std::string>& keys) const = 0;
    /// At most `limit` objects behind `after`, or from the first.
    virtual Result<ObjectPage> list(const CollectionId& collection,
                                    const std::optional<ObjectId>& after, size_t limit) const = 0;
    virtual Result<std::vector<CollectionId>> collections() const = 0;
    /// What is full, and how full is too full, is decided by who asks.
    virtual Result<StoreSpace> space() const = 0;
};

} // namespace cloudlet::rados
