#pragma once
// The structures inside an OSD map, field by field, for reading and writing alike (see
// osd_map_wire.h). The order of fields is that of Ceph 16.2 ("pacific"), established from files
// that its tools wrote; releases before Nautilus wrote other forms, which are refused.

#include "osd_map_wire.h"

namespace cloudlet::rados::wire {

template <typename T, typename Plain>
concept Is = std::same_as<std::remove_const_t<T>, Plain>;

/// An enum travels as its number.
template <typename E>
requires std::is_enum_v<E>
void transfer(WireReader& io, E& value) {
    std::underlying_type_t<E> number = 0;
    io.number(number);
    value = static_cast<E>(number);
}
template <typename E>
requires std::is_enum_v<E>
void transfer(WireWriter& io, const E& value) {
    io.number(static_cast<std::underlying_type_t<E>>(value));
}

/// A byte that has only one allowed value in what we read.
template <typename Io>
void constant(Io& io, uint8_t expected, std::string_view otherwise) {
    uint8_t value = expected;
    transfer(io, value);
    if constexpr (Io::reads) {
        if (io.ok() && value != expected) io.fail(otherwise);
    }
}

template <typename Io, Is<Timestamp> T>
void transfer(Io& io, T& time) {
    all(io, time.seconds, time.nanoseconds);
}

inline void transfer(WireReader& io, Uuid& uuid) {
    std::string_view bytes = io.take(uuid.bytes.size(), "a uuid");
    if (io.ok()) std::memcpy(uuid.bytes.data(), bytes.data(), bytes.size());
}
inline void transfer(WireWriter& io, const Uuid& uuid) {
    io.bytes().append(reinterpret_cast<const char*>(uuid.bytes.data()), uuid.bytes.size());
}

template <typename Io, Is<PgId> T>
void transfer(Io& io, T& pg) {
    constant(io, 1, "a placement group's id has an unknown version");
    all(io, pg.pool, pg.seed);
    int32_t preferred = -1; // localized groups are gone since Luminous
    transfer(io, preferred);
    if constexpr (Io::reads) {
        if (io.ok() && preferred != -1) io.fail("a placement group is bound to an OSD");
    }
}

template <typename Io, Is<Address> T>
void transfer(Io& io, T& address) {
    constant(io, 1, "an address has the form of releases before Nautilus");
    io.versioned(address.envelope, 1, "an address", [&] {
        all(io, address.kind, address.nonce, address.socket_address);
        if constexpr (Io::reads) {
            if (address.socket_address.size() > 128) io.fail("a socket address is too long");
        }
    });
}

template <typename Io, Is<AddressVector> T>
void transfer(Io& io, T& vector) {
    constant(io, 2, "a list of addresses has the form of releases before Nautilus");
    transfer(io, vector.addresses);
}

template <typename Io, Is<OsdInfo> T>
void transfer(Io& io, T& info) {
    all(io, info.version, info.last_clean_begin, info.last_clean_end, info.up_from, info.up_thru,
        info.down_at, info.lost_at);
}

template <typename Io, Is<OsdExtraInfo> T>
void transfer(Io& io, T& extra) {
    io.versioned(extra.envelope, 1, "an OSD's extra information", [&] {
        all(io, extra.down_stamp, extra.laggy_probability, extra.laggy_interval, extra.features,
            extra.old_weight);
        if (extra.envelope.version >= 4) all(io, extra.last_purged_snaps_scrub, extra.dead_epoch);
    });
}

template <typename Io, Is<PoolSnapshot> T>
void transfer(Io& io, T& snapshot) {
    io.versioned(snapshot.envelope, 2, "a pool's snapshot",
                 [&] { all(io, snapshot.id, snapshot.stamp, snapshot.name); });
}

template <typename Io, Is<HitSetParameters> T>
void transfer(Io& io, T& hits) {
    io.versioned(hits.envelope, 1, "hit set parameters", [&] {
        transfer(io, hits.kind);
        if (hits.kind != 3) return; // the other kinds have nothing to say
        io.versioned(hits.inner, 1, "hit set parameters",
                     [&] { all(io, hits.false_positive_micro, hits.target_size, hits.seed); });
    });
}

template <typename Io, Is<MergeMeta> T>
void transfer(Io& io, T& merge) {
    io.versioned(merge.envelope, 1, "a pool's last merge", [&] {
        all(io, merge.source, merge.ready_epoch, merge.last_epoch_started, merge.last_epoch_clean,
            merge.source_version, merge.source_epoch, merge.target_version, merge.target_epoch);
    });
}

inline void transfer(WireReader& io, PoolOption& option) {
    int32_t kind = 0;
    transfer(io, kind);
    if (kind == 0) return transfer(io, option.emplace<std::string>());
    if (kind == 1) return transfer(io, option.emplace<int64_t>());
    if (kind == 2) return transfer(io, option.emplace<double>());
    io.fail("a pool's option is neither text nor number");
}
inline void transfer(WireWriter& io, const PoolOption& option) {
    io.number(static_cast<int32_t>(option.index()));
    std::visit([&](const auto& value) { transfer(io, value); }, option);
}

template <typename Io, Is<PoolOptions> T>
void transfer(Io& io, T& options) {
    io.versioned(options.envelope, 1, "a pool's options", [&] {
        if constexpr (Io::reads) {
            if (options.envelope.version < 2)
                return io.fail("a pool's options have the form of releases before Nautilus");
        }
        transfer(io, options.values);
    });
}

template <typename Io, Is<StretchMode> T>
void transfer(Io& io, T& stretch) {
    all(io, stretch.enabled, stretch.bucket_count, stretch.degraded, stretch.recovering,
        stretch.bucket);
}

/// The fields that came up to version 18, which every release of today writes.
template <typename Io, Is<Pool> T>
void old_pool_fields(Io& io, T& p) {
    all(io, p.type, p.size, p.crush_rule, p.object_hash, p.pg_num, p.pgp_num, p.localized_pg_num,
        p.localized_pgp_num, p.last_change, p.snap_seq, p.snap_epoch, p.snaps, p.removed_snaps,
        p.auid, p.flags, p.crash_replay_interval, p.min_size, p.quota_max_bytes,
        p.quota_max_objects, p.tiers, p.tier_of, p.cache_mode, p.read_tier, p.write_tier,
        p.properties, p.hit_set, p.hit_set_period, p.hit_set_count, p.stripe_width,
        p.target_max_bytes, p.target_max_objects, p.cache_target_dirty_ratio_micro,
        p.cache_target_full_ratio_micro, p.cache_min_flush_age, p.cache_min_evict_age,
        p.erasure_code_profile, p.last_force_op_resend_preluminous, p.min_read_recency_for_promote,
        p.expected_num_objects);
}

template <typename Io, Is<Pool> T>
void transfer(Io& io, T& p) {
    Envelope envelope = p.envelope;
    if (p.peering_crush_bucket_count) envelope.version = std::max<uint8_t>(envelope.version, 30);
    auto body = [&] {
        if constexpr (Io::reads) {
            p.envelope = envelope;
            if (envelope.version < 29)
                return io.fail("a pool has the form of releases before Nautilus");
        }
        old_pool_fields(io, p);
        all(io, p.cache_target_dirty_high_ratio_micro, p.min_write_recency_for_promote,
            p.use_gmt_hitset, p.fast_read, p.hit_set_grade_decay_rate, p.hit_set_search_last_n,
            p.options, p.last_force_op_resend_prenautilus, p.application_metadata, p.create_time,
            p.pg_num_target, p.pgp_num_target, p.pg_num_pending, p.unused_dec_started,
            p.unused_dec_clean, p.last_force_op_resend, p.pg_autoscale_mode, p.last_pg_merge);
        if (envelope.version >= 30)
            all(io, p.peering_crush_bucket_count, p.peering_crush_bucket_target,
                p.peering_crush_bucket_barrier, p.peering_crush_mandatory_member);
    };
    io.versioned(envelope, 5, "a pool", body);
    if constexpr (Io::reads) p.envelope.tail = std::move(envelope.tail);
}

} // namespace cloudlet::rados::wire
