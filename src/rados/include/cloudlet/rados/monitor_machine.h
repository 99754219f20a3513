#pragma once
// A monitor: it makes map steps of what OSDs and operators say, and hands maps out. It keeps
// nothing: the steps live in the cloud's store, which is linearizable and gives one monitor at a
// time a lease to lead. A monitor that lost its lease without knowing cannot harm: an append names
// the epoch that it follows, and the store refuses one that another was faster with.
//
// Every monitor follows the store's steps and serves maps, of which none is ever wrong, only old.
// What changes something is the leader's. What a leader knows beside the maps (failure reports,
// beacons, PG reports) begins empty with its lease; the OSDs tell it again.
//
// At most one append is under way. What is asked meanwhile waits and goes into the next step, which
// is made of all that is still wanted once the newest map is known: so a step that was refused
// loses nothing but the commands in it, whose senders are told (-EAGAIN).
//
// A boot that is refused (noup) is forgotten: an OSD asks until it is up. The bits osd_nearfull,
// osd_backfillfull and osd_full exclude each other as in Ceph, so who asks whether an OSD may be
// filled asks for the last two.
//
// All epochs since the store's base are kept in memory. The base moves when the store makes a
// checkpoint, which must not pass the creation of a PG that was never reported: what happened to it
// before would be forgotten.

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "cloudlet/rados/health.h"
#include "cloudlet/rados/machine.h"
#include "cloudlet/rados/map_follower.h"
#include "cloudlet/rados/message.h"
#include "cloudlet/rados/osd_liveness.h"

namespace cloudlet::rados {

/// The store, as a monitor uses it. The answer is MonitorMachine::committed(), which every monitor
/// hears for every step, or refused(). It must not come from within append().
class MapStore {
public:
    virtual ~MapStore() = default;
    /// Appends the step if `term` still leads and the newest epoch is step->epoch - 1.
    virtual void append(uint64_t term, MapStep step) = 0;
};

struct MonitorOptions {
    LivenessOptions liveness = {};
    Duration tick = std::chrono::seconds(1);         // how often a leader judges by time alone
    Duration create_retry = std::chrono::seconds(5); // for a PG that its primary does not report
    Duration stale_after = std::chrono::seconds(30); // reports of an earlier interval
    Duration patience = std::chrono::seconds(60);    // mon_pg_stuck_threshold, for peering
    ScrubIntervals scrub = {};                       // as the OSDs have them
};

class MonitorState;

/// One thread. `world`, `store` and `maps` must outlive it.
class MonitorMachine final : public Machine {
public:
    MonitorMachine(int32_t number, World& world, MapStore& store, MapCache& maps,
                   MonitorOptions options = {});
    ~MonitorMachine() override;

    // ---- from the store

    /// What the store holds: call it once, before all else. A base or a step that no map can be
    /// made of ends the process.
    void start(std::shared_ptr<const OsdMap> base, const std::vector<MapStep>& steps);
    /// The next step, whoever made it. A step that is known already is skipped.
    void committed(const MapStep& step);
    /// An append did not happen: another was first, or the term is over.
    void refused(uint64_t term, Epoch epoch);
    /// This monitor leads until then by World::now(); a repeated call renews the lease. A lease
    /// that was seen to end, and one of another term, begin with empty knowledge.
    void lead(uint64_t term, MonotonicTime until);
    /// Another monitor leads; -1: none that is known.
    void follow(int32_t leader);

    // ---- from its peers

    void receive(const Entity& from, const MessagePtr& message) override;
    void reset(const Entity& peer) override;
    void wake() override;

    // ---- for those who look

    bool leads() const;
    /// The newest map; null before start().
    const MapEpochPtr& newest() const;
    /// The newest report of each PG of the newest map, with PgFlag::stale where it is out of date.
    /// Empty unless it leads.
    std::map<PgId, PgReport> reports() const;
    const OsdSpaces& spaces() const;
    /// What is wrong with the cluster. It can be told by a leader only: nothing else hears reports.
    std::vector<HealthCheck> health() const;

private:
    std::unique_ptr<MonitorState> state_;
};

} // namespace cloudlet::rados
