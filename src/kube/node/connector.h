#pragma once
// The node's side of `kubectl logs` and `kubectl exec`.

#include <functional>
#include <map>
#include <mutex>
#include <vector>

#include "agent_context.h"
#include "cloudlet/kube/node_connector.h"
#include "log_stream.h"
#include "pod_worker.h"

namespace cloudlet::kube::node {

class Connector final : public NodeConnector {
public:
    using FindWorker = std::function<std::shared_ptr<PodWorker>(const std::string& uid)>;
    Connector(AgentContext& context, FindWorker find) : context_(context), find_(std::move(find)) {}

    void logs(const ContainerTarget& target, const LogOptions& options,
              std::shared_ptr<LogSink> sink) override;
    void exec(const ContainerTarget& target, const ExecOptions& options,
              std::shared_ptr<ExecStreams> streams) override;
    /// A container of this pod began or ended: who follows its log looks again.
    void pod_changed(const std::string& uid);

private:
    Result<int> choose_attempt(const ContainerTarget& target, bool previous) const;

    AgentContext& context_;
    FindWorker find_;
    std::mutex mutex_;
    std::multimap<std::string, std::shared_ptr<LogStream>> followers_; // by pod uid
};

} // namespace cloudlet::kube::node
