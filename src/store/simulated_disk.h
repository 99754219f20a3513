#pragma once
// A disk in memory that can lose power at any step, run full, or fail to sync.
//
// It keeps what is durable apart from what is only written. At a power failure each un-synced write
// survives in 512-byte sectors of the seed's choice, un-synced sizes and names survive or not, and
// the order of writes means nothing: what a drive with a volatile cache may do.

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "cloudlet/base/random.h"
#include "cloudlet/store/disk.h"

namespace cloudlet::store {

class SimulatedDisk final : public Disk {
public:
    explicit SimulatedDisk(uint64_t seed) : random_(seed) {}

    Result<std::unique_ptr<DiskFile>> open(const std::string& path, bool exclusive) override;
    Result<> remove(const std::string& path) override;
    Result<bool> exists(const std::string& path) override;
    Result<> sync_folder_of(const std::string& path) override;

    /// Writes, syncs, truncations and name changes so far: the points at which it can fail.
    uint64_t steps() const;
    /// Loses power just before step number `step`: that and every later step fails.
    void lose_power_at(uint64_t step);
    /// Turns it on again: un-synced data is now durable in part. Open files of before stay dead.
    void restore_power();
    /// The process dies instead and is started again: what was written stays, still not durable.
    void restart_process();

    void set_capacity(uint64_t bytes); // of all files together
    /// The next sync fails, and the data it should have made durable is lost at a power failure.
    void fail_next_sync();

private:
    friend class SimulatedFile;
    struct Pending {
        uint64_t offset;
        std::string bytes;
        std::optional<uint64_t> truncate_to;
    };
    struct File {
        std::string durable;
        std::string current;
        std::vector<Pending> pending;
        bool linked = false; // its name is durable
        bool gone = false;   // removed, but the removal is not durable
    };

    mutable std::mutex mutex_;
    Random random_;
    std::map<std::string, File> files_;
    uint64_t steps_ = 0;
    uint64_t fails_at_ = UINT64_MAX;
    uint64_t boot_ = 0;
    uint64_t capacity_ = UINT64_MAX;
    bool sync_fails_ = false;

    Result<> step(uint64_t boot);
    void apply_some(File& file);
    Result<> make_durable(File& file);
};

} // namespace cloudlet::store
