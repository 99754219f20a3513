#pragma once
// What the clients of a simulation ask for: random requests to few objects, so that they meet, each
// client with a few in flight. Everything asked and answered is in the history; what a client had
// asked before its process ended stays without an answer, and may have happened or not.
// One thread.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "cloudlet/base/random.h"
#include "sim/cluster.h"
#include "sim/history.h"
#include "sim/oracles.h"
#include "sim/random_requests.h"

namespace cloudlet::rados::sim {

class Workload {
public:
    Workload(const ClusterPlan& plan, Random random);
    ~Workload();

    ClientListener& listener(int32_t client);
    void client_ended(int32_t client);

    /// Clients begin to ask, and go on until the plan's operations are done.
    void begin(Cluster& cluster);
    /// Event::work: a client may ask for something.
    void go_on(Cluster& cluster, NodeId node);
    /// All clients ask several times within moments, for few objects: when something happens.
    void burst(Cluster& cluster);
    /// One request of a burst.
    void ask_once(Cluster& cluster, NodeId node);
    /// A request to one object of the first pool, as the number of an Event::work; these are above
    /// those of other work.
    enum class Errand : uint8_t { read, append };
    static uint32_t errand(Errand what, uint32_t object) {
        return 2 + 2 * object + static_cast<uint32_t>(what);
    }
    static constexpr PoolId first_pool = 1;
    void run_errand(Cluster& cluster, NodeId node, uint32_t number);
    /// Asks for all of every object, once.
    void read_everything(Cluster& cluster);

    size_t operations() const { return history_.calls().size(); }
    bool is_done() const { return operations() >= wanted_; }
    /// Nothing is without an answer but what was asked by processes that ended.
    bool all_answered() const;
    std::optional<Violation> must_be_answered(Cluster& cluster) const;
    /// The answers are those of objects that change one request at a time.
    std::optional<Violation> must_be_linearizable();
    /// Of must_be_linearizable(): all objects that were judged, and those left undecided.
    size_t judged() const { return judged_; }
    size_t undecided() const { return undecided_; }
    const History& history() const { return history_; }

private:
    class Ear;
    struct Client {
        std::unique_ptr<Ear> ear;
        std::map<uint64_t, size_t> open = {}; // number -> call
        size_t most_in_flight = 1;
        RandomRequests requests;
        std::map<std::string, uint64_t> seen = {}; // object -> its user version, as told last
    };

    void ask(Cluster& cluster, size_t client, ObjectRequest request);
    void answered(size_t client, uint64_t number, const message::ClientReply& reply);
    ObjectRequest something(Client& client, size_t objects);

    Random random_;
    std::vector<std::string> objects_;
    std::vector<PoolId> pools_;
    size_t wanted_, bursts_left_ = 30;
    Duration pace_; // of one client, on average
    Engine* engine_ = nullptr;
    std::vector<Client> clients_;
    History history_;
    size_t judged_ = 0, undecided_ = 0;
};

} // namespace cloudlet::rados::sim
