#pragma once
// A placement group as one OSD lives it: the machine of pg_stage.h over a PgCopy.
//
//   advance(map)...  every epoch, in order; a new interval throws `now_` away and begins anew
//   settle()         after the newest one: peers, or tells the primary what is here
//   receive(...)     what other copies say in this interval
//   client_op(...)   requests; those that cannot be carried out yet wait in their object's queue
//
// The life of an interval is in these files, in this order:
//   pg_map.cpp        maps and intervals
//   pg_gather.cpp     a primary asks: infos, log, missing
//   pg_activate.cpp   all copies take over the log; who may serve, and from when
//   pg_requests.cpp   requests: what must be waited for, order, answers
//   pg_replicate.cpp  writes at the primary
//   pg_follow.cpp     ... and at the other copies
//   pg_recover.cpp    what to do next for copies that are not whole; objects by pull and push
//   pg_slots.cpp      how many PGs do so at once
//   pg_lost.cpp       objects that nobody has are given up
//   pg_backfill.cpp   a copy is filled from the cursor on
//   pg_scrub.cpp      copies are compared
//   pg_scrub_due.cpp  ... without being asked to
//   pg_report.cpp     what is told of all this
//
// Everything that belongs to one interval is in PgNow, so nothing of an old one can be left over.
// Owned by the OSD; one thread.

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "cloudlet/rados/message.h"
#include "cloudlet/rados/pg_stage.h"
#include "pg/pg_copy.h"
#include "pg/pg_host.h"

namespace cloudlet::rados {

/// A request and who asked.
struct PgRequest {
    Entity client = {};
    MessagePtr message = {};                 // a ClientOp
    std::shared_ptr<const void> ticket = {}; // goes when the request is done with
    const message::ClientOp& op() const { return std::get<message::ClientOp>(message->body); }
    /// To this very sending: a client listens to no answer to an earlier one.
    message::ClientReply answer(int32_t result, LogVersion version = {},
                                uint64_t user_version = 0) const {
        return {.request = op().request,
                .result = result,
                .version = version,
                .user_version = user_version,
                .attempt = op().attempt};
    }
};

/// What a primary knows of another copy that serves or is filled.
struct PgPeer {
    BackfillCursor last_backfill = {};
    MissingSet missing = {};
    bool fill = false; // by backfill; else it serves
};

/// A change on its way to all copies.
struct PgWrite {
    LogVersion version = {};
    PgObject object = {};
    std::vector<int32_t> waits_for = {}; // OSDs
    Entity client = {};
    message::ClientReply reply = {};
    std::shared_ptr<const void> ticket = {};            // the request's
    std::vector<std::pair<Entity, uint32_t>> also = {}; // sent the same request again: attempts
};

/// An object on its way to copies that lack it.
struct PgRecovery {
    LogVersion version = {};
    std::set<int32_t> sources_asked = {}; // of a pull
    int32_t source = no_osd;              // whose answer it waits for
    Epoch source_up_from = 0;
    bool pulling = false;
    bool reverting = false; // an earlier version is pulled, to become the present one
    std::set<int32_t> pushing_to = {};
};

/// What a primary needs to make copies whole.
struct PgRepair {
    std::set<int32_t> slots_wanted = {}, slots_held = {}; // ours and others'
    uint32_t round = 0;                                   // of asking for them
    std::map<PgObject, PgRecovery> recoveries = {};
    std::set<PgObject> unfound = {};
    MonotonicTime retry_at = {}; // a disk was too full for an object
    bool is_idle() const { return slots_wanted.empty() && recoveries.empty() && unfound.empty(); }
};

struct PgBackfill {
    int32_t target = no_osd;
    BackfillCursor from = {}, to = {};
    std::vector<PgObject> objects = {};            // ours of (from, to]
    std::map<PgObject, LogVersion> waits_for = {}; // pushes
    uint32_t scan = 0;                             // the number of the one that is not answered yet
};

struct PgScrub {
    bool deep = false, repair = false, scheduled = false;
    uint64_t number = 0;
    BackfillCursor from = {}, to = {};
    bool asked = false;
    std::map<int32_t, std::map<PgObject, message::ScrubbedObject>> answers = {};
    std::set<int32_t> waits_for = {};
    uint64_t errors = 0, repaired = 0;
};

/// Slots for a scrub that nobody asked for: ours, and those of the others.
struct PgScrubSlots {
    std::set<int32_t> waits_for = {}, held = {};
    bool refused = false;
    MonotonicTime again_at = MonotonicTime::max(); // when they were refused
};

/// What a primary needs until it serves.
struct PgPeering {
    PriorSet prior = {};
    std::map<int32_t, Epoch> asked = {}; // whom for an info, and since when it was up
    std::set<PgShard> unusable = {};     // whose log does not meet the authority's
    std::map<int32_t, std::map<int32_t, MonotonicTime>> reads_until = {}; // by teller, of whom
    ActingChoice choice = {};
    std::set<int32_t> awaited = {}; // for what the stage waits
    std::set<int32_t> fill_from_nothing = {};
    MonotonicTime wait_until = {};
    std::shared_ptr<const PgLog> shared_log = {}; // while it is sent to the others
};

/// An object that has come with changes that the log of this copy does not name yet.
struct PgAhead {
    message::Push push = {};
    unsigned times = 0; // that it came: each is answered
};

/// What a copy cannot deal with yet.
struct PgHeld {
    std::deque<message::Replicate> changes = {}; // behind one that it cannot make
    std::map<PgObject, PgAhead> ahead = {};
    std::set<LogVersion> asked = {}; // changes of which the primary knows that they wait
    std::vector<std::pair<int32_t, message::Query>> queries = {}; // before all is on disk
    bool empty() const { return changes.empty() && ahead.empty() && queries.empty(); }
};

/// One interval. A PG at rest has to be small: what belongs to some work is there while it lasts.
struct PgNow {
    PgStage stage = PgStage::reset;
    PgWork work = PgWork::none;
    bool considering = false;
    bool flushed = false; // what was submitted in earlier intervals is on disk
    bool activation_is_safe = false, reads_wait_for_lease = false;
    uint16_t questions = 0; // so far; reservations and scans have a number each, and may begin anew

