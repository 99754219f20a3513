#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cloudlet/rados/placement.h"
#include "tools/osd_map_text.h"

namespace cloudlet::rados {
namespace {

constexpr uint32_t most_hit_sets = 10'000; // more is a damaged map

size_t at(int32_t osd) { return static_cast<size_t>(osd); }

template <typename List>
void dump_ids(DumpWriter& out, std::string_view name, std::string_view element, const List& ids) {
    out.open_array(name);
    for (auto id : ids) out.number(element, static_cast<int64_t>(id));
    out.close();
}

void dump_header(const OsdMap& m, DumpWriter& out) {
    out.number("epoch", m.epoch);
    out.text("fsid", m.fsid.to_string());
    out.text("created", time_text(m.created));
    out.text("modified", time_text(m.modified));
    out.text("last_up_change", time_text(m.last_up_change));
    out.text("last_in_change", time_text(m.last_in_change));
    std::string flags = map_flags_text(m.effective_flags());
    out.text("flags", flags);
    out.unsigned_number("flags_num", m.effective_flags());
    std::set<std::string> names;
    for (uint32_t bit = 1; bit; bit <<= 1)
        if (m.effective_flags() & bit) names.insert(map_flags_text(bit)); // "": nameless
    out.open_array("flags_set");
    for (const std::string& name : names) out.text("flag", name);
    out.close();
    out.unsigned_number("crush_version", m.crush_version);
    out.real("full_ratio", m.full_ratio);
    out.real("backfillfull_ratio", m.backfillfull_ratio);
    out.real("nearfull_ratio", m.nearfull_ratio);
    bool current = m.cluster_snapshot_epoch == m.epoch;
    out.text("cluster_snapshot", current ? m.cluster_snapshot : "");
    out.number("pool_max", m.pool_max);
    out.number("max_osd", m.max_osd());
    out.text("require_min_compat_client", release_text(m.require_min_compat_client));
    out.text("min_compat_client", release_text(min_compat_client(m)));
    out.text("require_osd_release", release_text(m.require_osd_release));
}

void dump_merge(const MergeMeta& merge, DumpWriter& out) {
    out.open_object("last_pg_merge_meta");
    out.text("source_pgid", merge.source.to_string());
    out.number("ready_epoch", merge.ready_epoch);
    out.number("last_epoch_started", merge.last_epoch_started);
    out.number("last_epoch_clean", merge.last_epoch_clean);
    out.text("source_version", fmt::format("{}'{}", merge.source_epoch, merge.source_version));
    out.text("target_version", fmt::format("{}'{}", merge.target_epoch, merge.target_version));
    out.close();
}

void dump_hit_set(const Pool& p, DumpWriter& out) {
    out.open_object("hit_set_params");
    constexpr const char* kinds[] = {"none", "explicit_hash", "explicit_object", "bloom"};
    out.text("type", p.hit_set.kind < 4 ? kinds[p.hit_set.kind] : "???");
    if (p.hit_set.kind == 3) {
        out.real("false_positive_probability", p.hit_set.false_positive_micro / 1e6);
        out.number("target_size", static_cast<int64_t>(p.hit_set.target_size));
        out.number("seed", static_cast<int64_t>(p.hit_set.seed));
    }
    out.close();
    out.unsigned_number("hit_set_period", p.hit_set_period);
    out.unsigned_number("hit_set_count", p.hit_set_count);
    out.boolean("use_gmt_hitset", p.use_gmt_hitset);
    out.unsigned_number("min_read_recency_for_promote",
                        static_cast<uint32_t>(p.min_read_recency_for_promote));
    out.unsigned_number("min_write_recency_for_promote",
                        static_cast<uint32_t>(p.min_write_recency_for_promote));
    out.unsigned_number("hit_set_grade_decay_rate",
                        static_cast<uint32_t>(p.hit_set_grade_decay_rate));
    out.unsigned_number("hit_set_search_last_n", static_cast<uint32_t>(p.hit_set_search_last_n));
    // What a hit set of each age weighs: each older one a further decay_rate percent less.
    out.open_array("grade_table");
    uint32_t grade = 1'000'000;
    for (uint32_t i = 0; i < std::min(p.hit_set_count, most_hit_sets); ++i) {
        grade = static_cast<uint32_t>(grade * (1 - p.hit_set_grade_decay_rate / 100.0));
        out.unsigned_number("value", grade);
    }
    out.close();
}

void dump_snaps(const Pool& p, DumpWriter& out) {
    bool by_pool = p.flags & pool_pool_snaps;
    out.text("snap_mode", by_pool ? "pool" : "selfmanaged");
    out.unsigned_number("snap_seq", p.snap_seq);
    out.unsigned_number("snap_epoch", p.snap_epoch);
    out.open_array("pool_snaps");
    for (const auto& [id, snap] : p.snaps) {
        out.open_object("pool_snap_info");
        out.unsigned_number("snapid", snap.id);
        out.text("stamp", time_text(snap.stamp));
        out.text("name", snap.name);
        out.close();
    }
    out.close();
    std::vector<std::string> runs;
    for (const auto& [start, length] : p.removed_snaps)
        runs.push_back(fmt::format("{:x}~{:x}", start, length));
    out.text("removed_snaps", fmt::format("[{}]", fmt::join(runs, ",")));
}

void dump_cache(const Pool& p, DumpWriter& out) {
    out.unsigned_number("quota_max_bytes", p.quota_max_bytes);
    out.unsigned_number("quota_max_objects", p.quota_max_objects);
    dump_ids(out, "tiers", "pool_id", p.tiers);
    out.number("tier_of", p.tier_of);
    out.number("read_tier", p.read_tier);
    out.number("write_tier", p.write_tier);
    out.text("cache_mode", cache_mode_name(p.cache_mode));
    out.unsigned_number("target_max_bytes", p.target_max_bytes);
    out.unsigned_number("target_max_objects", p.target_max_objects);
    out.unsigned_number("cache_target_dirty_ratio_micro", p.cache_target_dirty_ratio_micro);
    out.unsigned_number("cache_target_dirty_high_ratio_micro",
                        p.cache_target_dirty_high_ratio_micro);
    out.unsigned_number("cache_target_full_ratio_micro", p.cache_target_full_ratio_micro);
    out.unsigned_number("cache_min_flush_age", p.cache_min_flush_age);
    out.unsigned_number("cache_min_evict_age", p.cache_min_evict_age);
    out.text("erasure_code_profile", p.erasure_code_profile);
}

void dump_settings(const Pool& p, DumpWriter& out) {
    out.unsigned_number("stripe_width", p.stripe_width);
    out.unsigned_number("expected_num_objects", p.expected_num_objects);
    out.boolean("fast_read", p.fast_read);
    out.open_object("options");
    for (const auto& [name, key] : named_options(p.options)) {
        const PoolOption& value = p.options.values.at(key);
        if (const auto* text = std::get_if<std::string>(&value)) out.text(name, *text);
        if (const auto* number = std::get_if<int64_t>(&value)) out.number(name, *number);
        if (const auto* real = std::get_if<double>(&value)) out.real(name, *real);
    }
    out.close();
    out.open_object("application_metadata");
    for (const auto& [application, settings] : p.application_metadata) {
        out.open_object(application);
        for (const auto& [key, value] : settings) out.text(key, value);
        out.close();
    }
    out.close();
}

void dump_pool(const OsdMap& m, PoolId id, const Pool& p, DumpWriter& out) {
    out.open_object("pool");
    out.number("pool", id);
    out.text("pool_name", m.pool_name(id));
    out.text("create_time", time_text(p.create_time));
    out.unsigned_number("flags", p.flags);
    out.text("flags_names", pool_flags_text(p.flags));
    out.number("type", static_cast<int64_t>(p.type));
    out.number("size", p.size);
    out.number("min_size", p.min_size);
    out.number("crush_rule", p.crush_rule);
    out.number("peering_crush_bucket_count", p.peering_crush_bucket_count);
    out.number("peering_crush_bucket_target", p.peering_crush_bucket_target);
    out.number("peering_crush_bucket_barrier", p.peering_crush_bucket_barrier);
    out.number("peering_crush_bucket_mandatory_member", p.peering_crush_mandatory_member);
    out.number("object_hash", p.object_hash);
    out.text("pg_autoscale_mode", autoscale_mode_name(p.pg_autoscale_mode));
    out.unsigned_number("pg_num", p.pg_num);
    out.unsigned_number("pg_placement_num", p.pgp_num);
    out.unsigned_number("pg_placement_num_target", p.pgp_num_target);
    out.unsigned_number("pg_num_target", p.pg_num_target);
    out.unsigned_number("pg_num_pending", p.pg_num_pending);
    dump_merge(p.last_pg_merge, out);
    out.text("last_change", std::to_string(p.last_change));
    out.text("last_force_op_resend", std::to_string(p.last_force_op_resend));
    out.text("last_force_op_resend_prenautilus",
             std::to_string(p.last_force_op_resend_prenautilus));
    out.text("last_force_op_resend_preluminous",
             std::to_string(p.last_force_op_resend_preluminous));
    out.unsigned_number("auid", p.auid);
    dump_snaps(p, out);
    dump_cache(p, out);
    dump_hit_set(p, out);
    dump_settings(p, out);
    out.close();
}

void dump_addresses(DumpWriter& out, std::string_view name, const AddressVector& addresses) {
    out.open_object(name);
    out.open_array("addrvec");
    for (const Address& address : addresses.addresses) {
        constexpr const char* kinds[] = {"none", "v1", "v2", "any", "cidr"};
        auto kind = static_cast<uint32_t>(address.kind);
        out.open_object("addr");
        out.text("type", kind < 5 ? kinds[kind] : "???");
        out.text("addr", address.host_port());
        out.unsigned_number("nonce", address.nonce);
        out.close();
    }
    out.close();
    out.close();
}

void dump_osd(const OsdMap& m, int32_t osd, DumpWriter& out) {
    const OsdInfo& info = m.osd_info[at(osd)];
    out.open_object("osd_info");
    out.number("osd", osd);
    out.text("uuid", m.osd_uuid[at(osd)].to_string());
    out.number("up", m.is_up(osd));
    out.number("in", !m.is_out(osd));
    out.real("weight", static_cast<float>(m.osd_weight[at(osd)]) / 65536.0f);
    out.real("primary_affinity", static_cast<float>(m.affinity(osd)) / 65536.0f);
    out.number("last_clean_begin", info.last_clean_begin);
    out.number("last_clean_end", info.last_clean_end);
    out.number("up_from", info.up_from);
    out.number("up_thru", info.up_thru);
    out.number("down_at", info.down_at);
    out.number("lost_at", info.lost_at);
    dump_addresses(out, "public_addrs", m.client_addresses[at(osd)]);
    dump_addresses(out, "cluster_addrs", m.cluster_addresses[at(osd)]);
    dump_addresses(out, "heartbeat_back_addrs", m.heartbeat_back_addresses[at(osd)]);
    dump_addresses(out, "heartbeat_front_addrs", m.heartbeat_front_addresses[at(osd)]);
    out.text("public_addr", m.client_addresses[at(osd)].legacy_string());
    out.text("cluster_addr", m.cluster_addresses[at(osd)].legacy_string());
    out.text("heartbeat_back_addr", m.heartbeat_back_addresses[at(osd)].legacy_string());
    out.text("heartbeat_front_addr", m.heartbeat_front_addresses[at(osd)].legacy_string());
    out.open_array("state");
    for (const std::string& name : osd_state_names(m.osd_state[at(osd)])) out.text("state", name);
    out.close();
    out.close();
}

void dump_extra(const OsdMap& m, int32_t osd, DumpWriter& out) {
    const OsdExtraInfo& extra = m.osd_extra[at(osd)];
    out.open_object("xinfo");
    out.number("osd", osd);
    out.text("down_stamp", time_text(extra.down_stamp));
    auto probability =
        static_cast<float>(extra.laggy_probability) / static_cast<float>(0xffffffffu);
    out.real("laggy_probability", probability);
    out.number("laggy_interval", extra.laggy_interval);
    out.number("features", static_cast<int64_t>(extra.features));
    out.unsigned_number("old_weight", extra.old_weight);
    out.text("last_purged_snaps_scrub", time_text(extra.last_purged_snaps_scrub));
    out.number("dead_epoch", extra.dead_epoch);
    out.close();
}

void dump_osds(const OsdMap& m, DumpWriter& out) {
    out.open_array("osds");
    for (int32_t osd = 0; osd < m.max_osd(); ++osd)
        if (m.exists(osd)) dump_osd(m, osd, out);
    out.close();
    out.open_array("osd_xinfo");
    for (int32_t osd = 0; osd < m.max_osd(); ++osd)
        if (m.exists(osd)) dump_extra(m, osd, out);
    out.close();
}

void dump_pg_osds(DumpWriter& out, std::string_view name, std::string_view element,
                  const PgOsds& entries) {
    out.open_array(name);
    for (const auto& [pg, osds] : entries) {
        out.open_object(element);
        out.text("pgid", pg.to_string());
        dump_ids(out, "osds", "osd", osds);
        out.close();
    }
    out.close();
}

void dump_pg_exceptions(const OsdMap& m, DumpWriter& out) {
    dump_pg_osds(out, "pg_upmap", "mapping", m.pg_upmap);
    out.open_array("pg_upmap_items");
    for (const auto& [pg, items] : m.pg_upmap_items) {
        out.open_object("mapping");
        out.text("pgid", pg.to_string());
        out.open_array("mappings");
        for (const auto& [from, to] : items) {
            out.open_object("mapping");
            out.number("from", from);
            out.number("to", to);
            out.close();
        }
        out.close();
        out.close();
    }
    out.close();
    dump_pg_osds(out, "pg_temp", "osds", m.pg_temp);
    out.open_array("primary_temp");
    for (const auto& [pg, osd] : m.primary_temp) {
        out.text("pgid", pg.to_string());
        out.number("osd", osd);
    }
    out.close();
}

void dump_blocklist(DumpWriter& out, std::string_view name, const Blocklist& list) {
    out.open_object(name);
    for (const auto& [address, until] : list) out.text(address.to_string(), time_text(until));
    out.close();
}

void dump_snap_queue(DumpWriter& out, std::string_view name, const SnapQueues& queues) {
    out.open_array(name);
    for (const auto& [pool, snaps] : queues) {
        out.open_object("pool");
        out.number("pool", pool);
        out.open_array("snaps");
        for (const auto& [start, length] : snaps) {
            out.open_object("interval");
            out.unsigned_number("begin", start);
            out.unsigned_number("length", length);
            out.close();
        }
        out.close();
        out.close();
    }
    out.close();
}

template <typename NameOf>
void dump_flags(DumpWriter& out, std::string_view name, const std::map<int32_t, uint32_t>& flags,
                NameOf name_of) {
    out.open_object(name);
    for (const auto& [id, bits] : flags) {
        out.open_array(name_of(id));
        for (const std::string& flag : osd_state_names(bits)) out.text("flag", flag);
        out.close();
    }
    out.close();
}

void dump_rest(const OsdMap& m, DumpWriter& out) {
    dump_blocklist(out, "blocklist", m.blocklist);
    dump_blocklist(out, "range_blocklist", m.range_blocklist);
    out.open_object("erasure_code_profiles");
    for (const auto& [name, profile] : m.erasure_code_profiles) {
        out.open_object(name);
        for (const auto& [key, value] : profile) out.text(key, value);
        out.close();
    }
    out.close();
    dump_snap_queue(out, "removed_snaps_queue", m.removed_snaps_queue);
    dump_snap_queue(out, "new_removed_snaps", m.new_removed_snaps);
    dump_snap_queue(out, "new_purged_snaps", m.new_purged_snaps);
    dump_flags(out, "crush_node_flags", m.crush_node_flags, [&](int32_t id) {
        auto found = m.crush->item_names.find(id);
        return found == m.crush->item_names.end() ? std::to_string(id) : found->second;
    });
    dump_flags(out, "device_class_flags", m.device_class_flags, [&](int32_t id) {
        auto found = m.crush->class_names.find(id);
        return found == m.crush->class_names.end() ? std::to_string(id) : found->second;
    });
    out.open_object("stretch_mode");
    out.boolean("stretch_mode_enabled", m.stretch.enabled);
    out.unsigned_number("stretch_bucket_count", m.stretch.bucket_count);
    out.unsigned_number("degraded_stretch_mode", m.stretch.degraded);
    out.unsigned_number("recovering_stretch_mode", m.stretch.recovering);
    out.number("stretch_mode_bucket", m.stretch.bucket);
    out.close();
}

} // namespace

void dump_osd_map(const OsdMap& map, DumpWriter& out) {
    out.open_object("osdmap");
    dump_header(map, out);
    out.open_array("pools");
    for (const auto& [id, pool] : map.pools) dump_pool(map, id, pool, out);
    out.close();
    dump_osds(map, out);
    dump_pg_exceptions(map, out);
    dump_rest(map, out);
    out.close();
}

} // namespace cloudlet::rados
