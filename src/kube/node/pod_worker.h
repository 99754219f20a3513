#pragma once
// The shell around one pod's core: feeds it with facts, carries its actions out on the pool, writes
// the pod's status. Shared by the agent and by actions under way; thread-safe.

#include <atomic>
#include <map>
#include <mutex>
#include <optional>
#include <set>

#include "agent_context.h"
#include "cloudlet/net/probe.h"
#include "pod_core.h"

namespace cloudlet::kube::node {

class PodWorker : public std::enable_shared_from_this<PodWorker> {
public:
    PodWorker(std::shared_ptr<AgentContext> context, api::Object pod);

    /// Looks for what the engine has of this pod already, then begins to work.
    void begin(bool gone);
    void update(const api::Object& pod); // the object changed
    void gone();                         // the object was removed from the API
    void exited(const engine::ContainerInfo& info);
    void routes_changed();
    void sources_changed(); // a ConfigMap or Secret it refers to
    void refresh_volumes();
    /// After it nothing new is begun; what is under way ends by itself.
    void stop();

    bool refers_to(const std::string& reference) const; // "configmap/name", "secret/name"
    const std::string& uid() const { return uid_; }
    api::Object pod() const;
    /// The engine's id of the container's running attempt, or nothing.
    std::optional<std::string> running_id(const std::string& container) const;
    bool is_running(const std::string& container, int attempt) const;
    std::string waiting_reason(const std::string& container) const;

private:
    void poke();
    void run();
    void arm_timer(std::optional<MonotonicTime> wake);
    void dispatch(const Action& action);
    void perform(const Action& action);
    void complete(Completion completion);       // on the pool: goes on at once
    void complete_later(Completion completion); // from the loop
    void observe(const std::string& container, const Attempt& attempt);
    void write_status(bool final);
    void record(bool warning, const std::string& reason, const std::string& message,
                const std::string& container = {});
    PodFacts facts() const;

    void make_sandbox(const Action& action);
    void finish(const Action& action);
    Result<> finish_steps();
    void signal(const Action& action);
    void drop_old_logs(const Action& action);

    // Starting (pod_start.cpp).
    void start(const Action& action);
    void pull_and_start(const Action& action);
    void start_with(const Action& action, const image::Image& image);
    Result<engine::ContainerConfig> container_config(const Action& action,
                                                     const image::Image& image);
    Attempt attempt_of(const engine::ContainerInfo& info) const;
    std::string termination_message(const engine::ContainerInfo& info) const;
    void start_failed(const Action& action, const std::string& reason, const Error& error,
                      bool backs_off = false);

    // Probes and hooks (pod_hooks.cpp).
    using HookDone = std::function<void(Result<>)>;
    void probe(const Action& action);
    void pre_stop(const Action& action);
    void post_start(const Action& action, const std::string& id, HookDone done);
    /// Runs exec, httpGet, tcpSocket or sleep of a handler; `done` runs once, on the loop thread.
    void run_handler(const codec::Json& handler, const std::string& container,
                     const std::string& id, Duration deadline, HookDone done);
    void http_get(const codec::Json& spec, const std::string& container, Duration deadline,
                  HookDone done);

    const std::shared_ptr<AgentContext>
        held_context_; // callbacks of the loop may outlive the agent
    AgentContext& context_;
    const std::string uid_, ns_, name_;

    mutable std::mutex mutex_; // guards the core and the object
    api::Object pod_;
    PodCore core_;
    std::set<std::string> references_;
    bool object_gone_ = false, stopped_ = false;
    std::optional<MonotonicTime> armed_;
    std::optional<MonotonicTime> hold_status_; // while starting: write at the latest then

    std::mutex status_mutex_; // one status write at a time
    codec::Json written_status_;
    std::mutex volumes_mutex_; // one change of the volumes at a time

    std::atomic<bool> scheduled_{false};
    std::map<uint64_t, std::unique_ptr<net::ProbeHandle>> handles_; // loop thread
    uint64_t next_handle_ = 0;                                      // loop thread
};

/// The references of a pod to ConfigMaps and Secrets: "configmap/name", "secret/name".
std::set<std::string> references_of(const codec::Json& pod_spec);

} // namespace cloudlet::kube::node
