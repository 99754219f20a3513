#include "cloudlet/rados/osd_map_codec.h"

#include <fmt/format.h>

#include "cloudlet/codec/crc32c.h"
#include "cloudlet/rados/crush_codec.h"
#include "osd_map_check.h"
#include "osd_map_fields.h"

namespace cloudlet::rados {
namespace {

using wire::all;
using wire::Is;
using wire::transfer;
using wire::WireReader;
using wire::WireWriter;

constexpr uint8_t wrapper_compat = 7;

/// Versions that the content asks for; a newer one that was read stays.
uint8_t osd_part_version(uint8_t now, bool stretch, bool ranges) {
    uint8_t needed = ranges ? 11 : stretch ? 10 : 9;
    return now > 11 ? now : std::max(needed, now);
}

template <typename Io>
void require_version(Io& io, const Envelope& envelope, uint8_t least) {
    if constexpr (Io::reads) {
        if (envelope.version < least) io.fail("the map has the form of releases before Nautilus");
    }
}

template <typename Io, Is<OsdMap> T>
void client_fields(Io& io, T& m, int32_t& max_osd, std::string& crush) {
    all(io, m.fsid, m.epoch, m.created, m.modified, m.pools, m.pool_names, m.pool_max, m.flags);
    transfer(io, max_osd);
    all(io, m.osd_state, m.osd_weight, m.client_addresses, m.pg_temp, m.primary_temp,
        m.primary_affinity);
    transfer(io, crush);
    all(io, m.erasure_code_profiles, m.pg_upmap, m.pg_upmap_items, m.crush_version,
        m.new_removed_snaps, m.new_purged_snaps, m.last_up_change, m.last_in_change);
}

template <typename Io, Is<OsdMap> T>
void osd_fields(Io& io, T& m, uint8_t version) {
    all(io, m.heartbeat_back_addresses, m.osd_info, m.blocklist, m.cluster_addresses,
        m.cluster_snapshot_epoch, m.cluster_snapshot, m.osd_uuid, m.osd_extra,
        m.heartbeat_front_addresses, m.nearfull_ratio, m.full_ratio, m.backfillfull_ratio,
        m.require_min_compat_client, m.require_osd_release, m.removed_snaps_queue,
        m.crush_node_flags, m.device_class_flags);
    if (version >= 10) transfer(io, m.stretch);
    if (version >= 11) transfer(io, m.range_blocklist);
}

template <typename Io, Is<OsdMapIncremental> T>
void client_fields(Io& io, T& s) {
    all(io, s.fsid, s.epoch, s.modified, s.new_pool_max, s.new_flags, s.full_map, s.crush,
        s.new_max_osd, s.new_pools, s.new_pool_names, s.old_pools, s.new_up_client, s.new_state,
        s.new_weight, s.new_pg_temp, s.new_primary_temp, s.new_primary_affinity,
        s.new_erasure_code_profiles, s.old_erasure_code_profiles, s.new_pg_upmap, s.old_pg_upmap,
        s.new_pg_upmap_items, s.old_pg_upmap_items, s.new_removed_snaps, s.new_purged_snaps,
        s.new_last_up_change, s.new_last_in_change);
}

template <typename Io, Is<OsdMapIncremental> T>
void osd_fields(Io& io, T& s, uint8_t version) {
    all(io, s.new_heartbeat_back, s.new_up_thru, s.new_last_clean_interval, s.new_lost,
        s.new_blocklist, s.old_blocklist, s.new_up_cluster, s.cluster_snapshot, s.new_uuid,
        s.new_extra, s.new_heartbeat_front, s.encode_features, s.new_nearfull_ratio,
        s.new_full_ratio, s.new_backfillfull_ratio, s.new_require_min_compat_client,
        s.new_require_osd_release, s.new_crush_node_flags, s.new_device_class_flags);
    if (version >= 10)
        all(io, s.change_stretch_mode, s.new_stretch.bucket_count, s.new_stretch.degraded,
            s.new_stretch.recovering, s.new_stretch.bucket, s.new_stretch.enabled);
    if (version >= 11) all(io, s.new_range_blocklist, s.old_range_blocklist);
}

/// The CRC of everything but the four bytes at `crc_at`.
uint32_t crc_around(std::string_view bytes, size_t crc_at) {
    uint32_t crc = codec::crc32c(~0u, bytes.substr(0, crc_at));
    return codec::crc32c(crc, bytes.substr(crc_at + sizeof crc));
}

Result<void> verify_crc(std::string_view bytes, size_t crc_at, uint32_t stored,
                        std::string_view what) {
    uint32_t actual = crc_around(bytes, crc_at);
    if (actual == stored) return {};
    return fail(Code::invalid,
                fmt::format("{}: the checksum at offset {} is {:08x}, the bytes give {:08x}: the "
                            "file is damaged; fetch it again",
                            what, crc_at, stored, actual));
}

Result<void> finish_reading(const WireReader& io, size_t size, std::string_view what) {
    if (!io.ok()) return fail(Code::invalid, fmt::format("{}: {}", what, io.error()));
    if (io.offset() != size)
        return fail(Code::invalid, fmt::format("{}: {} bytes too many at offset {}", what,
                                               size - io.offset(), io.offset()));
    return {};
}

Result<void> check_columns(const OsdMap& m, int32_t max_osd) {
    if (max_osd < 0 || max_osd > max_osd_limit)
        return fail(Code::too_large, fmt::format("OSD map: max_osd is {}, at most {} can be",
                                                 max_osd, max_osd_limit));
    auto size = static_cast<size_t>(max_osd);
    const std::pair<const char*, size_t> columns[] = {
        {"states", m.osd_state.size()},
        {"weights", m.osd_weight.size()},
        {"client addresses", m.client_addresses.size()},
        {"cluster addresses", m.cluster_addresses.size()},
        {"heartbeat addresses", m.heartbeat_back_addresses.size()},
        {"heartbeat front addresses", m.heartbeat_front_addresses.size()},
        {"osd_info", m.osd_info.size()},
        {"osd_xinfo", m.osd_extra.size()},
        {"uuids", m.osd_uuid.size()},
        {"primary affinities", m.primary_affinity.empty() ? size : m.primary_affinity.size()}};
    for (const auto& [name, entries] : columns)
        if (entries != size)
            return fail(Code::invalid,
                        fmt::format("OSD map: {} {} for a max_osd of {}", entries, name, max_osd));
    return {};
}

} // namespace

Result<OsdMap> decode_osd_map(std::string_view bytes) {
    OsdMap m;
    int32_t max_osd = 0;
    std::string crush;
    uint32_t crc = 0;
    size_t crc_at = 0;
    WireReader io(bytes);
    io.versioned(m.wrapper, wrapper_compat, "an OSD map", [&] {
        require_version(io, m.wrapper, 8);
        io.versioned(m.client_part, 1, "the clients' part", [&] {
            require_version(io, m.client_part, 9);
            client_fields(io, m, max_osd, crush);
        });
        io.versioned(m.osd_part, 1, "the OSDs' part", [&] {
            require_version(io, m.osd_part, 9);
            osd_fields(io, m, m.osd_part.version);
        });
        crc_at = io.offset();
        transfer(io, crc);
    });
    TRY(finish_reading(io, bytes.size(), "OSD map"));
    TRY(verify_crc(bytes, crc_at, crc, "OSD map"));
    TRY(check_columns(m, max_osd));
    TRY(check_pools(m.pools));
    m.crush = std::make_shared<CrushMap>(
        TRY(with_context(decode_crush_map(crush), "the CRUSH map inside the OSD map")));
    m.crush_bytes = std::make_shared<const std::string>(std::move(crush));
    return m;
}

std::string encode_osd_map(const OsdMap& m) {
    WireWriter io;
    size_t crc_at = 0;
    std::string crush = m.crush_bytes ? *m.crush_bytes : encode_crush_map(*m.crush);
    int32_t max_osd = m.max_osd();
    Envelope osd_part = m.osd_part;
    osd_part.version =
        osd_part_version(m.osd_part.version, m.stretch.enabled, !m.range_blocklist.empty());
    io.versioned(m.wrapper, wrapper_compat, "", [&] {
        io.versioned(m.client_part, 1, "", [&] { client_fields(io, m, max_osd, crush); });
        io.versioned(osd_part, 1, "", [&] { osd_fields(io, m, osd_part.version); });
        crc_at = io.bytes().size();
        io.number(uint32_t{0});
    });
    std::string bytes = std::move(io.bytes());
    uint32_t crc = crc_around(bytes, crc_at);
    std::memcpy(bytes.data() + crc_at, &crc, sizeof crc);
    return bytes;
}

Result<OsdMapIncremental> decode_osd_map_incremental(std::string_view bytes) {
    OsdMapIncremental s;
    uint32_t crc = 0;
    size_t crc_at = 0;
    WireReader io(bytes);
    io.versioned(s.wrapper, wrapper_compat, "an incremental OSD map", [&] {
        require_version(io, s.wrapper, 8);
        io.versioned(s.client_part, 1, "the clients' part", [&] {
            require_version(io, s.client_part, 8);
            client_fields(io, s);
        });
        io.versioned(s.osd_part, 1, "the OSDs' part", [&] {
            require_version(io, s.osd_part, 9);
            osd_fields(io, s, s.osd_part.version);
        });
        crc_at = io.offset();
        all(io, crc, s.full_crc);
    });
    TRY(finish_reading(io, bytes.size(), "incremental OSD map"));
    TRY(verify_crc(bytes, crc_at, crc, "incremental OSD map"));
    return s;
}

std::string encode_osd_map_incremental(const OsdMapIncremental& s) {
    WireWriter io;
    size_t crc_at = 0;
    Envelope osd_part = s.osd_part;
    osd_part.version =
        osd_part_version(s.osd_part.version, s.change_stretch_mode,
                         !s.new_range_blocklist.empty() || !s.old_range_blocklist.empty());
    io.versioned(s.wrapper, wrapper_compat, "", [&] {
        io.versioned(s.client_part, 1, "", [&] { client_fields(io, s); });
        io.versioned(osd_part, 1, "", [&] { osd_fields(io, s, osd_part.version); });
        crc_at = io.bytes().size();
        io.number(uint32_t{0});
        transfer(io, s.full_crc);
    });
    std::string bytes = std::move(io.bytes());
    uint32_t crc = crc_around(bytes, crc_at);
    std::memcpy(bytes.data() + crc_at, &crc, sizeof crc);
    return bytes;
}

Result<uint32_t> encoded_osd_map_crc(std::string_view bytes) {
    WireReader io(bytes);
    Envelope wrapper, part;
    uint32_t crc = 0;
    io.versioned(wrapper, wrapper_compat, "an OSD map", [&] {
        for (const char* what : {"the clients' part", "the OSDs' part"})
            io.versioned(part, 1, what, [] {});
        transfer(io, crc);
    });
    if (!io.ok()) return fail(Code::invalid, "OSD map: " + io.error());
    return crc;
}

} // namespace cloudlet::rados
