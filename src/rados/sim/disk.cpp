#include "sim/disk.h"

#include "sim/event_queue.h"

namespace cloudlet::rados::sim {

SimulatedDisk::SimulatedDisk(OutputGate& gate, Random random)
    : store_(*this, {ample}), gate_(&gate), random_(random) {}

std::optional<Duration> SimulatedDisk::begin_sync() {
    if (syncing_ || store_.pending() == 0) return std::nullopt;
    syncing_ = store_.pending();
    return random_span(random_, std::chrono::microseconds(100), slowest_);
}

void SimulatedDisk::end_sync() {
    const size_t count = *syncing_;
    syncing_.reset();
    store_.sync(count);
}

CrashReport SimulatedDisk::crash() {
    const size_t at_most = store_.pending() - after_gate_;
    syncing_.reset();
    after_gate_ = 0;
    return store_.crash(random_, at_most);
}

void SimulatedDisk::committed(uint64_t token) {
    if (machine_) machine_->committed(token);
}

void SimulatedDisk::failed(const Error& error) {
    if (machine_) machine_->failed(error);
}

Result<void> SimulatedDisk::submit(const Transaction& transaction, uint64_t token) {
    const bool passes = gate_->pass();
    Result<void> done = store_.submit(transaction, token);
    if (done && !passes) ++after_gate_;
    return done;
}

Result<std::string> SimulatedDisk::read(const CollectionId& collection, const ObjectId& object,
                                        uint64_t offset, uint64_t length) const {
    return store_.read(collection, object, offset, length);
}

Result<ObjectStat> SimulatedDisk::stat(const CollectionId& collection,
                                       const ObjectId& object) const {
    return store_.stat(collection, object);
}

Result<std::string> SimulatedDisk::xattr(const CollectionId& collection, const ObjectId& object,
                                         const std::string& name) const {
    return store_.xattr(collection, object, name);
}

Result<Attributes> SimulatedDisk::xattrs(const CollectionId& collection,
                                         const ObjectId& object) const {
    return store_.xattrs(collection, object);
}

Result<OmapPage> SimulatedDisk::omap(const CollectionId& collection, const ObjectId& object,
                                     const std::string& from, const std::string& until,
                                     size_t limit) const {
    return store_.omap(collection, object, from, until, limit);
}

Result<Attributes> SimulatedDisk::omap_values(const CollectionId& collection,
                                              const ObjectId& object,
                                              const std::vector<std::string>& keys) const {
    return store_.omap_values(collection, object, keys);
}

Result<ObjectPage> SimulatedDisk::list(const CollectionId& collection,
                                       const std::optional<ObjectId>& after, size_t limit) const {
    return store_.list(collection, after, limit);
}

Result<std::vector<CollectionId>> SimulatedDisk::collections() const {
    return store_.collections();
}

Result<StoreSpace> SimulatedDisk::space() const { return store_.space(); }

} // namespace cloudlet::rados::sim