    std::unique_ptr<PgPeering> peering = {}; // of a primary, until it serves
    Boxed<PgInfos> infos = {};               // until all is clean
    std::map<int32_t, PgPeer> peers = {};
    MonotonicTime activated_at = {};

    // Requests
    LogVersion committed = {};
    CompactQueue<PgWrite> writes = {};
    Boxed<PgHeld> held = {};
    std::map<PgObject, uint32_t> unstable = {};
    Boxed<std::map<PgObject, std::deque<PgRequest>>> queues = {};

    // Recovery
    std::unique_ptr<PgRepair> repair = {};
    std::unique_ptr<PgBackfill> backfill = {};
    std::unique_ptr<PgScrub> scrub = {};
    std::unique_ptr<PgScrubSlots> scrub_slots = {};
    Boxed<std::vector<message::ScrubCommand>> scrubs_asked = {};
    /// By primary, what it asked us for: waiting or granted.
    Boxed<std::map<int32_t, message::Reserve>> slots_given = {};
};

class PlacementGroup {
public:
    PlacementGroup(PgHost& host, PgId pg);

    PgId id() const { return pg_; }
    PgCopy& copy() { return copy_; }
    const PgCopy& copy() const { return copy_; }
    const PgView& view() const { return view_; }
    PgStage stage() const { return now_.stage; }
    PgWork work() const { return now_.work; }
    bool is_primary() const { return view_.acting.primary == host_.number(); }
    bool is_member() const; // of up or acting
    Epoch interval() const { return copy_.record.info.history.same_interval_since; }

    /// After PgCopy::load(): the view at the epoch that the record has followed the map to.
    void begin_at(const MapEpoch& map);
    /// A copy that did not exist before, in the interval that `history` names.
    Result<void> create(const MapEpoch& map, const PgHistory& history,
                        const std::vector<PastInterval>& past);
    void advance(const MapEpochPtr& before, const MapEpochPtr& after);
    /// After the last of several epochs: writes down that an interval began.
    void persist();
    void settle();
    /// The OSD is up again, and may be heard.
    void booted();

