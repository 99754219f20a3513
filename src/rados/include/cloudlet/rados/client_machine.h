#pragma once
// A storage client: it computes where an object is, sends the request there, and sends it again
// when the PG begins a new interval or the OSD lost its memory; never because time has passed, for
// the first one may still be carried out. A request keeps its identity, so that it happens once.
//
// While the map says pause or full, requests that it concerns are held back, and sent when it ends;
// but for those that would rather be refused (full_try) or are to be made all the same
// (full_force). A client without a map, or whose object has no primary, waits for a map. Requests
// for one object are sent in order and, as their OSD carries them out in order, are answered in
// order.

#include <compare>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cloudlet/rados/machine.h"
#include "cloudlet/rados/map_follower.h"
#include "cloudlet/rados/message.h"

namespace cloudlet::rados {

class ClientListener {
public:
    virtual ~ClientListener() = default;
    /// The request with this number has its answer; each is called once, never from within
    /// submit(). It may submit more.
    virtual void done(uint64_t number, const message::ClientReply& reply) = 0;
};

struct ObjectRequest {
    PoolId pool = 0;
    std::string name = {}, locator_key = {}, name_space = {};
    ObjectOps ops = {};
    uint8_t flags = 0; // message::ClientOp::Flag
};

struct ClientOptions {
    std::vector<int32_t> monitors = {0};
    size_t most_in_flight = 1024;              // objecter_inflight_ops
    uint64_t most_bytes = uint64_t{100} << 20; // objecter_inflight_op_bytes
    Duration first_map_within = std::chrono::seconds(5);
    Duration maps_within = std::chrono::seconds(30); // while requests are pending
};

/// While requests are pending, a monitor is asked for the next map, whenever one has come; else the
/// map grows old until it is needed. Time only ever moves that question to another monitor. What is
/// beyond the limits waits in order of submission; what is held back counts as in flight, as in
/// Ceph.
class ClientMachine final : public Machine {
public:
    /// The world, the cache and the listener must outlive it. `incarnation` is above that of every
    /// earlier client of this number, so that request identities never come twice.
    ClientMachine(int32_t number, uint32_t incarnation, World& world, MapCache& maps,
                  ClientListener& listener, ClientOptions options = {});

    /// Subscribes to the maps. Call it once.
    void start();
    /// The request's number, from 1. It is answered with -EINVAL when the name is empty, -ENOENT
    /// when the newest map that is known has no such pool, else with what the OSD says.
    uint64_t submit(ObjectRequest request);
    void receive(const Entity& from, const MessagePtr& message) override;
    void reset(const Entity& peer) override;
    void wake() override;

    /// Not answered yet; of these, those within the limits.
    size_t pending() const { return requests_.size(); }
    size_t in_flight() const { return requests_.size() - queue_.size(); }
    Epoch epoch() const { return maps_.epoch(); }
    /// A line for each pending request: "17 1/apple pg 1.2f osd.3 e12", "18 1/pear waits".
    std::vector<std::string> describe() const;

private:
    struct ObjectKey {
        PoolId pool = 0;
        std::string name_space, name, locator_key;
        auto operator<=>(const ObjectKey&) const = default;
    };
    /// The requests in flight for one object, in order.
    struct Chain {
        std::set<uint64_t> numbers;
        // Of the pass that goes over the requests in order:
        bool blocked = false; // one had to wait, so those behind it wait, too
        bool resent = false;  // one was sent, so those behind it have to be sent behind it
    };
    using Chains = std::map<ObjectKey, Chain>;
    using ViewPtr = std::shared_ptr<const PgView>;
    struct Request {
        message::ClientOp op;
        ObjectKey key;
        uint64_t bytes = 0;
        Chains::iterator chain = {};
        bool due = true;      // to be sent (again) when nothing holds it
        int32_t osd = no_osd; // whose answer counts
        ViewPtr view = {};    // of its PG when it was sent last
        uint32_t sends = 0;   // so far; the answer to the newest counts
    };
    using Requests = std::map<uint64_t, Request>;

    void ask_monitor();
    void ask_next_monitor();
    void ask_whole_map();
    std::optional<MonotonicTime> deadline() const;
    void watch_monitor();

    void take_maps(const Entity& from, const message::Maps& maps);
    void go_through(const MapEpoch& epoch, bool leap);
    void take_reply(const Entity& from, const message::ClientReply& reply);

    bool fits(const Request& request) const;
    void admit();
    void finish(Requests::iterator request, message::ClientReply reply);
    void finish_those_without_pool();
    void settle();

    bool is_paused(const MapEpoch& epoch, const Request& request) const;
    PgId pg_of(const MapEpoch& epoch, const Request& request) const;
    const ViewPtr& view_now(PgId pg);
    void pass_all();
    void pass(Chain& chain);
    void pass(Request& request);
    void send(Request& request, ViewPtr view);

    int32_t number_;
    uint32_t incarnation_;
    World& world_;
    ClientListener& listener_;
    ClientOptions options_;
    MapFollower maps_;

    size_t monitor_ = 0;         // index of options_.monitors
    bool waits_for_map_ = false; // a monitor will tell us the next one
    MonotonicTime quiet_since_ = {};
    std::optional<MonotonicTime> wake_wanted_;

    uint64_t last_number_ = 0;
    Requests requests_;                                              // all that are not answered
    std::deque<uint64_t> queue_;                                     // of these, beyond the limits
    Chains chains_;                                                  // of those in flight
    uint64_t bytes_ = 0;                                             // of those in flight
    std::map<PgId, ViewPtr> views_;                                  // by the newest map
    std::deque<std::pair<uint64_t, message::ClientReply>> finished_; // not told yet
};

} // namespace cloudlet::rados
