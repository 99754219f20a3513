#include "simulated_disk.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace cloudlet::store {

namespace {

constexpr size_t kSector = 512;

void overwrite(std::string& file, uint64_t offset, std::string_view bytes) {
    if (file.size() < offset + bytes.size()) file.resize(offset + bytes.size(), '\0');
    std::memcpy(file.data() + offset, bytes.data(), bytes.size());
}

} // namespace

class SimulatedFile final : public DiskFile {
public:
    SimulatedFile(SimulatedDisk& disk, std::string path)
        : disk_(disk), path_(std::move(path)), boot_(disk.boot_) {}

    Result<size_t> read(uint64_t offset, char* out, size_t length) override {
        std::lock_guard lock(disk_.mutex_);
        if (boot_ != disk_.boot_) return fail_errno("read " + path_, EIO);
        const std::string& bytes = file().current;
        if (offset >= bytes.size()) return size_t{0};
        const size_t got = std::min(length, bytes.size() - offset);
        std::memcpy(out, bytes.data() + offset, got);
        return got;
    }

    Result<> write(uint64_t offset, std::string_view bytes) override {
        std::lock_guard lock(disk_.mutex_);
        TRY(disk_.step(boot_));
        uint64_t used = 0;
        for (const auto& [name, other] : disk_.files_)
            used += name == path_ ? 0 : other.current.size();
        if (used + std::max<uint64_t>(file().current.size(), offset + bytes.size()) >
            disk_.capacity_)
            return fail_errno("write " + path_, ENOSPC);
        overwrite(file().current, offset, bytes);
        file().pending.push_back({offset, std::string(bytes), std::nullopt});
        return {};
    }

    Result<> truncate(uint64_t size) override {
        std::lock_guard lock(disk_.mutex_);
        TRY(disk_.step(boot_));
        file().current.resize(size, '\0');
        file().pending.push_back({0, {}, size});
        return {};
    }

    Result<> sync() override {
        std::lock_guard lock(disk_.mutex_);
        TRY(disk_.step(boot_));
        return disk_.make_durable(file());
    }

    Result<uint64_t> size() override {
        std::lock_guard lock(disk_.mutex_);
        return static_cast<uint64_t>(file().current.size());
    }

private:
    SimulatedDisk& disk_;
    std::string path_;
    uint64_t boot_;

    SimulatedDisk::File& file() { return disk_.files_[path_]; }
};

Result<> SimulatedDisk::step(uint64_t boot) {
    if (boot != boot_ || steps_ >= fails_at_)
        return fail_errno("the simulated disk has no power", EIO);
    steps_++;
    return {};
}

Result<> SimulatedDisk::make_durable(File& file) {
    if (std::exchange(sync_fails_, false)) {
        file.pending.clear(); // as Linux does: the pages are marked clean, and are not on the disk
        return fail_errno("sync", EIO);
    }
    file.durable = file.current;
    file.pending.clear();
    return {};
}

Result<std::unique_ptr<DiskFile>> SimulatedDisk::open(const std::string& path, bool) {
    std::lock_guard lock(mutex_);
    auto it = files_.find(path);
    if (it == files_.end() || it->second.gone) {
        TRY(step(boot_));
        files_[path] = File{};
    }
    return std::make_unique<SimulatedFile>(*this, path);
}

Result<> SimulatedDisk::remove(const std::string& path) {
    std::lock_guard lock(mutex_);
    auto it = files_.find(path);
    if (it == files_.end() || it->second.gone) return fail_errno("remove " + path, ENOENT);
    TRY(step(boot_));
    it->second.gone = true;
    return {};
}

Result<bool> SimulatedDisk::exists(const std::string& path) {
    std::lock_guard lock(mutex_);
    auto it = files_.find(path);
    return it != files_.end() && !it->second.gone;
}

Result<> SimulatedDisk::sync_folder_of(const std::string&) {
    std::lock_guard lock(mutex_);
    TRY(step(boot_));
    std::erase_if(files_, [](const auto& entry) { return entry.second.gone; });
    for (auto& [path, file] : files_) file.linked = true;
    return {};
}

uint64_t SimulatedDisk::steps() const {
    std::lock_guard lock(mutex_);
    return steps_;
}

void SimulatedDisk::lose_power_at(uint64_t at) {
    std::lock_guard lock(mutex_);
    fails_at_ = at;
}

void SimulatedDisk::set_capacity(uint64_t bytes) {
    std::lock_guard lock(mutex_);
    capacity_ = bytes;
}

void SimulatedDisk::fail_next_sync() {
    std::lock_guard lock(mutex_);
    sync_fails_ = true;
}

/// Lets a random part of what was not synced reach the durable bytes. Some runs keep nearly all or
/// nearly nothing, because those hide different mistakes than an even mixture does.
void SimulatedDisk::apply_some(File& file) {
    const double share = std::array{0.0, 0.1, 0.5, 0.9, 1.0}[random_.below(5)];
    for (const Pending& write : file.pending) {
        if (write.truncate_to) {
            if (random_.chance(share)) file.durable.resize(*write.truncate_to, '\0');
            continue;
        }
        for (uint64_t at = write.offset; at < write.offset + write.bytes.size();) {
            const uint64_t end =
                std::min((at / kSector + 1) * kSector, write.offset + write.bytes.size());
            if (random_.chance(share))
                overwrite(file.durable, at,
                          std::string_view(write.bytes).substr(at - write.offset, end - at));
            at = end;
        }
    }
    file.pending.clear();
    file.current = file.durable;
}

void SimulatedDisk::restart_process() {
    std::lock_guard lock(mutex_);
    boot_++;
    fails_at_ = UINT64_MAX;
}

void SimulatedDisk::restore_power() {
    std::lock_guard lock(mutex_);
    boot_++;
    fails_at_ = UINT64_MAX;
    for (auto it = files_.begin(); it != files_.end();) {
        File& file = it->second;
        const bool lost = file.gone ? (!file.linked || random_.chance(0.5))
                                    : (!file.linked && random_.chance(0.5));
        if (lost) {
            it = files_.erase(it);
            continue;
        }
        apply_some(file);
        file.gone = false;
        file.linked = true;
        ++it;
    }
}

} // namespace cloudlet::store
