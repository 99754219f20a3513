// From one epoch to the next, in the order that Ceph fixes: what a later line sees of an earlier
// one (an OSD destroyed and booted in one step, say) decides the result.

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "cloudlet/rados/crush_codec.h"
#include "cloudlet/rados/osd_map_codec.h"
#include "osd_map_check.h"

namespace cloudlet::rados {
namespace {

constexpr uint8_t luminous = 12, unset_release = 0xff;

size_t at(int32_t osd) { return static_cast<size_t>(osd); }

/// Ceph orders addresses by the bytes of its structure in memory.
std::string sort_key(const Address& address) {
    std::string key(8 + 28, '\0');
    std::memcpy(key.data(), &address.kind, 4);
    std::memcpy(key.data() + 4, &address.nonce, 4);
    address.socket_address.copy(key.data() + 8, 28);
    return key;
}

void update_blocklist(Blocklist& list, const Blocklist& added,
                      const std::vector<Address>& removed) {
    auto same = [](const Address& a) {
        return [key = sort_key(a)](const auto& entry) { return sort_key(entry.first) == key; };
    };
    for (const auto& entry : added)
        if (std::none_of(list.begin(), list.end(), same(entry.first))) list.push_back(entry);
    for (const Address& address : removed) std::erase_if(list, same(address));
    if (!added.empty())
        std::stable_sort(list.begin(), list.end(), [](const auto& a, const auto& b) {
            return sort_key(a.first) < sort_key(b.first);
        });
}

SnapIntervals unite(const SnapIntervals& a, const SnapIntervals& b) {
    SnapIntervals sorted = a, united;
    sorted.insert(sorted.end(), b.begin(), b.end());
    std::sort(sorted.begin(), sorted.end());
    for (const auto& [start, length] : sorted) {
        if (united.empty() || united.back().first + united.back().second < start) {
            united.emplace_back(start, length);
            continue;
        }
        uint64_t end = std::max(united.back().first + united.back().second, start + length);
        united.back().second = end - united.back().first;
    }
    return united;
}

SnapIntervals subtract(const SnapIntervals& from, const SnapIntervals& what) {
    SnapIntervals rest;
    for (auto [start, length] : from) {
        uint64_t end = start + length;
        for (const auto& [cut, cut_length] : what) {
            if (cut + cut_length <= start || cut >= end) continue;
            if (cut > start) rest.emplace_back(start, cut - start);
            start = std::min(end, cut + cut_length);
        }
        if (start < end) rest.emplace_back(start, end - start);
    }
    return rest;
}

/// Every OSD that a step names must have its place in the map.
Result<void> check_osds(const OsdMapIncremental& s, int32_t max_osd) {
    Result<void> result;
    auto check_keys = [&](const auto& map, const char* what) {
        for (const auto& [osd, value] : map)
            if (osd < 0 || osd >= max_osd)
                result = fail(Code::invalid,
                              fmt::format("incremental OSD map {}: {} names osd.{}, max_osd is {}",
                                          s.epoch, what, osd, max_osd));
    };
    check_keys(s.new_weight, "new_weight");
    check_keys(s.new_primary_affinity, "new_primary_affinity");
    check_keys(s.new_state, "new_state");
    check_keys(s.new_up_client, "new_up_client");
    check_keys(s.new_up_cluster, "new_up_cluster");
    check_keys(s.new_heartbeat_back, "new_hb_back_up");
    check_keys(s.new_heartbeat_front, "new_hb_front_up");
    check_keys(s.new_up_thru, "new_up_thru");
    check_keys(s.new_last_clean_interval, "new_last_clean_interval");
    check_keys(s.new_lost, "new_lost");
    check_keys(s.new_extra, "new_xinfo");
    check_keys(s.new_uuid, "new_uuid");
    return result;
}

void apply_pools(OsdMap& m, const OsdMapIncremental& s) {
    if (s.new_pool_max != -1) m.pool_max = static_cast<int32_t>(s.new_pool_max);
    for (const auto& [id, pool] : s.new_pools) {
        m.pools[id] = pool;
        m.pools[id].last_change = m.epoch;
    }
    m.new_removed_snaps = s.new_removed_snaps;
    m.new_purged_snaps = s.new_purged_snaps;
    for (const auto& [id, snaps] : s.new_removed_snaps)
        m.removed_snaps_queue[id] = unite(m.removed_snaps_queue[id], snaps);
    for (const auto& [id, snaps] : s.new_purged_snaps) {
        SnapIntervals rest = subtract(m.removed_snaps_queue[id], snaps);
        if (rest.empty()) {
            m.removed_snaps_queue.erase(id);
        } else {
            m.removed_snaps_queue[id] = std::move(rest);
        }
    }
    for (const auto& [id, name] : s.new_pool_names) m.pool_names[id] = name;
    for (PoolId id : s.old_pools) {
        m.pools.erase(id);
        m.pool_names.erase(id);
    }
    for (const std::string& name : s.old_erasure_code_profiles) m.erasure_code_profiles.erase(name);
    for (const auto& [name, profile] : s.new_erasure_code_profiles)
        m.erasure_code_profiles[name] = profile;
}

void forget_osd(OsdMap& m, int32_t osd) {
    m.osd_uuid[at(osd)] = {};
    m.osd_info[at(osd)] = {};
    m.osd_extra[at(osd)] = {};
    m.set_affinity(osd, full_affinity);
    m.client_addresses[at(osd)] = m.cluster_addresses[at(osd)] = {};
    m.heartbeat_front_addresses[at(osd)] = m.heartbeat_back_addresses[at(osd)] = {};
    m.osd_state[at(osd)] = 0;
}

void apply_states(OsdMap& m, const OsdMapIncremental& s) {
    for (const auto& [osd, weight] : s.new_weight) {
        m.osd_weight[at(osd)] = weight;
        if (weight) { // marked in: it exists, and what marked it out is over
            m.osd_state[at(osd)] |= osd_exists;
            m.osd_state[at(osd)] &= ~(osd_autoout | osd_new);
            m.osd_extra[at(osd)].old_weight = 0;
        }
    }
    for (const auto& [osd, affinity] : s.new_primary_affinity) m.set_affinity(osd, affinity);
    for (const auto& [osd, bits] : s.new_state) {
        uint32_t change = bits ? bits : uint32_t{osd_up};
        uint32_t& state = m.osd_state[at(osd)];
        if (state & change & osd_up) {
            m.osd_info[at(osd)].down_at = m.epoch;
            m.osd_extra[at(osd)].down_stamp = m.modified;
        }
        if (state & change & osd_exists) {
            forget_osd(m, osd);
        } else {
            state ^= change;
        }
    }
    for (const auto& [osd, addresses] : s.new_up_client) {
        m.osd_state[at(osd)] |= osd_exists | osd_up;
        m.osd_state[at(osd)] &= ~osd_stop;
        m.client_addresses[at(osd)] = addresses;
        auto back = s.new_heartbeat_back.find(osd), front = s.new_heartbeat_front.find(osd);
        m.heartbeat_back_addresses[at(osd)] =
            back == s.new_heartbeat_back.end() ? AddressVector{} : back->second;
        m.heartbeat_front_addresses[at(osd)] =
            front == s.new_heartbeat_front.end() ? AddressVector{} : front->second;
        m.osd_info[at(osd)].up_from = m.epoch;
    }
    for (const auto& [osd, addresses] : s.new_up_cluster) m.cluster_addresses[at(osd)] = addresses;
}

void apply_osd_records(OsdMap& m, const OsdMapIncremental& s) {
    for (const auto& [osd, epoch] : s.new_up_thru) m.osd_info[at(osd)].up_thru = epoch;
    for (const auto& [osd, interval] : s.new_last_clean_interval) {
        m.osd_info[at(osd)].last_clean_begin = interval.first;
        m.osd_info[at(osd)].last_clean_end = interval.second;
    }
    for (const auto& [osd, epoch] : s.new_lost) m.osd_info[at(osd)].lost_at = epoch;
    for (const auto& [osd, extra] : s.new_extra) m.osd_extra[at(osd)] = extra;
    for (const auto& [osd, uuid] : s.new_uuid) m.osd_uuid[at(osd)] = uuid;
}

void apply_exceptions(OsdMap& m, const OsdMapIncremental& s) {
    for (const auto& [pg, osds] : s.new_pg_temp) {
        if (osds.empty()) {
            m.pg_temp.erase(pg);
        } else {
            m.pg_temp[pg] = osds;
        }
    }
    for (const auto& [pg, osd] : s.new_primary_temp) {
        if (osd == no_osd) {
            m.primary_temp.erase(pg);
        } else {
            m.primary_temp[pg] = osd;
        }
    }
    for (const auto& [pg, osds] : s.new_pg_upmap) m.pg_upmap[pg] = osds;
    for (const PgId& pg : s.old_pg_upmap) m.pg_upmap.erase(pg);
    for (const auto& [pg, items] : s.new_pg_upmap_items) m.pg_upmap_items[pg] = items;
    for (const PgId& pg : s.old_pg_upmap_items) m.pg_upmap_items.erase(pg);
    update_blocklist(m.blocklist, s.new_blocklist, s.old_blocklist);
    update_blocklist(m.range_blocklist, s.new_range_blocklist, s.old_range_blocklist);
    auto set_flags = [](auto& flags, const auto& changes) {
        for (const auto& [id, bits] : changes) {
            if (bits) {
                flags[id] = bits;
            } else {
                flags.erase(id);
            }
        }
    };
    set_flags(m.crush_node_flags, s.new_crush_node_flags);
    set_flags(m.device_class_flags, s.new_device_class_flags);
}

void apply_settings(OsdMap& m, const OsdMapIncremental& s) {
    m.cluster_snapshot = s.cluster_snapshot;
    m.cluster_snapshot_epoch = s.cluster_snapshot.empty() ? 0 : s.epoch;
    if (s.new_nearfull_ratio >= 0) m.nearfull_ratio = s.new_nearfull_ratio;
    if (s.new_backfillfull_ratio >= 0) m.backfillfull_ratio = s.new_backfillfull_ratio;
    if (s.new_full_ratio >= 0) m.full_ratio = s.new_full_ratio;
    if (s.new_require_min_compat_client != unset_release && s.new_require_min_compat_client > 0)
        m.require_min_compat_client = s.new_require_min_compat_client;
    if (s.new_require_osd_release != unset_release) {
        m.require_osd_release = s.new_require_osd_release;
        m.flags = m.effective_flags();
    }
    if (s.change_stretch_mode) m.stretch = s.new_stretch;
}

Result<void> apply_crush(OsdMap& m, const OsdMapIncremental& s) {
    if (s.crush.empty()) return {};
    m.crush = std::make_shared<CrushMap>(
        TRY(with_context(decode_crush_map(s.crush), "the CRUSH map of an incremental OSD map")));
    m.crush_bytes = std::make_shared<const std::string>(s.crush);
    if (m.require_osd_release >= luminous) ++m.crush_version;
    std::erase_if(m.device_class_flags,
                  [&](const auto& entry) { return !m.crush->class_names.contains(entry.first); });
    return {};
}

} // namespace

Result<OsdMap> apply_incremental(const OsdMap& map, const OsdMapIncremental& s) {
    if (s.epoch != map.epoch + 1)
        return fail(Code::conflict, fmt::format("the step to epoch {} does not follow epoch {}; "
                                                "apply the steps in between",
                                                s.epoch, map.epoch));
    if (s.epoch != 1 && s.fsid != map.fsid)
        return fail(Code::conflict, fmt::format("the step belongs to cluster {}, the map to {}",
                                                s.fsid.to_string(), map.fsid.to_string()));
    if (!s.full_map.empty()) return decode_osd_map(s.full_map);
    if (s.new_max_osd > max_osd_limit)
        return fail(Code::too_large, fmt::format("new_max_osd is {}, at most {} can be",
                                                 s.new_max_osd, max_osd_limit));
    TRY(check_osds(s, s.new_max_osd >= 0 ? s.new_max_osd : map.max_osd()));
    TRY(check_pools(s.new_pools));
    OsdMap m = map;
    m.fsid = s.fsid;
    m.epoch = s.epoch;
    m.modified = s.modified;
    if (s.new_flags >= 0) m.flags = static_cast<uint32_t>(s.new_flags);
    if (s.new_max_osd >= 0) m.resize_osds(s.new_max_osd);
    if (s.new_last_up_change != Timestamp{}) m.last_up_change = s.new_last_up_change;
    if (s.new_last_in_change != Timestamp{}) m.last_in_change = s.new_last_in_change;
    apply_pools(m, s);
    apply_states(m, s);
    apply_osd_records(m, s);
    apply_exceptions(m, s);
    apply_settings(m, s);
    TRY(apply_crush(m, s));
    if (m.osd_part.version <= 11) m.osd_part.version = 9; // the encoder raises it as needed
    return m;
}

Result<OsdMap> apply_checked(const OsdMap& map, const OsdMapIncremental& step) {
    OsdMap next = TRY(apply_incremental(map, step));
    if (!step.full_crc) return next;
    uint32_t crc = TRY(encoded_osd_map_crc(encode_osd_map(next)));
    if (crc != step.full_crc)
        return fail(Code::conflict,
                    fmt::format("epoch {} has checksum {:08x}, the step says {:08x}: the maps have "
                                "diverged; fetch the full map",
                                step.epoch, crc, step.full_crc));
    return next;
}

} // namespace cloudlet::rados
