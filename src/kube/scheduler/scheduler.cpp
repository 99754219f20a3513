#include "cloudlet/kube/scheduler/scheduler.h"

#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <thread>

#include <pthread.h>

#include "cloudlet/api/event_recorder.h"
#include "cloudlet/api/informer.h"
#include "cloudlet/base/clock.h"
#include "cloudlet/base/log.h"
#include "cloudlet/io/worker_pool.h"
#include "decision.h"

namespace cloudlet::kube::scheduler {
namespace {

using codec::Json;

bool has_ended(const api::Object& pod) {
    auto phase = pod.status()["phase"].as_string();
    return phase == "Succeeded" || phase == "Failed";
}

Json condition(std::string_view reason, const std::string& message) {
    return Json::object({{"type", "PodScheduled"},
                         {"status", "False"},
                         {"reason", reason},
                         {"message", message},
                         {"lastProbeTime", nullptr},
                         {"lastTransitionTime", format_time(system_clock().wall())}});
}

} // namespace

struct Scheduler::Impl {
    SchedulerOptions options;
    api::InformerSet& informers;
    api::Informer& pods;
    api::Informer& nodes;

    std::mutex mutex; // guards all below; held for a decision, never for a write
    std::condition_variable wake;
    NodeCache cache;
    std::deque<api::ObjectKey> waiting;             // to be decided, oldest first
    std::set<api::ObjectKey> queued;                // the keys of `waiting`
    std::map<api::ObjectKey, std::string> unplaced; // could not be placed: the message last written
    std::map<api::ObjectKey, std::string>
        binding; // decided: the uid whose binding is being written
    bool stopping = false;

    std::unique_ptr<api::EventRecorder> recorder;
    std::unique_ptr<io::WorkerPool> binders;
    std::thread thread;

    Impl(SchedulerOptions o, api::InformerSet& set)
        : options(std::move(o)), informers(set), pods(set.of(api::resources::pods)),
          nodes(set.of(api::resources::nodes)) {}

    bool is_ours_to_place(const api::Object& pod) const {
        return pod && pod.spec()["nodeName"].as_string().empty() && !pod.is_being_deleted() &&
               !has_ended(pod) && pod.spec()["schedulingGates"].empty() &&
               pod.spec()["schedulerName"].as_string("default-scheduler") == options.name;
    }

    void enqueue_locked(const api::ObjectKey& key) {
        if (queued.insert(key).second) waiting.push_back(key);
        wake.notify_one();
    }

    /// Something that may make room changed: everybody who found none is tried again.
    void retry_unplaced_locked() {
        for (const auto& [key, message] : unplaced) enqueue_locked(key);
    }

    void on_pod(const api::Object& before, const api::Object& after) {
        std::lock_guard lock(mutex);
        const auto& pod = after ? after : before;
        if (!after || has_ended(after)) {
            cache.remove_pod(std::string(pod.uid()));
            unplaced.erase(pod.key());
            retry_unplaced_locked();
        } else if (!after.spec()["nodeName"].as_string().empty()) {
            if (before && !before.spec()["nodeName"].as_string().empty()) return;
            unplaced.erase(pod.key());
            if (auto needs = needs_of(after))
                cache.add_pod(std::string(after.uid()),
                              std::string(after.spec()["nodeName"].as_string()), *needs);
        } else if (is_ours_to_place(after)) {
            if (!before || before.spec() != after.spec() || before.uid() != after.uid())
                enqueue_locked(after.key());
        }
    }

    void on_node(const api::Object& before, const api::Object& after) {
        std::lock_guard lock(mutex);
        if (!after)
            cache.remove_node(std::string(before.name()));
        else
            cache.set_node(after);
        bool only_heartbeat = before && after && before.spec() == after.spec() &&
                              before.status()["allocatable"] == after.status()["allocatable"] &&
                              before.metadata()["labels"] == after.metadata()["labels"];
        if (!only_heartbeat) retry_unplaced_locked();
    }

    void decide_forever() {
        pthread_setname_np(pthread_self(), "scheduler");
        std::unique_lock lock(mutex);
        for (;;) {
            wake.wait(lock, [&] { return stopping || !waiting.empty(); });
            if (stopping) return;
            api::ObjectKey key = std::move(waiting.front());
            waiting.pop_front();
            queued.erase(key);
            decide_one_locked(key);
        }
    }

