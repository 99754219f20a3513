#pragma once
// What an OsdMachine is inside: the host of its placement groups.
//
//   osd_core.cpp      start, the disk, what PGs ask of their host, timers
//   osd_maps.cpp      maps: following, booting, sharing them with who is behind
//   osd_dispatch.cpp  messages: to which PG, and what if there is none (yet)
//   osd_monitors.cpp  what is wanted of the monitors, until the map shows it
//   osd_pings.cpp     heartbeats
//   osd_scrubs.cpp    which PG is scrubbed next without being asked to
//
// One thread.

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "cloudlet/rados/map_follower.h"
#include "cloudlet/rados/osd_liveness.h"
#include "cloudlet/rados/osd_machine.h"
#include "osd/heartbeats.h"
#include "osd/slots.h"
#include "osd/throttle.h"
#include "pg/placement_group.h"

namespace cloudlet::rados {

class OsdCore final : public PgHost {
public:
    OsdCore(int32_t number, Uuid disk, World& world, ObjectStore& store, MapCache& maps,
            OsdOptions options);

    void start();
    void receive(const Entity& from, const MessagePtr& message);
    void reset(const Entity& peer);
    void gone(const Entity& peer, MonotonicTime asked);
    void wake();
    void committed(uint64_t token);

    bool stopped() const { return stopped_; }
    Epoch epoch() const { return maps_.epoch(); }
    const std::map<PgId, std::unique_ptr<PlacementGroup>>& pgs() const { return pgs_; }
    const std::map<PgId, std::string>& set_aside() const { return set_aside_; }
    bool booted() const { return booted_; }
    bool is_up_in(const OsdMap& map) const;
    ScrubCounts scheduled_scrubs() const { return scrub_counts_; }

    // PgHost
    int32_t number() const override { return number_; }
    const MapEpochPtr& map() const override { return maps_.now(); }
    bool is_up() const override { return booted_; }
    World& world() override { return world_; }
    ObjectStore& store() override { return store_; }
    const OsdOptions& options() const override { return options_; }
    void send(int32_t osd, MessageBody body) override;
    void send_to_all(const std::vector<int32_t>& osds, MessageBody body) override;
    void reply(const Entity& client, message::ClientReply reply) override;
    Result<void> submit(PgId pg, Transaction transaction, std::function<void()> then) override;
    void call_at(PgId pg, MonotonicTime when) override;
    void want_temp(PgId pg, std::vector<int32_t> acting) override;
    void forget_temp(PgId pg) override { wishes_.temps.erase(pg); }
    void want_up_thru(Epoch epoch) override;
    void report(PgId pg) override;
    void ask_slot(PgId pg, int32_t for_osd, uint8_t priority) override;
    void give_back_slot(PgId pg, int32_t for_osd) override;
    bool take_scrub_slot(PgId pg) override;
    void give_back_scrub_slot(PgId pg) override { scrubbed_.erase(pg); }
    void scrub_begins(bool deep) override;
    MonotonicTime answered_us(int32_t osd) const override;
    Duration lets_read(int32_t osd) const override;
    void confirm(int32_t osd) override;
    void remove(PgId pg) override { to_remove_.insert(pg); }
    void stop(const Error& error) override;
    bool fuller_than(double ratio) const override;

private:
    struct Submitted {
        uint64_t token;
        PgId pg;
        Epoch interval;
        std::function<void()> then;
    };
    struct Waiting {
        Entity from;
        MessagePtr message;
        std::shared_ptr<const void> ticket = {}; // of a client's request that was admitted
    };
    /// A slot changed hands, and the PG has to be told.
    struct SlotNews {
        Slots::Asker asker;
        bool granted = false; // else lost
    };
    /// Who is to be marked down.
    struct Accused {
        MonotonicTime since = {}; // when it was heard last
        Epoch up_from = 0;        // its life
        bool gone = false;
    };
    /// What the monitors are asked for until the map shows it.
    struct Wishes {
        bool boot = false;
        Epoch up_thru = 0;
        std::map<PgId, std::vector<int32_t>> temps = {};
        std::map<int32_t, Accused> failures = {};
        bool any() const { return boot || up_thru || !temps.empty() || !failures.empty(); }
    };

