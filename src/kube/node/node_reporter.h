#pragma once
// Registers the Node, renews its Lease, and refreshes its status: one thread that mostly sleeps.

#include <condition_variable>
#include <mutex>
#include <thread>

#include "cloudlet/api/client.h"
#include "node_object.h"

namespace cloudlet::kube::node {

class NodeReporter {
public:
    NodeReporter(const NodeAgentOptions& options, api::Client& client, image::ImageStore& images);
    ~NodeReporter();

    /// Writes the Node (condition Ready) and its Lease, then starts the thread.
    Result<> start();
    void stop();
    /// The images or something else changed: write the status soon.
    void touch();
    const MachineFacts& machine() const { return facts_; }

private:
    Result<> write_node();
    Result<> write_lease();
    void run();

    NodeAgentOptions options_;
    api::Client& client_;
    image::ImageStore& images_;
    MachineFacts facts_;
    NodePressure pressure_;
    codec::Json status_; // as last written
    std::mutex mutex_;
    std::condition_variable wake_;
    bool stopping_ = false, touched_ = false;
    std::thread thread_;
};

} // namespace cloudlet::kube::node