    /// In this interval, from a copy of the PG.
    void receive(int32_t from, const MessageBody& body);
    void client_op(PgRequest request);
    void scrub_command(const message::ScrubCommand& command);
    message::CommandDone mark_unfound_lost(const message::MarkUnfoundLost& command);
    /// A scrub that nobody asked for and that may begin now.
    std::optional<DueScrub> scrub_due() const;
    /// Begins it, if all who take part have a slot for it.
    void reserve_scrub();
    void slot_granted(int32_t for_osd);
    void slot_lost(int32_t for_osd);
    void timer();
    /// The OSD has another life: what was sent to it may be lost.
    void peer_reset(int32_t osd);
    /// An answer to a ping may have made reading possible again.
    void lease_renewed();
    /// Gives back what the OSD keeps for this PG, before the PG goes.
    void retire();

    PgState state() const;
    PgReport report() const;
    std::string describe() const;

private:
    // pg_map
    void start_interval(IntervalChange why, const MapEpoch& last);
    void flushed();
    void map_changed();
    void forget_lost_sources();
    void notify_primary();
    message::Notify own_notify(int32_t to) const;
    template <typename State>
    void take_way(State& now, State to, PgEvent why, PgMove::Table table);
    void go(PgStage stage, PgEvent why);
    void go(PgWork work, PgEvent why);
    bool tells() const { return host_.world().listening(); }
    void tell(std::string sentence) const;
    Epoch up_since(int32_t osd) const; // 0: it is down
    bool flag(MapFlag flag) const { return host_.map()->map().flags & flag; }
    void save(std::function<void()> then = {});
    void submit(Transaction transaction, std::function<void()> then = {});

    // pg_gather
    void start_peering();
    void update_prior();
    std::map<int32_t, Epoch> damaged() const;
    void ask_infos();
    void heard_info(int32_t from, const message::Notify& notify);
    void choose();
    void cannot_follow(PgShard shard);
    void take_log(const PgLog& log);
    void ask_missing();
    void take_record(int32_t from, const message::FullRecord& record);
    void missing_known_if_all();
    void check_up_thru();
    PgPeer& peer_of(PgShard shard, bool fill);
    message::FullRecord own_record() const;

    // pg_activate
    void activate();
    void send_activate(int32_t osd);
    void activated(int32_t osd);
    void refused_to_serve(int32_t osd);
    void all_activated();
    MonotonicTime readers_until() const;
    bool is_dead(const PastInterval& past) const;
    void check_readers();
    void told_to_serve(int32_t from, const message::Activate& activate);
    void learn(const message::Learn& learn);
    std::optional<MonotonicTime> lease_end() const;
    bool can_read();

    // pg_requests
    int32_t full_by_map() const;
    bool try_request(const PgRequest& request);
    bool is_paused(const ObjectOps& ops) const;
    bool answer_again(const PgRequest& request);
    bool must_wait_for_copies(const PgObject& object, bool changing);
    void kick(const PgObject& object);
    void kick_all();

    // pg_replicate
    bool carry_out_change(const PgRequest& request);
    bool refuse(const PgRequest& request, int32_t result);
    ObjectInfo next_info(const message::ClientOp& op) const;
    bool submit_change(const PgRequest& request, const ObjectInfo& next, Execution run);
    void take_back(LogVersion head, LogVersion tail, const PgInfo& before);
    void replicate(const LogEntry& entry, std::shared_ptr<const Transaction> change, PgWrite write,
                   LogVersion trim_to);
    void change_is_safe(int32_t osd, LogVersion version);
    void change_lacks_object(int32_t osd, LogVersion version);
    void recover_awaited();
    void answer_writes();
    void own_copy_damaged(const PgObject& object);

