#pragma once
// The OSD map: one epoch of everything that a storage client or an OSD must agree on.
//
// Pools and their placement, which OSDs exist, are up and have what weight, their addresses, the
// exceptions (temporary, upmap, blocklist) and the CRUSH hierarchy. A plain value: copies are
// independent (the CRUSH map is shared and immutable), nothing in it does I/O, and it may be read
// by many threads at once. The per-OSD columns all have max_osd() entries; resize_osds() keeps
// them so. Names and meanings are those of Ceph's osdmap (docs.ceph.com, "OSDMap"); the encoding is
// in osd_map_codec.h, the way from an object to its OSDs in placement.h.

#include <array>
#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "cloudlet/base/result.h"
#include "cloudlet/rados/crush_map.h"

namespace cloudlet::rados {

using Epoch = uint32_t;
using PoolId = int64_t;

inline constexpr int32_t no_osd = -1;
/// A position of a set that no OSD holds (erasure-coded pools keep positions).
inline constexpr int32_t osd_none = crush_item_none;
inline constexpr uint32_t full_affinity = 0x10000;
/// More OSDs than this are refused as hostile.
inline constexpr int32_t max_osd_limit = 1 << 20;
inline constexpr uint32_t max_pg_num = 1 << 20;

/// Wall clock since 1970, as stored in maps.
struct Timestamp {
    uint32_t seconds = 0;
    uint32_t nanoseconds = 0;
    auto operator<=>(const Timestamp&) const = default;
};

struct Uuid {
    std::array<uint8_t, 16> bytes{};
    auto operator<=>(const Uuid&) const = default;
    std::string to_string() const;
};

/// A placement group (or, before folding into pg_num, the hash of an object): "1.2f".
struct PgId {
    PoolId pool = 0;
    uint32_t seed = 0;
    auto operator<=>(const PgId&) const = default;
    std::string to_string() const;
    /// Error: Code::invalid when the text is not "pool.hexseed".
    static Result<PgId> parse(std::string_view text);
};

/// What a versioned structure brought beyond the fields known here; written back as it came.
struct Envelope {
    uint8_t version = 1;
    uint8_t compat = 1;
    std::string tail;
    bool operator==(const Envelope&) const = default;
};

/// One network address: kind, nonce and the socket address as the system lays it out.
struct Address {
    enum class Kind : uint32_t { none = 0, legacy = 1, msgr2 = 2, any = 3, cidr = 4 };
    Envelope envelope = {};
    Kind kind = Kind::none;
    uint32_t nonce = 0;
    std::string socket_address = {}; // sockaddr_in, sockaddr_in6 or empty

