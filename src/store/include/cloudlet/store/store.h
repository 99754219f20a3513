#pragma once
// The revisioned key-value store under everything: ordered keys, compare-and-swap transactions, one
// global revision that only grows, reads at an old revision, watches that replay history, leases.
// The model is etcd's (etcd.io, "Data model" and "KV API guarantees"), so that etcd can stand
// behind the same interface.
//
// A transaction that changes something takes the next revision; all its changes carry it. A
// revision becomes visible (to reads, watches and acknowledgements) only once it is on disk, and is
// never handed out twice.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "cloudlet/base/bytes.h"
#include "cloudlet/base/clock.h"
#include "cloudlet/base/result.h"

namespace cloudlet::store {

/// One version of one key. `version` counts the puts since the key was last created, from 1.
struct KeyValue {
    std::string key;
    SharedBytes value; // null in the `current` of a removal, and with RangeRequest::keys_only
    int64_t create_revision = 0;
    int64_t mod_revision = 0;
    int64_t version = 0;
    int64_t lease = 0; // 0: lives until deleted
};

/// A condition on one key. A key that does not exist has 0 for every target.
struct Compare {
    enum class Target { create_revision, mod_revision, version, exists };
    enum class Op { equal, not_equal, greater, less };
    std::string key;
    Target target = Target::mod_revision;
    Op op = Op::equal;
    int64_t value = 0; // for `exists`: 1 or 0
};

struct Put {
    std::string key;
    SharedBytes value = {};
    int64_t lease = 0;
};

/// Removes one key, or all in [key, range_end). Removing what is not there changes nothing.
struct Delete {
    std::string key;
    std::string range_end = {};
};

using Operation = std::variant<Put, Delete>;

/// `then` is carried out when every compare holds, else `otherwise`. No key may be changed twice.
struct Transaction {
    std::vector<Compare> compares = {};
    std::vector<Operation> then = {};
    std::vector<Operation> otherwise = {};
};

struct TransactionResult {
    bool succeeded = false; // whether the compares held
    int64_t revision = 0;   // the store's revision after it; the mod_revision of all its changes
};

struct Event {
    enum class Type { put, removed };
    Type type = Type::put;
    KeyValue current;                 // of a removal: key and mod_revision
    std::optional<KeyValue> previous; // absent when there was none or it is compacted away
};

/// All changes that one revision made under the watched prefix, in the order of its operations.
struct WatchBatch {
    int64_t revision = 0;
    std::vector<Event> events; // never empty
};

/// The range end that means "to the last key": one zero byte.
inline const std::string to_the_end(1, '\0');

struct RangeRequest {
    std::string key;
    std::string range_end = {}; // empty: just `key`; else [key, range_end), or to_the_end
    int64_t revision = 0;       // 0: latest
    int64_t limit = 0;          // 0: all
    bool keys_only = false;
    bool count_only = false;
};

struct RangeResult {
    std::vector<KeyValue> values; // in key order
    int64_t revision = 0;         // the store's revision when it answered
    int64_t count = 0;            // keys in the range at the asked revision, regardless of `limit`
    bool more = false;
};

/// A running watch. Its destructor ends it: once it returned, the callback neither runs nor will
/// run. It may be destroyed from any thread, also from within its own callback.
class Watch {
public:
    virtual ~Watch() = default;
};

/// The store. Every method is thread-safe.
class Store {
public:
    virtual ~Store() = default;

    using CommitDone = std::function<void(Result<TransactionResult>)>;
    using WatchCallback = std::function<void(const WatchBatch&)>;

    /// Queues a transaction; many are written as one group. `done` runs on the store's thread once
    /// the data is on disk and its events were published; it must not block. A refusal at the door
    /// (Code::unavailable when the queue is full, Code::cancelled at shutdown) calls `done` at once
    /// on the caller's thread. Other errors: Code::invalid (empty key, a key changed twice),
    /// Code::not_found (lease), Code::too_large, Code::exhausted (disk full; the store goes on),
    /// Code::io (the disk failed; the store has stopped for good, see health()).
    /// After Code::exhausted or Code::io the caller must not assume that nothing was written.
    virtual void commit(Transaction transaction, CommitDone done) = 0;

    /// The same for callers that may block; never from the store's thread.
    Result<TransactionResult> commit_and_wait(Transaction transaction);

    /// Reads. The latest revision is answered from memory; history may wait for the store's thread.
    /// Errors: Code::expired below the compacted revision, Code::invalid for a future one.
    virtual Result<RangeResult> range(const RangeRequest& request) = 0;

    /// Calls back once per revision that changed a key with this prefix, from `from_revision` on
    /// (0: from the next one), in order, without gap or duplicate, on the store's thread. The
    /// callback must not block. Error: Code::expired when `from_revision` is compacted away.
    virtual Result<std::unique_ptr<Watch>> watch(std::string prefix, int64_t from_revision,
                                                 WatchCallback callback) = 0;

    /// Forgets what only reads below `revision` need. It returns when no such read is served any
    /// more; space is reclaimed afterwards. Errors: Code::expired when already compacted beyond,
    /// Code::invalid for a future revision.
    virtual Result<> compact(int64_t revision) = 0;

    virtual int64_t revision() const = 0;
    virtual int64_t compacted_revision() const = 0;

    /// A lease removes its keys in one transaction when it is not kept alive for `ttl`. A restart
    /// of the store gives every lease its full ttl again. Blocks until durable.
    virtual Result<int64_t> grant(Duration ttl) = 0;
    virtual Result<> keep_alive(int64_t lease) = 0; // not_found once expired; touches no disk
    virtual Result<> revoke(int64_t lease) = 0;     // removes its keys now

    /// Writes a consistent copy into one new file, which open can open, while commits go on.
    /// Complete or absent. Blocks. Error: Code::already_exists when `path` exists.
    virtual Result<> backup(const std::string& path) = 0;

    /// The error that stopped the store for good, if one did.
    virtual Result<> health() const = 0;
};

/// The first key after all keys with this prefix. Error: Code::invalid when there is none (an empty
/// prefix, or nothing but 0xff bytes): use to_the_end.
Result<std::string> prefix_end(std::string_view prefix);

} // namespace cloudlet::store
