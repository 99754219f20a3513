#pragma once
// The disk of a simulated OSD: it outlives the process, syncs when it gets round to it, and has
// the faults of disks.
//
// A sync takes with it what was submitted when it began. What the process submits after its gate
// shut is visible to it (it must not notice that it is dead) and lost in the crash that follows.
// Every life of the process attaches itself. One thread; belongs to the simulation.

#include <cstdint>
#include <optional>

#include "cloudlet/base/clock.h"
#include "cloudlet/base/random.h"
#include "cloudlet/rados/memory_store.h"
#include "sim/output_gate.h"

namespace cloudlet::rados::sim {

class SimulatedDisk final : public ObjectStore, private StoreListener {
public:
    /// The gate is that of the OSD's process, and must outlive the disk.
    SimulatedDisk(OutputGate& gate, Random random);

    void attach(StoreListener& machine) { machine_ = &machine; }
    void detach() { machine_ = nullptr; }

    /// When a sync should begin, how long it will take; nothing while one runs or none is needed.
    std::optional<Duration> begin_sync();
    /// Reports to the machine what the sync that began has made safe.
    void end_sync();
    /// The process dies, or the power fails: what is not synced may be lost.
    CrashReport crash();

    void set_slowest(Duration most) { slowest_ = most; }
    void fail_next_sync() { store_.fail_next_sync(); }
    void set_capacity(uint64_t bytes) { store_.set_capacity(bytes); }
    MemoryStore& contents() { return store_; }
    const MemoryStore& contents() const { return store_; }

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

    static constexpr uint64_t ample = uint64_t{1} << 30; // bytes
    static constexpr Duration usual_slowest = std::chrono::milliseconds(5);

private:
    void committed(uint64_t token) override;
    void failed(const Error& error) override;

    MemoryStore store_;
    OutputGate* gate_;
    Random random_;
    StoreListener* machine_ = nullptr;
    Duration slowest_ = usual_slowest;
    std::optional<size_t> syncing_; // how many it takes with it
    size_t after_gate_ = 0;         // submitted when the gate was shut
};

} // namespace cloudlet::rados::sim