    // pg_follow
    struct Following {
        bool there = false;
        LogVersion has = {}; // also of an object that recovery took away
    };
    void take_change(int32_t from, const message::Replicate& replicate);
    Following look_at(const message::Replicate& replicate) const;
    bool takes(const message::Replicate& replicate, const Following& found) const;
    bool follow(int32_t from, const message::Replicate& replicate);
    bool make_change(int32_t from, const message::Replicate& replicate, bool there);
    void take_ahead(int32_t from, const message::Push& push);
    void follow_held(int32_t from);
    size_t held_run() const;
    bool make_run(int32_t from, size_t count);
    std::vector<LogVersion> add_run(Transaction& transaction,
                                    const std::vector<message::Replicate>& run);
    std::vector<MessageBody> run_done(const std::vector<message::Replicate>& run) const;
    void ask_for_run(int32_t from, const std::vector<message::Replicate>& run,
                     const std::vector<LogVersion>& made);

    // pg_recover
    PgRepair& repair();
    size_t unfound() const { return now_.repair ? now_.repair->unfound.size() : 0; }
    void consider();
    void choose_work();
    void choose_rest();
    std::optional<std::vector<int32_t>> better_acting() const;
    bool can_recover_something();
    void stop_work(PgEvent why);
    bool all_filled() const;
    bool objects_missing() const;
    bool lacks(int32_t osd, const PgObject& object) const;
    size_t holders(const PgObject& object) const;
    bool is_recovery_held() const;
    bool may_backfill() const;
    void recover_some();
    void recover(const PgObject& object);
    void recover_later(const PgObject& object, int32_t osd);
    void pull(const PgObject& object);
    void push_to_peers(const PgObject& object);
    bool push(int32_t osd, const PgObject& object);
    void serve_pull(int32_t from, const message::Pull& pull);
    void take_push(int32_t from, const message::Push& push);
    void pull_answered(int32_t from, const message::Push& push);
    void pushed(int32_t from, const message::Pushed& pushed);
    void recovered(const PgObject& object);
    void all_whole();
    void drop_strays();

    // pg_slots
    uint8_t slot_priority() const;
    std::set<int32_t> slot_holders() const;
    void ask_slots();
    message::Reserve reserve(message::Reserve::Step step) const;
    void ask_next_slot();
    void take_reserve(int32_t from, const message::Reserve& reserve);
    void forget_given(int32_t to);
    void give_back_slots();
    void preempted(int32_t osd);
    bool too_full(PgWork work) const;
    void refused(int32_t osd);

    // pg_lost
    std::optional<int32_t> unprobed_source() const;
    bool give_up(const PgObject& object, bool revert);
    bool log_lost(const PgObject& object, std::optional<change::Replace> earlier);

    // pg_backfill
    void start_backfill();
    void next_batch();
    void take_scan(int32_t from, const message::Scanned& scanned);
    void batch_pushed(const message::Pushed& pushed);
    void finish_batch();
    void serve_scan(int32_t from, const message::Scan& scan);
    void take_progress(int32_t from, const message::BackfillProgress& progress);
    bool in_batch(const PgObject& object) const;

    // pg_scrub
    void next_scrub();
    void begin_scrub(const message::ScrubCommand& how, bool scheduled);
    void scrub_chunk();
    void ask_scrub();
    void serve_scrub(int32_t from, const message::ScrubAsk& ask);
    void take_scrub(int32_t from, const message::ScrubAnswer& answer);
    void compare_chunk();
    void compare_object(const PgObject& object);
    void take_away(int32_t osd, const PgObject& object, LogVersion removal);
    void end_scrub();
    void abort_scrub();
    std::map<PgObject, message::ScrubbedObject> scan_copy(const BackfillCursor& from,
                                                          const BackfillCursor& to, bool deep);
    bool in_scrubbed_chunk(const PgObject& object) const;

    // pg_scrub_due
    void take_scrub_reserve(int32_t from, const message::ScrubReserve& reserve);
    void scrub_slots_answered();
    void give_up_scrub();
    void give_back_scrub_slots();
    bool scrub_is_held() const;

    // pg_report
    void take_query(int32_t from, const message::Query& query);
    void take_full_record(int32_t from, const message::FullRecord& record);
    void add_work(PgState& state) const;

    PgHost& host_;
    PgId pg_;
    PgCopy copy_;
    PgView view_;
    PgNow now_;
    bool dirty_ = false;     // past intervals on disk are older
    bool log_dirty_ = false; // the whole record on disk is
};

} // namespace cloudlet::rados
