#pragma once
// A whole storage cluster in one thread: its processes, what they are made of, and what outlives
// them (disks, the cloud's store). It starts processes, ends them, and knows what nobody inside
// knows: the newest map, what lies on every disk, what every PG's primary thinks.
//
// What clients ask, which faults come and what operators want is decided elsewhere: a director is
// called for those events.

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "cloudlet/rados/client_machine.h"
#include "cloudlet/rados/monitor_machine.h"
#include "cloudlet/rados/osd_machine.h"
#include "sim/cloud_store.h"
#include "sim/cluster_plan.h"
#include "sim/disk.h"
#include "sim/engine.h"
#include "sim/flag_judge.h"
#include "sim/operators.h"

namespace cloudlet::rados::sim {

class Director {
public:
    virtual ~Director() = default;
    virtual void direct(const Event& event) = 0;
    /// Who hears the answers of a client, in this life of its process and in the next ones.
    virtual ClientListener& listener(int32_t client) = 0;
    /// A client's process ended: what it had asked for may have happened or not.
    virtual void client_ended(int32_t client) = 0;
};

class Cluster final : public EngineOwner {
public:
    Cluster(uint64_t seed, const ClusterPlan& plan, Director& director, Story& story);
    ~Cluster() override;

    Engine& engine() { return engine_; }
    const ClusterPlan& plan() const { return plan_; }
    CloudStore& store() { return store_; }

    // ---- processes

    NodeId monitor_node(size_t monitor) const { return static_cast<NodeId>(monitor); }
    NodeId osd_node(size_t osd) const { return static_cast<NodeId>(plan_.monitors + osd); }
    NodeId client_node(size_t client) const { return osd_node(plan_.all_osds() + client); }
    NodeId operator_node() const { return client_node(plan_.clients); }

    /// Nothing happens when it lives, or must not live any more.
    void start(NodeId node);
    /// How a process ends: alone, and its host says so to whoever reaches for it; or with all of
    /// its host, and nobody says anything.
    enum class End : uint8_t { alone, with_host };
    /// Ends the process at once and loses what its disk had not synced; it starts again after a
    /// while. The dice say how it ends.
    void crash(NodeId node);
    void crash(NodeId node, End end);
    /// The same without a next life before start().
    void stop(NodeId node);
    void stop(NodeId node, End end);
    /// The OSD is not to be started any more, or is (an OSD that is added).
    void set_wanted(size_t osd, bool wanted) { osds_[osd].wanted = wanted; }
    bool is_wanted(size_t osd) const { return osds_[osd].wanted; }
    /// The disk of an OSD that does not live is replaced by an empty one.
    void replace_disk(size_t osd);

    /// Null while it does not live.
    OsdMachine* osd(size_t osd) { return osds_[osd].machine; }
    ClientMachine* client(size_t client) { return clients_[client]; }
    MonitorMachine* monitor(size_t monitor) { return monitors_[monitor].machine; }
    OperatorMachine& operators() { return *operators_; }
    SimulatedDisk& disk(size_t osd) { return *osds_[osd].disk; }
    Uuid disk_of(size_t osd) const;

    // ---- what only the simulator knows

    /// Of the cloud's store, whoever has heard of it.
    const MapEpochPtr& newest();
    std::vector<PgId> pgs();
    /// An OSD that was marked down on the word of too few; empty when there was none.
    const std::string& injustice() const { return injustice_; }
    /// An OSD that made more PGs whole at once than it has slots; empty when none did.
    const std::string& too_many_at_once() const { return too_many_at_once_; }
    /// What somebody did though a flag forbids it; empty when nobody did.
    const std::string& against_a_flag() const { return flags_.wrong(); }
    /// What the primary by the newest map says; nothing while it does not live or is behind.
    std::optional<PgReport> report(PgId pg);
    /// The same, however far behind it is.
    std::optional<PgReport> last_report(PgId pg);

    void handle(const Event& event) override;
    void acted(NodeId node) override;
    void crashed(NodeId node) override;
    void sent(NodeId from, const Message& message) override;
    void moved(NodeId node, const PgMove& move) override;

private:
    class MonitorStore;
    class MonitorEar;
    struct Monitor {
        std::unique_ptr<MonitorStore> store;
        MonitorMachine* machine = nullptr;
        MonitorEar* ear = nullptr;
    };
    struct Osd {
        std::unique_ptr<SimulatedDisk> disk;
        uint32_t generation = 0; // of the disk
        bool wanted = true;
        OsdMachine* machine = nullptr;
        ScrubCounts scrubs = {}; // up to the last event
        Epoch known = 0;         // behind the last event
        bool begins = false;     // in this event, to make a PG whole
    };

    void start_monitor(size_t monitor);
    void start_osd(size_t osd);
    void start_client(size_t client);
    void tell_monitor(const Event& event);
    const OsdMachine* primary_of(PgId pg);
    void count_busy(int32_t number, Osd& osd);
    End some_end() { return random_.chance(0.5) ? End::alone : End::with_host; }
    bool is_osd(NodeId node) const { return engine_.entity(node).is_osd(); }

    ClusterPlan plan_;
    Director* director_;
    Engine engine_;
    Random random_;
    CloudStore store_;
    MapCache maps_;
    std::deque<MapEpochPtr> epochs_; // up to the newest; who is behind finds them made
    std::string injustice_, too_many_at_once_;
    FlagJudge flags_;
    std::vector<Monitor> monitors_;
    std::vector<Osd> osds_;
    std::vector<ClientMachine*> clients_;
    OperatorMachine* operators_ = nullptr;
};

} // namespace cloudlet::rados::sim