    bool operator==(const Address&) const = default;
    /// "v2:10.0.0.1:6800/7", "10.0.0.1:0/3", "10.0.0.0:0/24" or "-".
    std::string to_string() const;
    std::string host_port() const; // "10.0.0.1:6800"
    /// True for an address with no host in it.
    bool blank() const;
};

struct AddressVector {
    std::vector<Address> addresses;
    bool operator==(const AddressVector&) const = default;
    /// "[v2:...,v1:...]", or the one address bare, or "".
    std::string to_string() const;
    /// The address for clients that know only the old protocol.
    std::string legacy_string() const;
};

/// Bits of an OSD's state.
enum OsdState : uint32_t {
    osd_exists = 1,
    osd_up = 2,
    osd_autoout = 4,
    osd_new = 8,
    osd_full = 16,
    osd_nearfull = 32,
    osd_backfillfull = 64,
    osd_destroyed = 128,
    osd_noup = 256,
    osd_nodown = 512,
    osd_noin = 1024,
    osd_noout = 2048,
    osd_stop = 4096,
};

/// Bits of the map's flags.
enum MapFlag : uint32_t {
    map_nearfull = 1u << 0,
    map_full = 1u << 1,
    map_pauserd = 1u << 2,
    map_pausewr = 1u << 3,
    map_pauserec = 1u << 4,
    map_noup = 1u << 5,
    map_nodown = 1u << 6,
    map_noout = 1u << 7,
    map_noin = 1u << 8,
    map_nobackfill = 1u << 9,
    map_norecover = 1u << 10,
    map_noscrub = 1u << 11,
    map_nodeep_scrub = 1u << 12,
    map_notieragent = 1u << 13,
    map_norebalance = 1u << 14,
    map_sortbitwise = 1u << 15,
    map_require_jewel = 1u << 16,
    map_require_kraken = 1u << 17,
    map_require_luminous = 1u << 18,
    map_recovery_deletes = 1u << 19,
    map_purged_snapdirs = 1u << 20,
    map_nosnaptrim = 1u << 21,
    map_pglog_hardlimit = 1u << 22,
};

struct OsdInfo {
    uint8_t version = 1;
    Epoch last_clean_begin = 0, last_clean_end = 0;
    Epoch up_from = 0, up_thru = 0, down_at = 0, lost_at = 0;
    bool operator==(const OsdInfo&) const = default;
};

struct OsdExtraInfo {
    Envelope envelope{4, 1, {}};
    Timestamp down_stamp;
    uint32_t laggy_probability = 0; // in 1/0xffffffff
    uint32_t laggy_interval = 0;    // seconds
    uint64_t features = 0;
    uint32_t old_weight = 0;
    Timestamp last_purged_snaps_scrub;
    Epoch dead_epoch = 0;
    bool operator==(const OsdExtraInfo&) const = default;
};

/// Ascending, disjoint runs of snapshot ids: (first, count).
using SnapIntervals = std::vector<std::pair<uint64_t, uint64_t>>;

struct PoolSnapshot {
    Envelope envelope = {2, 2, {}};
    uint64_t id = 0;
    Timestamp stamp = {};
    std::string name = {};
    bool operator==(const PoolSnapshot&) const = default;
};

/// How a cache pool remembers hits; kind 3 is a Bloom filter.
struct HitSetParameters {
    Envelope envelope{1, 1, {}};
    uint8_t kind = 0; // 0 none, 1 explicit_hash, 2 explicit_object, 3 bloom
    Envelope inner{1, 1, {}};
    uint32_t false_positive_micro = 0;
    uint64_t target_size = 0, seed = 0;
    bool operator==(const HitSetParameters&) const = default;
};

struct MergeMeta {
    Envelope envelope{1, 1, {}};
    PgId source;
    Epoch ready_epoch = 0, last_epoch_started = 0, last_epoch_clean = 0;
    uint64_t source_version = 0, target_version = 0;
    Epoch source_epoch = 0, target_epoch = 0;
    bool operator==(const MergeMeta&) const = default;
};

/// A pool's option by its number on the wire: text, integer or float.
using PoolOption = std::variant<std::string, int64_t, double>;

struct PoolOptions {
    Envelope envelope{2, 1, {}};
    std::map<int32_t, PoolOption> values;
    bool operator==(const PoolOptions&) const = default;
};

enum class PoolType : uint8_t { replicated = 1, erasure = 3 };

enum PoolFlag : uint64_t {
    pool_hashpspool = 1u << 0,
    pool_full = 1u << 1,
    pool_ec_overwrites = 1u << 2,
    pool_incomplete_clones = 1u << 3,
    pool_nodelete = 1u << 4,
    pool_nopgchange = 1u << 5,
    pool_nosizechange = 1u << 6,
    pool_write_fadvise_dontneed = 1u << 7,
    pool_noscrub = 1u << 8,
    pool_nodeep_scrub = 1u << 9,
    pool_full_quota = 1u << 10,
    pool_nearfull = 1u << 11,
    pool_backfillfull = 1u << 12,
    pool_selfmanaged_snaps = 1u << 13,
    pool_pool_snaps = 1u << 14,
    pool_creating = 1u << 15,
    pool_eio = 1u << 16,
    pool_bulk = 1u << 17,
};

using ApplicationMetadata = std::map<std::string, std::map<std::string, std::string>>;

/// A pool. Fields that only old releases gave a meaning are kept for the encoding.
struct Pool {
    Envelope envelope{29, 5, {}};
    PoolType type = PoolType::replicated;
    uint8_t size = 3, crush_rule = 0, object_hash = 2; // 2: rjenkins
    uint32_t pg_num = 0, pgp_num = 0;
    uint32_t localized_pg_num = 0, localized_pgp_num = 0;
    Epoch last_change = 0;
    uint64_t snap_seq = 0;
    Epoch snap_epoch = 0;
    std::map<uint64_t, PoolSnapshot> snaps;
    SnapIntervals removed_snaps;
    uint64_t auid = 0;
    uint64_t flags = pool_hashpspool;
    uint32_t crash_replay_interval = 0;
    uint8_t min_size = 2;
    uint64_t quota_max_bytes = 0, quota_max_objects = 0;
    std::set<uint64_t> tiers;
    PoolId tier_of = -1;
    uint8_t cache_mode = 0;
    PoolId read_tier = -1, write_tier = -1;
    std::map<std::string, std::string> properties;
    HitSetParameters hit_set;
    uint32_t hit_set_period = 0, hit_set_count = 0;
    uint32_t stripe_width = 0;
    uint64_t target_max_bytes = 0, target_max_objects = 0;
    uint32_t cache_target_dirty_ratio_micro = 0, cache_target_full_ratio_micro = 0;
    uint32_t cache_min_flush_age = 0, cache_min_evict_age = 0;
    std::string erasure_code_profile;
    Epoch last_force_op_resend_preluminous = 0;
    int32_t min_read_recency_for_promote = 0;
    uint64_t expected_num_objects = 0;
    uint32_t cache_target_dirty_high_ratio_micro = 0;
    int32_t min_write_recency_for_promote = 0;
    uint8_t use_gmt_hitset = 1;
    uint8_t fast_read = 0;
    int32_t hit_set_grade_decay_rate = 0, hit_set_search_last_n = 0;
    PoolOptions options;
    Epoch last_force_op_resend_prenautilus = 0;
    ApplicationMetadata application_metadata;
    Timestamp create_time;
    uint32_t pg_num_target = 0, pgp_num_target = 0, pg_num_pending = 0;
    Epoch unused_dec_started = 0, unused_dec_clean = 0;
    Epoch last_force_op_resend = 0;
    uint8_t pg_autoscale_mode = 0; // 0 off, 1 warn, 2 on
    MergeMeta last_pg_merge;
    // From version 30 on, when stretch mode was used.
    uint32_t peering_crush_bucket_count = 0, peering_crush_bucket_target = 0;
    uint32_t peering_crush_bucket_barrier = 0;
    int32_t peering_crush_mandatory_member = osd_none;

