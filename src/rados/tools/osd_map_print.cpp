#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cloudlet/rados/placement.h"
#include "tools/osd_map_text.h"

namespace cloudlet::rados {
namespace {

size_t at(int32_t osd) { return static_cast<size_t>(osd); }

/// A float as an output stream prints it: six significant digits.
std::string short_number(double value) { return fmt::format("{:g}", value); }

std::string weight_text(uint32_t weight) { return short_number(weight / 65536.0); }

class PoolLine {
public:
    template <typename T>
    void word(std::string_view name, const T& value) {
        text_ += fmt::format(" {} {}", name, value);
    }
    /// Only when it is set.
    template <typename T>
    void unless(T absent, std::string_view name, T value) {
        if (value != absent) word(name, value);
    }
    std::string& text() { return text_; }

private:
    std::string text_;
};

std::string hit_set_text(const HitSetParameters& hits) {
    switch (hits.kind) {
    case 1: return "explicit_hash{}";
    case 2: return "explicit_object{}";
    default:
        return fmt::format("bloom{{false_positive_probability: {}, target_size: {}, seed: {}}}",
                           short_number(hits.false_positive_micro / 1e6), hits.target_size,
                           hits.seed);
    }
}

void add_cache(PoolLine& line, const Pool& p) {
    if (!p.tiers.empty()) line.word("tiers", fmt::format("{}", fmt::join(p.tiers, ",")));
    line.unless<PoolId>(-1, "tier_of", p.tier_of);
    line.unless<PoolId>(-1, "read_tier", p.read_tier);
    line.unless<PoolId>(-1, "write_tier", p.write_tier);
    if (p.cache_mode) line.word("cache_mode", cache_mode_name(p.cache_mode));
    line.unless<uint64_t>(0, "target_bytes", p.target_max_bytes);
    line.unless<uint64_t>(0, "target_objects", p.target_max_objects);
    if (p.hit_set.kind) {
        line.word("hit_set", hit_set_text(p.hit_set));
        line.text() +=
            fmt::format(" {}s x{} decay_rate {} search_last_n {}", p.hit_set_period,
                        p.hit_set_count, p.hit_set_grade_decay_rate, p.hit_set_search_last_n);
    }
    line.unless(0, "min_read_recency_for_promote", p.min_read_recency_for_promote);
    line.unless(0, "min_write_recency_for_promote", p.min_write_recency_for_promote);
}

void add_options(PoolLine& line, const PoolOptions& options) {
    for (const auto& [name, key] : named_options(options)) {
        const PoolOption& value = options.values.at(key);
        if (const auto* number = std::get_if<double>(&value)) {
            line.word(name, short_number(*number));
        } else if (const auto* text = std::get_if<std::string>(&value)) {
            line.word(name, *text);
        } else {
            line.word(name, std::get<int64_t>(value));
        }
    }
}

std::string pool_text(const Pool& p) {
    PoolLine line;
    line.text() = p.is_erasure() ? "erasure" : "replicated";
    if (p.is_erasure()) line.word("profile", p.erasure_code_profile);
    line.word("size", p.size);
    line.word("min_size", p.min_size);
    line.word("crush_rule", p.crush_rule);
    const char* hash = p.object_hash == 1 ? "linux" : p.object_hash == 2 ? "rjenkins" : "unknown";
    line.word("object_hash", hash);
    line.word("pg_num", p.pg_num);
    line.word("pgp_num", p.pgp_num);
    line.unless(p.pg_num, "pg_num_target", p.pg_num_target);
    line.unless(p.pgp_num, "pgp_num_target", p.pgp_num_target);
    line.unless(p.pg_num, "pg_num_pending", p.pg_num_pending);
    line.word("autoscale_mode", autoscale_mode_name(p.pg_autoscale_mode));
    line.word("last_change", p.last_change);
    if (p.last_force_op_resend || p.last_force_op_resend_prenautilus ||
        p.last_force_op_resend_preluminous)
        line.word("lfor", fmt::format("{}/{}/{}", p.last_force_op_resend,
                                      p.last_force_op_resend_prenautilus,
                                      p.last_force_op_resend_preluminous));
    line.unless<uint64_t>(0, "owner", p.auid);
    if (p.flags) line.word("flags", pool_flags_text(p.flags));
    line.unless<uint64_t>(0, "max_bytes", p.quota_max_bytes);
    line.unless<uint64_t>(0, "max_objects", p.quota_max_objects);
    add_cache(line, p);
    line.word("stripe_width", p.stripe_width);
    line.unless<uint64_t>(0, "expected_num_objects", p.expected_num_objects);
    if (p.fast_read) line.word("fast_read", p.fast_read);
    add_options(line, p.options);
    if (!p.application_metadata.empty()) {
        std::vector<std::string> names;
        for (const auto& [name, settings] : p.application_metadata) names.push_back(name);
        line.word("application", fmt::format("{}", fmt::join(names, ",")));
    }
    return line.text();
}

std::string header_text(const OsdMap& m) {
    std::string text = fmt::format(
        "epoch {}\nfsid {}\ncreated {}\nmodified {}\nflags {}\ncrush_version {}\nfull_ratio {}\n"
        "backfillfull_ratio {}\nnearfull_ratio {}\n",
        m.epoch, m.fsid.to_string(), time_text(m.created), time_text(m.modified),
        map_flags_text(m.effective_flags()), m.crush_version, short_number(m.full_ratio),
        short_number(m.backfillfull_ratio), short_number(m.nearfull_ratio));
    if (m.require_min_compat_client)
        text += fmt::format("require_min_compat_client {}\n",
                            release_text(m.require_min_compat_client));
    text += fmt::format("min_compat_client {}\n", release_text(min_compat_client(m)));
    if (m.require_osd_release)
        text += fmt::format("require_osd_release {}\n", release_text(m.require_osd_release));
    text += fmt::format("stretch_mode_enabled {}\n", m.stretch.enabled ? "true" : "false");
    if (m.stretch.enabled)
        text += fmt::format("stretch_bucket_count {}\ndegraded_stretch_mode {}\n"
                            "recovering_stretch_mode {}\nstretch_mode_bucket {}\n",
                            m.stretch.bucket_count, m.stretch.degraded, m.stretch.recovering,
                            m.stretch.bucket);
    if (!m.cluster_snapshot.empty() && m.cluster_snapshot_epoch == m.epoch)
        text += fmt::format("cluster_snapshot {}\n", m.cluster_snapshot);
    return text + "\n";
}

std::string runs_text(const SnapIntervals& snaps) {
    std::vector<std::string> runs;
    for (const auto& [start, length] : snaps)
        runs.push_back(fmt::format("{:x}~{:x}", start, length));
    return fmt::format("[{}]", fmt::join(runs, ","));
}

std::string pools_text(const OsdMap& m) {
    std::string text;
    for (const auto& [id, pool] : m.pools) {
        text += fmt::format("pool {} '{}' {}\n", id, m.pool_name(id), pool_text(pool));
        for (const auto& [snap, info] : pool.snaps)
            text += fmt::format("\tsnap {} '{}' {}\n", info.id, info.name, time_text(info.stamp));
        if (!pool.removed_snaps.empty())
            text += fmt::format("\tremoved_snaps {}\n", runs_text(pool.removed_snaps));
        if (auto queue = m.removed_snaps_queue.find(id); queue != m.removed_snaps_queue.end())
            text += fmt::format("\tremoved_snaps_queue {}\n", runs_text(queue->second));
    }
    return text + "\n";
}

std::string osd_text(const OsdMap& m, int32_t osd) {
    const OsdInfo& info = m.osd_info[at(osd)];
    std::string text =
        fmt::format("osd.{} {} {} weight {}", osd, m.is_up(osd) ? "up  " : "down",
                    m.is_out(osd) ? "out" : "in ", weight_text(m.osd_weight[at(osd)]));
    if (m.affinity(osd) != full_affinity)
        text += fmt::format(" primary_affinity {}", weight_text(m.affinity(osd)));
    text +=
        fmt::format(" up_from {} up_thru {} down_at {} last_clean_interval [{},{})", info.up_from,
                    info.up_thru, info.down_at, info.last_clean_begin, info.last_clean_end);
    if (info.lost_at) text += fmt::format(" lost_at {}", info.lost_at);
    text += fmt::format(" {} {} {}", m.client_addresses[at(osd)].to_string(),
                        m.cluster_addresses[at(osd)].to_string(),
                        fmt::join(osd_state_names(m.osd_state[at(osd)]), ","));
    if (m.osd_uuid[at(osd)] != Uuid{}) text += fmt::format(" {}", m.osd_uuid[at(osd)].to_string());
    return text + "\n";
}

std::string exceptions_text(const OsdMap& m) {
    std::string text;
    for (const auto& [pg, osds] : m.pg_upmap)
        text += fmt::format("pg_upmap {} {}\n", pg.to_string(), osds_to_string(osds));
    for (const auto& [pg, items] : m.pg_upmap_items) {
        std::vector<std::string> pairs;
        for (const auto& [from, to] : items) pairs.push_back(fmt::format("{},{}", from, to));
        text += fmt::format("pg_upmap_items {} [{}]\n", pg.to_string(), fmt::join(pairs, ","));
    }
    for (const auto& [pg, osds] : m.pg_temp)
        text += fmt::format("pg_temp {} {}\n", pg.to_string(), osds_to_string(osds));
    for (const auto& [pg, osd] : m.primary_temp)
        text += fmt::format("primary_temp {} {}\n", pg.to_string(), osd);
    for (const auto& [address, until] : m.blocklist)
        text += fmt::format("blocklist {} expires {}\n", address.to_string(), time_text(until));
    for (const auto& [address, until] : m.range_blocklist)
        text +=
            fmt::format("range blocklist {} expires {}\n", address.to_string(), time_text(until));
    return text;
}

} // namespace

std::string print_osd_map(const OsdMap& map) {
    std::string text = header_text(map) + pools_text(map);
    text += fmt::format("max_osd {}\n", map.max_osd());
    for (int32_t osd = 0; osd < map.max_osd(); ++osd)
        if (map.exists(osd)) text += osd_text(map, osd);
    text += "\n";
    return text + exceptions_text(map);
}

} // namespace cloudlet::rados