    void decide_one_locked(const api::ObjectKey& key) {
        auto pod = pods.get(key);
        std::string uid(pod.uid());
        auto under_way = binding.find(key);
        if (!is_ours_to_place(pod) || (under_way != binding.end() && under_way->second == uid))
            return;
        auto needs = needs_of(pod);
        if (!needs) return refuse_locked(key, uid, needs.error().to_string());
        auto decision = decide(*needs, cache);
        if (!decision.node) return refuse_locked(key, uid, decision.message());
        unplaced.erase(key);
        binding[key] = uid;
        cache.add_pod(uid, *decision.node, *needs); // assumed, until the watch confirms it
        if (!binders->submit([this, key, uid, node = *decision.node] { bind(key, uid, node); })) {
            cache.remove_pod(uid);
            binding.erase(key);
            enqueue_locked(key);
        }
    }

    void bind(const api::ObjectKey& key, const std::string& uid, const std::string& node) {
        auto body = Json::object(
            {{"apiVersion", "v1"},
             {"kind", "Binding"},
             {"metadata", Json::object({{"name", key.name}, {"namespace", key.ns}, {"uid", uid}})},
             {"target", Json::object({{"apiVersion", "v1"}, {"kind", "Node"}, {"name", node}})}});
        auto bound = informers.client().post(api::resources::pods, key, "binding", std::move(body));
        std::unique_lock lock(mutex);
        binding.erase(key);
        if (bound) return;
        cache.remove_pod(uid);
        if (bound.error().code == Code::not_found || stopping) return; // the pod is gone
        log_warning("scheduler", "bind {} to {}: {}", key.to_string(), node,
                    bound.error().to_string());
        enqueue_locked(key);
    }

    void refuse_locked(const api::ObjectKey& key, const std::string& uid,
                       const std::string& message) {
        auto [known, fresh] = unplaced.try_emplace(key);
        if (!fresh && known->second == message) return; // said already
        known->second = message;
        bool taken = binders->submit([this, key, uid, message] { say_why(key, uid, message); });
        if (!taken) known->second.clear(); // said at the next try
    }

    void say_why(const api::ObjectKey& key, const std::string& uid, const std::string& message) {
        auto patch = Json::object(
            {{"metadata", Json::object({{"uid", uid}})},
             {"status",
              Json::object({{"conditions", Json::array({condition("Unschedulable", message)})}})}});
        auto& client = informers.client();
        auto written =
            client.patch(api::resources::pods, key, api::PatchType::strategic, patch, "status");
        if (!written) return; // gone, or another pod of that name: its own event brings it back
        recorder->record(*written, api::EventRecorder::Type::warning, "FailedScheduling", message);
    }
};

Scheduler::Scheduler(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Scheduler::~Scheduler() { stop(); }

Result<std::unique_ptr<Scheduler>> Scheduler::create(SchedulerOptions options,
                                                     api::InformerSet& informers) {
    if (options.binders == 0) return fail(Code::invalid, "the scheduler needs at least one binder");
    auto impl = std::make_unique<Impl>(std::move(options), informers);
    return std::unique_ptr<Scheduler>(new Scheduler(std::move(impl)));
}

Result<> Scheduler::start() {
    auto* impl = impl_.get();
    impl->recorder =
        std::make_unique<api::EventRecorder>(impl->informers.client(), impl->options.name);
    impl->binders = std::make_unique<io::WorkerPool>("binder", impl->options.binders, 65536);
    impl->nodes.add_handler([impl](const api::Object& before, const api::Object& after) {
        impl->on_node(before, after);
    });
    impl->pods.add_handler([impl](const api::Object& before, const api::Object& after) {
        impl->on_pod(before, after);
    });
    impl->thread = std::thread([impl] { impl->decide_forever(); });
    return {};
}

void Scheduler::stop() {
    {
        std::lock_guard lock(impl_->mutex);
        impl_->stopping = true;
    }
    impl_->wake.notify_all();
    if (impl_->thread.joinable()) impl_->thread.join();
    if (impl_->binders) impl_->binders->stop();
    if (impl_->recorder) impl_->recorder->stop();
}

} // namespace cloudlet::kube::scheduler
