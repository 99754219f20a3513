#pragma once
// What machines say to each other. A message is immutable and shared, so that a process hands it
// on without copying; message_codec.h turns it into bytes.
//
// Every message carries the sender's map epoch. About a PG, it is also the proof that the sender
// means the same interval: a receiver whose map is older waits for that epoch, and one whose PG
// has begun a later interval since drops the message (the sender will learn, and begin anew).

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "cloudlet/base/clock.h"
#include "cloudlet/rados/entity.h"
#include "cloudlet/rados/map_epoch.h"
#include "cloudlet/rados/object_op.h"
#include "cloudlet/rados/pg_intervals.h"
#include "cloudlet/rados/pg_log.h"
#include "cloudlet/rados/pg_peering.h"
#include "cloudlet/rados/pg_types.h"
#include "cloudlet/rados/transaction.h"

namespace cloudlet::rados {

/// What a primary tells the monitors of its PG.
struct PgReport {
    PgId pg = {};
    PgState state = {};
    Epoch since = 0; // the interval's first epoch
    PgHistory history = {};
    LogVersion last_update = {};
    std::vector<int32_t> up = {}, acting = {};
    uint64_t objects = 0;
    uint64_t degraded = 0, misplaced = 0, unfound = 0; // copies of objects; objects
    uint64_t scrub_errors = 0;
    bool operator==(const PgReport&) const = default;
};

/// An operator's change of the cluster; the monitors make a map step of it.
namespace command {
struct SetFlags { // MapFlag bits
    uint32_t set = 0, clear = 0;
    bool operator==(const SetFlags&) const = default;
};
struct In {
    int32_t osd = no_osd;
    bool operator==(const In&) const = default;
};
struct Out {
    int32_t osd = no_osd;
    bool operator==(const Out&) const = default;
};
struct Down {
    int32_t osd = no_osd;
    bool operator==(const Down&) const = default;
};
struct Lost { // its data is gone for good; the OSD must be down
    int32_t osd = no_osd;
    bool operator==(const Lost&) const = default;
};
struct Reweight { // `ceph osd reweight`: 16.16, at most 0x10000
    int32_t osd = no_osd;
    uint32_t weight = 0;
    bool operator==(const Reweight&) const = default;
};
struct CrushReweight { // `ceph osd crush reweight`: 16.16
    int32_t osd = no_osd;
    uint32_t weight = 0;
    bool operator==(const CrushReweight&) const = default;
};
struct AddOsd { // a new OSD, below a host that is made when it is missing
    int32_t osd = no_osd;
    std::string host;
    uint32_t weight = 0; // 16.16
    bool operator==(const AddOsd&) const = default;
};
struct RemoveOsd { // `ceph osd purge`: must be down
    int32_t osd = no_osd;
    bool operator==(const RemoveOsd&) const = default;
};
} // namespace command
using Command =
    std::variant<command::SetFlags, command::In, command::Out, command::Down, command::Lost,
                 command::Reweight, command::CrushReweight, command::AddOsd, command::RemoveOsd>;

namespace message {

// ---- to a monitor; all but GetMaps are the leader's: another one answers AskOther

struct Boot { // the OSD has all maps up to the message's epoch and wants to be up
    Uuid disk = {};
    AddressVector address = {};
    AddressVector cluster_address = {}; // empty where there is no cluster network
    bool lived = false;                 // this process was up before: it was marked down by mistake
    bool operator==(const Boot&) const = default;
};
struct Failure {
    int32_t target = no_osd;
    Duration silent = {}; // for so long
    bool withdrawn = false;
    bool gone = false; // its host says that the process is not there
    bool operator==(const Failure&) const = default;
};
struct Beacon {
    uint64_t used = 0, capacity = 0; // bytes
    bool operator==(const Beacon&) const = default;
};
struct Alive { // "record that I live in this epoch": up_thru
    Epoch up_thru = 0;
    bool operator==(const Alive&) const = default;
};
struct WantTemp { // an empty set: no temporary set any more
    std::map<PgId, std::vector<int32_t>> wanted = {};
    bool operator==(const WantTemp&) const = default;
};
struct Reports {
    std::vector<PgReport> reports = {};
    bool operator==(const Reports&) const = default;
};
/// Maps newer than `have`: answered at once, by empty Maps when there are none yet; then, if `next`
/// says so, by the next one as soon as it comes. An OSD that asks follows at this monitor for a
/// while (MapServer::lasts): it hears of what concerns it. `full`: a full map of the epoch `have`
/// first (of the newest when 0).
struct GetMaps {
    Epoch have = 0;
    bool full = false;
    bool next = false;
    bool operator==(const GetMaps&) const = default;
};
struct DoCommand {
    uint64_t number = 0; // the sender's
    Command command = {};
    bool operator==(const DoCommand&) const = default;
};

// ---- from a monitor

/// The full map, if there is one, comes first; the steps follow it or each other without a gap.
struct Maps {
    std::shared_ptr<const OsdMap> full = {};
    std::vector<MapStep> steps = {};
};
struct AskOther {
    int32_t leader = -1; // a monitor's number; -1 when unknown
    bool operator==(const AskOther&) const = default;
};
struct CommandDone { // once the step is committed, or refused; a primary's says MarkUnfoundLost
    uint64_t number = 0;
    int32_t result = 0; // 0 or a negative errno
    std::string text = {};
    bool operator==(const CommandDone&) const = default;
};
/// A PG that nobody has reported yet: its primary shall make it, if it has none. The past tells
/// whether it can have been active already.
struct CreatePg {
    PgId pg = {};
    PgHistory history = {};
    std::vector<PastInterval> past = {};
    bool operator==(const CreatePg&) const = default;
};

// ---- between a client and an OSD

struct ClientOp {
    /// What a change is to do where the cluster or the pool is full: with full_try it is refused,
    /// with full_force it is made; else nothing answers, for the client waits for room.
    enum Flag : uint8_t { full_try = 1, full_force = 2 };
    RequestId request = {};
    PgId pg = {};
    PgObject object = {};
    ObjectOps ops = {};
    Timestamp modified = {}; // what the object's mtime becomes
    uint8_t flags = 0;
    uint32_t attempt = 0; // how often it was sent before
    bool operator==(const ClientOp&) const = default;
};
struct ClientReply {
    RequestId request = {};
    int32_t result = 0; // 0 or a negative errno
    LogVersion version = {};
    uint64_t user_version = 0;
    std::vector<OpResult> results = {}; // of each op up to the failing one; none when it changes
    uint32_t attempt = 0;               // the sending that is answered
    bool operator==(const ClientReply&) const = default;
};
/// An operator asks the primary of a PG.
struct ScrubCommand {
    PgId pg = {};
    bool deep = false, repair = false;
    bool operator==(const ScrubCommand&) const = default;
};

/// An operator gives up the objects of a PG that nobody has: they become what they were before, as
/// far as somebody has that, or are removed. The primary answers with CommandDone: -EINVAL while
/// somebody who may have them was not asked.
struct MarkUnfoundLost {
    PgId pg = {};
    bool revert = false; // else all are removed
    uint64_t number = 0; // the sender's
    bool operator==(const MarkUnfoundLost&) const = default;
};

// ---- between OSDs

struct Ping {
    MonotonicTime stamp = {}; // of the asker
    bool answer = false;
    Wire wire = Wire::public_network; // which it takes; the answer comes back the same way
    bool operator==(const Ping&) const = default;
};

// ---- between the copies of a PG

/// Asks for a Notify, or for a FullRecord.
struct Query {
    PgId pg = {};
    bool record = false;
    bool operator==(const Query&) const = default;
};
struct Notify {
    PgInfo info = {};
    std::vector<PastInterval> past = {};
    /// Former primaries, and for how long from now this copy's last answer lets each of them read.
    std::map<int32_t, Duration> reads_left = {};
    bool operator==(const Notify&) const = default;
};
struct FullRecord {
    PgInfo info = {};
    std::shared_ptr<const PgLog> log = {};
    MissingSet missing = {};
};
/// The copy serves (or is filled) in this interval, by the authority's log.
struct Activate {
    PgInfo info = {}; // of the primary
    std::shared_ptr<const PgLog> log = {};
    std::vector<PastInterval> past = {};
    bool backfill = false;     // this copy is filled by backfill
    bool from_nothing = false; // ... and starts anew
};
struct Activated {
    PgId pg = {};
    bool refused = false; // its log does not meet the one that it was sent
    bool operator==(const Activated&) const = default;
};
/// The primary's history, once all have activated and once all is clean.
struct Learn {
    PgId pg = {};
    PgHistory history = {};
    bool operator==(const Learn&) const = default;
};
/// To a copy that is no longer needed.
struct Drop {
    PgId pg = {};
    bool operator==(const Drop&) const = default;
};
struct Replicate {
    PgId pg = {};
    LogEntry entry = {};
    std::shared_ptr<const Transaction> change = {}; // null: note the entry only
    LogVersion trim_to = {};
};
struct Replicated {
    PgId pg = {};
    LogVersion version = {};
    /// Nothing is safe: the object is damaged here, or the disk is full. Send it; what was sent
    /// since waits behind it.
    bool lacks_object = false;
    bool operator==(const Replicated&) const = default;
};
struct Pull {
    PgId pg = {};
    PgObject object = {};
    LogVersion version = {};
    bool operator==(const Pull&) const = default;
};
/// A whole object, or none: then the receiver removes it. As answer to a Pull an errno may come
/// instead (-ENOENT: it is not here, -EIO: it is damaged).
struct Push {
    PgId pg = {};
    PgObject object = {};
    LogVersion version = {};
    std::shared_ptr<const change::Replace> content = {};
    int32_t result = 0;
    bool answer = false; // to a Pull
};
struct Pushed {
    PgId pg = {};
    PgObject object = {};
    LogVersion version = {};
    int32_t result = 0; // -ENOSPC: the disk is full
    bool operator==(const Pushed&) const = default;
};
/// Objects behind `from`, up to and with `to`; at most `limit`.
struct Scan {
    PgId pg = {};
    BackfillCursor from = {}, to = {};
    uint32_t limit = 0;
    uint32_t number = 0; // of the question in this interval
    bool operator==(const Scan&) const = default;
};
struct Scanned {
    PgId pg = {};
    BackfillCursor from = {}, to = {}; // `to` is nearer than asked when the limit cut the list
    std::vector<std::pair<PgObject, LogVersion>> objects = {};
    uint32_t number = 0; // of the question
    bool operator==(const Scanned&) const = default;
};
struct BackfillProgress {
    PgId pg = {};
    BackfillCursor cursor = {};
    bool operator==(const BackfillProgress&) const = default;
};
/// A primary asks for a slot and gives it back; the other copy grants it, refuses it, or takes it
/// away for a higher priority.
struct Reserve {
    enum class Step : uint8_t { ask, granted, too_full, release, preempted };
    PgId pg = {};
    Step step = Step::ask;
    bool backfill = false; // else recovery, which may fill the disk further
    uint32_t round = 0;    // the primary's in this interval: what is of another one is too late
    uint8_t priority = 0;  // when it asks
    bool operator==(const Reserve&) const = default;
};
struct ScrubAsk {
    PgId pg = {};
    uint64_t number = 0; // of the chunk
    BackfillCursor from = {}, to = {};
    bool deep = false;
    bool operator==(const ScrubAsk&) const = default;
};
struct ScrubbedObject {
    LogVersion version = {};
    uint64_t size = 0;
    uint32_t data_crc = 0, attributes_crc = 0; // data: deep only
    bool damaged = false;                      // it cannot be read as it was written
    bool operator==(const ScrubbedObject&) const = default;
};
struct ScrubAnswer {
    PgId pg = {};
    uint64_t number = 0;
    std::map<PgObject, ScrubbedObject> objects = {};
    bool operator==(const ScrubAnswer&) const = default;
};
/// A scrub that nobody asked for needs a slot on each OSD that takes part.
struct ScrubReserve {
    enum class Step : uint8_t { ask, granted, refused, release };
    PgId pg = {};
    Step step = Step::ask;
    bool operator==(const ScrubReserve&) const = default;
};

} // namespace message

/// The order of the alternatives is their number in the encoded form.
using MessageBody =
    std::variant<message::Boot, message::Failure, message::Beacon, message::Alive,
                 message::WantTemp, message::Reports, message::GetMaps, message::DoCommand,
                 message::Maps, message::AskOther, message::CommandDone, message::CreatePg,
                 message::ClientOp, message::ClientReply, message::ScrubCommand, message::Ping,
                 message::Query, message::Notify, message::FullRecord, message::Activate,
                 message::Activated, message::Learn, message::Drop, message::Replicate,
                 message::Replicated, message::Pull, message::Push, message::Pushed, message::Scan,
                 message::Scanned, message::BackfillProgress, message::Reserve, message::ScrubAsk,
                 message::ScrubAnswer, message::MarkUnfoundLost, message::ScrubReserve>;

struct Message {
    Epoch epoch = 0; // of the sender's map
    MessageBody body;
    /// Between the copies of a PG, where its pool gives each a position; they travel only there.
    int8_t from_shard = no_shard, to_shard = no_shard;
};
using MessagePtr = std::shared_ptr<const Message>;

template <typename Body>
MessagePtr make_message(Epoch epoch, Body body) {
    return std::make_shared<const Message>(Message{epoch, std::move(body)});
}

std::string_view name_of(const MessageBody& body); // "Replicate"
/// The PG that a message between its copies is about; nothing for other messages.
std::optional<PgId> pg_of(const MessageBody& body);

} // namespace cloudlet::rados
