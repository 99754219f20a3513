#pragma once
// One copy of a placement group as it lies on an OSD's disk: its objects in the PG's collection,
// and its record (info, log, missing set, past intervals) as omap entries of one object among the
// OSD's own. Whatever changes objects changes the record in the same transaction.
//
//   key            holds
//   "e"            the epoch up to which the record has followed the map
//   "i"            PgInfo
//   "p"            the past intervals
//   "l" + version  a log entry
//   "a" + version  an answer that outlived its entry
//   "m" + version  an object that is missing, by the version that is needed
//
// Versions are written big-endian, so that keys ascend as they do. Owned by the PG; one thread.

#include <optional>
#include <string>
#include <vector>

#include "cloudlet/rados/object_store.h"
#include "cloudlet/rados/pg_intervals.h"
#include "cloudlet/rados/pg_log.h"
#include "pg/execute_ops.h"

namespace cloudlet::rados {

class PgCopy {
public:
    PgCopy(ObjectStore& store, PgId pg, PgLogLimits limits);

    /// All PGs that a disk has records of.
    static Result<std::vector<PgId>> find_all(const ObjectStore& store);
    /// Reads the record. Error: Code::io or invalid when it is damaged: the copy is not to be used.
    Result<void> load();
    /// Adds to `transaction` what makes a new, empty copy. One whose info says that it is damaged
    /// takes the place of a record that cannot be read: that is kept beside it, and the objects
    /// stay.
    Result<void> create(Transaction& transaction);
    /// The transactions that remove objects and record, in this order; the first one marks the copy
    /// as one that is being removed, so that a crash in between leaves nothing half.
    Result<std::vector<Transaction>> removal() const;

    ObjectPlace place(const PgObject& object) const;
    /// Objects behind `from`, up to and with `to`; at most `limit`.
    Result<std::vector<PgObject>> list(const BackfillCursor& from, const BackfillCursor& to,
                                       size_t limit) const;

    // What follows adds to a transaction what the record's present state needs on disk.

    void save_info(Transaction& transaction) const; // with epoch
    void save_info_and_past(Transaction& transaction) const;
    void save_all(Transaction& transaction) const; // whatever was there before
    /// Appends to the record; `trim_to`: and forgets what is older.
    void append(Transaction& transaction, LogEntry entry, LogVersion trim_to);
    void set_missing(Transaction& transaction, const PgObject& object, MissingSet::Item item);
    /// An object came by recovery; `content` null: it is not there any more.
    void recovered(Transaction& transaction, const PgObject& object, LogVersion version,
                   const change::Replace* content);
    /// What recovered() changes in memory, to be put back when the disk refuses.
    struct Before {
        std::optional<MissingSet::Item> missing;
        uint64_t objects;
    };
    Before before(const PgObject& object) const;
    void take_back(const PgObject& object, const Before& before);
    /// The record follows the authority's log; objects that must go are removed. Error: as
    /// PgRecord::adopt(), and nothing changed.
    Result<void> adopt(Transaction& transaction, const PgLog& authority);

    PgRecord record;
    PastIntervals past;
    Epoch epoch = 0;
    bool being_removed = false;
    uint64_t objects = 0; // that are on the disk

private:
    Result<void> count_objects();
    void remove_object(Transaction& transaction, const PgObject& object);
    void save_past(Attributes& entries) const;
    ObjectId record_id() const;

    ObjectStore& store_;
    PgId pg_;
};

} // namespace cloudlet::rados
