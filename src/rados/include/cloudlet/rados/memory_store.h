#pragma once
// An object store in memory that behaves like a disk under test.
//
// It is for simulations: it keeps what a log on a disk would keep, and the simulator decides when
// the disk syncs, when the power fails and which bits rot. Nothing happens by itself, there is no
// clock, and the same calls with the same seed do the same.
//
// It keeps one state, the visible one, and for each transaction that is not synced what it
// replaced. A crash takes back the newest ones, as many as the dice say; a sync forgets how to.
// Data lies in blocks of 4 KiB that are never changed in place, so a clone shares them with its
// origin and the way back shares them with the present. Holes take nothing.
//
// One thread, like every store. It does not own the listener, which must outlive it.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cloudlet/base/random.h"
#include "cloudlet/rados/object_store.h"

namespace cloudlet::rados {

struct MemoryStoreOptions {
    uint64_t capacity = uint64_t{1} << 40; // bytes
};

struct CrashReport {
    size_t kept = 0; // transactions that were not synced and survived
    size_t lost = 0;
    bool torn = false; // the first lost one was half written; its checksum tells, so it is gone
};

enum class ObjectPart { data, xattrs, omap };

struct Damage {
    CollectionId collection;
    ObjectId object;
    ObjectPart part = ObjectPart::data;
};

class MemoryStore final : public ObjectStore {
public:
    explicit MemoryStore(StoreListener& listener, MemoryStoreOptions options = {});
    ~MemoryStore() override;
    MemoryStore(const MemoryStore&) = delete;
    MemoryStore& operator=(const MemoryStore&) = delete;

    Result<void> submit(const Transaction& transaction, uint64_t token) override;
    Result<std::string> read(const CollectionId& collection, const ObjectId& object,
                             uint64_t offset, uint64_t length) const override;
    Result<ObjectStat> stat(const CollectionId& collection, const ObjectId& object) const override;
    Result<std::string> xattr(const CollectionId& collection, const ObjectId& object,
                              const std::string& name) const override;
    Result<Attributes> xattrs(const CollectionId& collection,
                              const ObjectId& object) const override;
    Result<OmapPage> omap(const CollectionId& collection, const ObjectId& object,
                          const std::string& from, const std::string& until,
                          size_t limit) const override;
    Result<Attributes> omap_values(const CollectionId& collection, const ObjectId& object,
                                   const std::vector<std::string>& keys) const override;
    Result<ObjectPage> list(const CollectionId& collection, const std::optional<ObjectId>& after,
                            size_t limit) const override;
    Result<std::vector<CollectionId>> collections() const override;
    Result<StoreSpace> space() const override;

    /// Transactions that are visible and not yet safe.
    size_t pending() const;
    /// The disk has synced the `count` oldest of them (a disk that takes its time syncs what was
    /// there when it began): their tokens are reported in order.
    void sync(size_t count = SIZE_MAX);
    /// The next sync fails; what it was to make safe may or may not be found after a restart.
    void fail_next_sync();
    /// The power fails and the OSD starts again: the dice keep some of the oldest pending
    /// transactions, `at_most` so many, which are then safe; no token that is open is ever
    /// reported. Also ends the refusals after a failed sync, since the process starts anew.
    CrashReport crash(Random& random, size_t at_most = SIZE_MAX);
    /// A smaller disk than what is on it is full, and keeps it.
    void set_capacity(uint64_t bytes);

    /// One bit of what is stored changes, so that the next read of it says so. Only the object's
    /// own copy: a clone of it stays whole. Error: Code::not_found when there is nothing to damage.
    Result<void> damage(const Damage& what, Random& random);
    /// The same anywhere; nothing when the store holds no data and no attribute.
    std::optional<Damage> rot(Random& random);

    /// Bytes on the simulated disk: whole blocks, names, keys and values, 512 for each object and
    /// collection. Clones count in full.
    uint64_t used_bytes() const;
    /// Bytes of this process's memory that a collection takes, its objects and the allocator's
    /// rounding included; blocks shared with clones count for each. 0 when it is not there.
    size_t memory_bytes(const CollectionId& collection) const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

} // namespace cloudlet::rados
