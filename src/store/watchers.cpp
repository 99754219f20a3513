#include "watchers.h"

#include <algorithm>

namespace cloudlet::store {

namespace {

constexpr size_t kReplayStep = 512; // rows

class WatchHandle final : public Watch {
public:
    explicit WatchHandle(std::shared_ptr<Watcher> watcher) : watcher_(std::move(watcher)) {}
    ~WatchHandle() override { watcher_->close(); }
    WatchHandle(const WatchHandle&) = delete;
    WatchHandle& operator=(const WatchHandle&) = delete;

private:
    std::shared_ptr<Watcher> watcher_;
};

bool watched(const Watcher& watcher, const Event& event) {
    return event.current.key.starts_with(watcher.prefix);
}

void deliver_matching(Watcher& watcher, const WatchBatch& batch) {
    auto matches = [&](const Event& event) { return watched(watcher, event); };
    if (std::all_of(batch.events.begin(), batch.events.end(), matches))
        return watcher.deliver(batch);
    WatchBatch some{batch.revision, {}};
    std::copy_if(batch.events.begin(), batch.events.end(), std::back_inserter(some.events),
                 matches);
    if (!some.events.empty()) watcher.deliver(some);
}

std::vector<WatchBatch> batches_of(const std::vector<Change>& changes) {
    std::vector<WatchBatch> batches;
    for (const Change& change : changes) {
        const int64_t revision = change.row.version.revision();
        if (batches.empty() || batches.back().revision != revision)
            batches.push_back({revision, {}});
        batches.back().events.push_back(to_event(change));
    }
    return batches;
}

} // namespace

Watcher::Watcher(std::string its_prefix, int64_t next, Store::WatchCallback callback)
    : prefix(std::move(its_prefix)), next_revision(next), callback_(std::move(callback)) {}

void Watcher::deliver(const WatchBatch& batch) {
    std::lock_guard lock(mutex_);
    if (closed_) return;
    running_ = true;
    callback_(batch);
    running_ = false;
}

void Watcher::close() {
    Store::WatchCallback callback;
    std::lock_guard lock(mutex_);
    closed_ = true;
    if (!running_) callback.swap(callback_); // a callback that closes its own watch is still in use
}

bool Watcher::closed() {
    std::lock_guard lock(mutex_);
    return closed_;
}

std::unique_ptr<Watch> Watchers::add(std::string prefix, int64_t next,
                                     Store::WatchCallback callback) {
    auto watcher = std::make_shared<Watcher>(std::move(prefix), next, std::move(callback));
    watchers_.push_back(watcher);
    return std::make_unique<WatchHandle>(std::move(watcher));
}

void Watchers::forget_closed() {
    std::erase_if(watchers_,
                  [](const std::shared_ptr<Watcher>& watcher) { return watcher->closed(); });
}

void Watchers::publish(const std::vector<Change>& changes, int64_t before, int64_t after) {
    forget_closed();
    const std::vector<WatchBatch> batches =
        watchers_.empty() ? std::vector<WatchBatch>{} : batches_of(changes);
    // A callback may add watches: they are behind, and replay from the table.
    const size_t count = watchers_.size();
    for (size_t i = 0; i < count; ++i) {
        const std::shared_ptr<Watcher> watcher = watchers_[i];
        if (watcher->next_revision <= before) continue;
        for (const WatchBatch& batch : batches)
            if (batch.revision >= watcher->next_revision) deliver_matching(*watcher, batch);
        watcher->next_revision = std::max(watcher->next_revision, after + 1);
    }
}

bool Watchers::replaying(int64_t revision) const {
    return std::any_of(watchers_.begin(), watchers_.end(), [&](const auto& watcher) {
        return watcher->next_revision <= revision && !watcher->closed();
    });
}

Result<> Watchers::replay(Database& database, const Index& index, int64_t revision) {
    forget_closed();
    const size_t count = watchers_.size();
    for (size_t i = 0; i < count; ++i) {
        const std::shared_ptr<Watcher> watcher = watchers_[i];
        if (watcher->next_revision <= revision)
            TRY(replay_one(*watcher, database, index, revision));
    }
    return {};
}

Result<> Watchers::replay_one(Watcher& watcher, Database& database, const Index& index,
                              int64_t revision) {
    std::vector<Change> changes;
    size_t rows = 0;
    int64_t last = 0;
    int64_t reached = revision;
    TRY(database.scan(first_id_of(watcher.next_revision), [&](Row&& row) {
        const int64_t at = row.version.revision();
        if (rows >= kReplayStep && at != last) {
            reached = at - 1; // whole revisions only
            return false;
        }
        rows++;
        last = at;
        if (row.key.starts_with(watcher.prefix)) changes.push_back({std::move(row), std::nullopt});
        return true;
    }));
    for (Change& change : changes) {
        const auto previous = index.replaced_by(change.row.key, change.row.version.id);
        if (!previous) continue;
        auto row = database.fetch(*previous);
        if (row)
            change.previous = std::move(row->version);
        else if (row.error().code != Code::expired)
            return tl::unexpected(row.error());
    }
    for (const WatchBatch& batch : batches_of(changes)) watcher.deliver(batch);
    watcher.next_revision = reached + 1;
    return {};
}

} // namespace cloudlet::store
