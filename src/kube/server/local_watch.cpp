// A watch of a caller in this process: objects instead of bytes.

#include <fmt/format.h>

#include "cloudlet/io/event_loop.h"
#include "watch_hub.h"

namespace cloudlet::kube::server {

namespace {

using OnEvent = std::function<void(const api::WatchEvent&)>;

class LocalWatcher final : public Watcher {
public:
    LocalWatcher(Collection& watched, WatchFilter what, OnEvent on_event)
        : Watcher(watched, std::move(what)), on_event_(std::move(on_event)) {}

    bool deliver(EventType type, ChangeEncoder& encoder) override {
        return call({type, encoder.object(type)});
    }
    void fail(const Failure& failure) override {
        call({EventType::error, api::Object(failure.to_status())});
    }
    void stop() override {}

    void begin(const std::shared_ptr<WatchHub>& hub, const std::shared_ptr<Watcher>& self,
               int64_t revision) {
        seen = revision;
        if (revision == 0) {
            const int64_t now = hub->core().cache.revision();
            Collection::Selection selection;
            selection.ns = filter.ns;
            selection.labels = &filter.labels;
            selection.fields = &filter.fields;
            auto selected = collection.select(selection);
            seen = std::max(now, selected.last_change);
            for (const ObjectPointer& object : selected.objects)
                if (!call({EventType::added, object->object()})) return;
        }
        hub->add(self);
    }
    /// After it returned the callback does not run any more; from within the callback it returns at
    /// once.
    void cancel() {
        std::lock_guard lock(mutex_);
        active_ = false;
    }

private:
    bool call(const api::WatchEvent& event) {
        std::lock_guard lock(mutex_);
        if (active_) on_event_(event);
        return active_;
    }

    std::recursive_mutex mutex_;
    bool active_ = true;
    OnEvent on_event_;
};

class LocalWatch final : public api::Watch {
public:
    LocalWatch(std::shared_ptr<WatchHub> hub, std::shared_ptr<LocalWatcher> watcher)
        : hub_(std::move(hub)), watcher_(std::move(watcher)) {}
    ~LocalWatch() override {
        watcher_->cancel();
        // The hub drops it at the next change, or here.
        hub_->loop().post([hub = hub_, watcher = watcher_] { hub->remove(watcher.get()); });
    }

private:
    std::shared_ptr<WatchHub> hub_;
    std::shared_ptr<LocalWatcher> watcher_;
};

} // namespace

Outcome<std::unique_ptr<api::Watch>>
watch_locally(const std::shared_ptr<WatchHub>& hub, Collection& collection, WatchFilter filter,
              std::string_view resource_version,
              std::function<void(const api::WatchEvent&)> on_event) {
    const int64_t revision = NEED(parse_revision(resource_version));
    if (revision > 0 && !collection.changes_after(revision))
        return refuse(expired(fmt::format("too old resource version: {}", revision)));
    auto watcher =
        std::make_shared<LocalWatcher>(collection, std::move(filter), std::move(on_event));
    hub->core().options.loop->post(
        [hub, watcher, revision] { watcher->begin(hub, watcher, revision); });
    return std::unique_ptr<api::Watch>(std::make_unique<LocalWatch>(hub, std::move(watcher)));
}

} // namespace cloudlet::kube::server