    bool operator==(const Pool&) const = default;
    bool is_erasure() const { return type == PoolType::erasure; }
    /// Replicated pools close ranks when an OSD is missing; erasure-coded ones keep positions.
    bool can_shift() const { return type == PoolType::replicated; }
    /// Sets pg_num and pgp_num with their targets, as for a new pool.
    void set_pg_num(uint32_t pgs, uint32_t pgs_for_placement);
};

struct StretchMode {
    uint8_t enabled = 0;
    uint32_t bucket_count = 0, degraded = 0, recovering = 0;
    int32_t bucket = 0;
    bool operator==(const StretchMode&) const = default;
};

using PgOsds = std::map<PgId, std::vector<int32_t>>;
/// Pairs (from, to).
using PgItems = std::map<PgId, std::vector<std::pair<int32_t, int32_t>>>;
using ErasureProfiles = std::map<std::string, std::map<std::string, std::string>>;
using SnapQueues = std::map<PoolId, SnapIntervals>;
/// In the order of the file, which is Ceph's order of addresses.
using Blocklist = std::vector<std::pair<Address, Timestamp>>;

struct OsdMap {
    Envelope wrapper{8, 7, {}}, client_part{9, 1, {}}, osd_part{9, 1, {}};
    Uuid fsid;
    Epoch epoch = 0;
    Timestamp created, modified;
    std::map<PoolId, Pool> pools;
    std::map<PoolId, std::string> pool_names;
    int32_t pool_max = 0;
    uint32_t flags = 0;

    std::vector<uint32_t> osd_state;        // OsdState bits
    std::vector<uint32_t> osd_weight;       // 16.16; 0 is out
    std::vector<uint32_t> primary_affinity; // 16.16; empty while nobody set one
    std::vector<AddressVector> client_addresses, cluster_addresses;
    std::vector<AddressVector> heartbeat_front_addresses, heartbeat_back_addresses;
    std::vector<OsdInfo> osd_info;
    std::vector<OsdExtraInfo> osd_extra;
    std::vector<Uuid> osd_uuid;

    PgOsds pg_temp;
    std::map<PgId, int32_t> primary_temp;
    PgOsds pg_upmap;
    PgItems pg_upmap_items;