    // osd_core
    void load();
    void load_pg(PgId pg);
    PgInfo info_of_none(PgId pg) const;
    void submit_own(Transaction transaction);
    void finish_event();
    void remove_now(PgId pg);
    PlacementGroup* find(PgId pg);
    PlacementGroup* create(PgId pg, const PgHistory& history,
                           const std::vector<PastInterval>& past);
    void run_timers();
    Slots& slots_for(int32_t osd);
    void tell_slot_news();
    void schedule();

    // osd_maps
    void take_maps(const message::Maps& maps);
    bool leaps(const message::Maps& maps) const;
    void enter(const MapEpochPtr& before, const MapEpochPtr& after);
    void settle();
    void check_booted();
    void subscribe();
    void answered_by_monitor(const message::Maps& maps);
    void map_timer();
    void share_maps(const Entity& peer, Epoch epoch);
    void lead_on(int32_t osd);
    void note_epoch(const Entity& peer, Epoch epoch);
    void forget_strangers();
    void ask_for_maps(Epoch epoch, Duration within);

    // osd_dispatch
    void dispatch(const Entity& from, const MessagePtr& message);
    void mark_lost(const Entity& from, const message::MarkUnfoundLost& command);
    void to_pg(int32_t from, PgId pg, const Message& message);
    void without_pg(int32_t from, PgId pg, const Message& message);
    void client_op(const Entity& from, const MessagePtr& message);
    void take_op(Waiting op);
    void take_throttled_ops();
    void create_pg(const message::CreatePg& create, Epoch epoch);
    bool is_primary(PgId pg) const;
    void deliver_waiting_ops(PlacementGroup& pg);

    // osd_monitors
    void to_leader(MessageBody body);
    void wish();
    void forget_granted();
    void ask_other(int32_t leader);
    void send_reports();
    void send_beacon();
    void monitor_timers();
    int32_t next_monitor(int32_t after) const;
    void leave_monitor(int32_t monitor);
    message::Boot boot_message() const;

    // osd_pings
    void take_ping(const Entity& from, const Message& message);
    void pings();
    void update_peers();
    void withdraw(int32_t osd);
    void accuse(int32_t osd, Duration silent, bool gone);
    std::map<int32_t, Heartbeats::Peer> heartbeat_peers() const;

    // osd_scrubs
    bool may_scrub() const;
    void look_for_scrubs();

    const int32_t number_;
    Uuid disk_;
    World& world_;
    ObjectStore& store_;
    MapFollower maps_;
    OsdOptions options_;
    bool stopped_ = false;

    std::map<PgId, std::unique_ptr<PlacementGroup>> pgs_;
    std::set<PgId> to_remove_;
    std::map<PgId, std::string> set_aside_;            // their records cannot be read, and why
    std::map<PgId, std::vector<Waiting>> waiting_ops_; // for a PG that is not here yet
    std::deque<Waiting> waiting_for_map_;
    Throttle throttle_;
    std::deque<Waiting> throttled_; // requests, until there is room
    uint64_t next_token_ = 1;
    MonotonicTime wakes_at_ = {};
    std::deque<Submitted> submitted_;
    std::multimap<MonotonicTime, PgId> timers_;
    Slots local_slots_, remote_slots_;
    std::deque<SlotNews> slot_news_;
    std::set<PgId> scrubbed_; // by slots of scrubs that nobody asked for, ours and others'
    ScrubCounts scrub_counts_;
    MonotonicTime scrubs_at_ = {};

    bool booted_ = false, was_booted_ = false; // at present; in this process
    uint32_t nonce_ = 0;
    MarkdownHistory markdowns_;
    Epoch saved_epoch_ = 0;
    std::map<Entity, Epoch> known_epochs_; // which a peer has, or was led to by us
    Epoch heard_epoch_ = 0;                // the newest that anybody named
    bool monitor_owes_maps_ = false;       // an answer, or a map that others have already
    bool waits_for_next_map_ = false;      // the monitor will tell us whatever comes

    Heartbeats heartbeats_;
    bool peers_changed_ = true;

    Wishes wishes_;
    int32_t leader_ = 0, map_monitor_ = 0;
    unsigned tries_ = 0;
    MonotonicTime wish_again_at_ = MonotonicTime::max();
    MonotonicTime subscribe_at_ = {}, wants_maps_at_ = MonotonicTime::max();
    std::set<PgId> unreported_;
    MonotonicTime report_at_ = {}, report_all_at_ = {}, beacon_at_ = {};
    double beacon_ratio_ = -1;
};

} // namespace cloudlet::rados