    std::shared_ptr<const CrushMap> crush = std::make_shared<CrushMap>();
    std::shared_ptr<const std::string> crush_bytes; // `crush` as it was read; null once it is ours
    uint32_t crush_version = 1;
    ErasureProfiles erasure_code_profiles;
    SnapQueues new_removed_snaps, new_purged_snaps, removed_snaps_queue;
    Timestamp last_up_change, last_in_change;
    Blocklist blocklist, range_blocklist;
    Epoch cluster_snapshot_epoch = 0;
    std::string cluster_snapshot;
    float nearfull_ratio = 0, full_ratio = 0, backfillfull_ratio = 0;
    uint8_t require_min_compat_client = 0, require_osd_release = 0;
    std::map<int32_t, uint32_t> crush_node_flags, device_class_flags;
    StretchMode stretch;

    int32_t max_osd() const { return static_cast<int32_t>(osd_state.size()); }
    bool has_osd(int32_t osd) const { return osd >= 0 && osd < max_osd(); }
    bool exists(int32_t osd) const { return has_osd(osd) && (osd_state[index(osd)] & osd_exists); }
    bool is_up(int32_t osd) const { return exists(osd) && (osd_state[index(osd)] & osd_up); }
    bool is_out(int32_t osd) const { return !exists(osd) || osd_weight[index(osd)] == 0; }
    uint32_t affinity(int32_t osd) const {
        return primary_affinity.empty() ? full_affinity : primary_affinity[index(osd)];
    }

    /// Grows with OSDs that do not exist, or forgets those at the end.
    void resize_osds(int32_t count);
    void set_affinity(int32_t osd, uint32_t affinity);
    void set_crush(CrushMap map);
    /// The pool, or nullptr.
    const Pool* pool(PoolId id) const;
    /// The name, or "<unknown>".
    std::string_view pool_name(PoolId id) const;
    /// The flags that the required release implies, set; the ones it replaced, cleared.
    uint32_t effective_flags() const;

private:
    static size_t index(int32_t osd) { return static_cast<size_t>(osd); }
};

/// The step from one epoch to the next. An empty optional-like value (-1, 0xff, no entry) means
/// "unchanged"; new_state is XORed (0 means the up bit).
struct OsdMapIncremental {
    Envelope wrapper{8, 7, {}}, client_part{8, 1, {}}, osd_part{9, 1, {}};
    Uuid fsid;
    Epoch epoch = 0;
    Timestamp modified;
    PoolId new_pool_max = -1;
    int32_t new_flags = -1;
    std::string full_map, crush; // encoded; empty when unchanged
    int32_t new_max_osd = -1;
    std::map<PoolId, Pool> new_pools;
    std::map<PoolId, std::string> new_pool_names;
    std::set<PoolId> old_pools;
    std::map<int32_t, AddressVector> new_up_client;
    std::map<int32_t, uint32_t> new_state, new_weight;
    PgOsds new_pg_temp;                       // an empty set removes the entry
    std::map<PgId, int32_t> new_primary_temp; // -1 removes the entry
    std::map<int32_t, uint32_t> new_primary_affinity;
    ErasureProfiles new_erasure_code_profiles;
    std::vector<std::string> old_erasure_code_profiles;
    PgOsds new_pg_upmap;
    std::set<PgId> old_pg_upmap;
    PgItems new_pg_upmap_items;
    std::set<PgId> old_pg_upmap_items;
    SnapQueues new_removed_snaps, new_purged_snaps;
    Timestamp new_last_up_change, new_last_in_change;

    std::map<int32_t, AddressVector> new_heartbeat_back;
    std::map<int32_t, Epoch> new_up_thru;
    std::map<int32_t, std::pair<Epoch, Epoch>> new_last_clean_interval;
    std::map<int32_t, Epoch> new_lost;
    Blocklist new_blocklist;
    std::vector<Address> old_blocklist;
    std::map<int32_t, AddressVector> new_up_cluster;
    std::string cluster_snapshot;
    std::map<int32_t, Uuid> new_uuid;
    std::map<int32_t, OsdExtraInfo> new_extra;
    std::map<int32_t, AddressVector> new_heartbeat_front;
    uint64_t encode_features = 0;
    float new_nearfull_ratio = -1, new_full_ratio = -1, new_backfillfull_ratio = -1;
    uint8_t new_require_min_compat_client = 0xff, new_require_osd_release = 0xff;
    std::map<int32_t, uint32_t> new_crush_node_flags, new_device_class_flags;
    uint8_t change_stretch_mode = 0;
    StretchMode new_stretch;
    Blocklist new_range_blocklist;
    std::vector<Address> old_range_blocklist;
    uint32_t full_crc = 0; // of the full map that this step leads to; 0 when not known
};

} // namespace cloudlet::rados
