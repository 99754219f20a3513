#include "osd_map_random.h"

#include <arpa/inet.h>
#include <cstring>

#include "cloudlet/rados/crush_codec.h"
#include "cloudlet/rados/crush_edit.h"
#include "cloudlet/rados/osd_map_codec.h"
#include "crush/crush_random_map.h"

namespace cloudlet::rados {
namespace {

size_t at(int32_t osd) { return static_cast<size_t>(osd); }

template <typename T>
T up_to(Random& random, uint64_t most) {
    return static_cast<T>(random.below(most + 1));
}

/// Mostly nothing, now and then something.
template <typename T>
T sometimes(Random& random, uint64_t most) {
    return random.chance(0.3) ? up_to<T>(random, most) : T{};
}

Timestamp random_time(Random& random) {
    // Microseconds: what a text shows of it.
    return {1'600'000'000 + up_to<uint32_t>(random, 100'000'000),
            1000 * up_to<uint32_t>(random, 999'999)};
}

Uuid random_uuid(Random& random) {
    Uuid uuid;
    for (uint8_t& byte : uuid.bytes) byte = up_to<uint8_t>(random, 255);
    return uuid;
}

Address random_address(Random& random, Address::Kind kind) {
    Address address{.kind = kind, .nonce = up_to<uint32_t>(random, 100'000)};
    if (random.chance(0.2)) {
        sockaddr_in6 six{};
        six.sin6_family = AF_INET6;
        six.sin6_port = htons(up_to<uint16_t>(random, 65535));
        six.sin6_addr.s6_addr[0] = 0xfd;
        six.sin6_addr.s6_addr[15] = up_to<uint8_t>(random, 255);
        address.socket_address.assign(reinterpret_cast<const char*>(&six), sizeof six);
    } else {
        sockaddr_in four{};
        four.sin_family = AF_INET;
        four.sin_port = htons(up_to<uint16_t>(random, 65535));
        four.sin_addr.s_addr = htonl(0x0a000000 + up_to<uint32_t>(random, 0xffff));
        address.socket_address.assign(reinterpret_cast<const char*>(&four), sizeof four);
    }
    return address;
}

AddressVector random_addresses(Random& random) {
    if (random.chance(0.2)) return {};
    if (random.chance(0.2)) return {{random_address(random, Address::Kind::msgr2)}};
    return {{random_address(random, Address::Kind::msgr2),
             random_address(random, Address::Kind::legacy)}};
}

void fill_cache(Random& random, Pool& p) {
    if (random.chance(0.5)) p.tiers = {3, 7};
    if (random.chance(0.5)) p.tier_of = 2;
    if (random.chance(0.5)) p.read_tier = 3;
    if (random.chance(0.5)) p.write_tier = 3;
    p.cache_mode = up_to<uint8_t>(random, 6);
    p.target_max_bytes = sometimes<uint64_t>(random, 1u << 30);
    p.target_max_objects = sometimes<uint64_t>(random, 1000);
    p.cache_target_dirty_ratio_micro = sometimes<uint32_t>(random, 1'000'000);
    p.cache_target_dirty_high_ratio_micro = sometimes<uint32_t>(random, 1'000'000);
    p.cache_target_full_ratio_micro = sometimes<uint32_t>(random, 1'000'000);
    p.cache_min_flush_age = sometimes<uint32_t>(random, 1000);
    p.cache_min_evict_age = sometimes<uint32_t>(random, 1000);
    p.hit_set.kind = up_to<uint8_t>(random, 3);
    if (p.hit_set.kind == 3) {
        p.hit_set.false_positive_micro = 50'000;
        p.hit_set.target_size = up_to<uint64_t>(random, 1000);
        p.hit_set.seed = up_to<uint64_t>(random, 1000);
    }
    p.hit_set_period = sometimes<uint32_t>(random, 1000);
    p.hit_set_count = sometimes<uint32_t>(random, 8);
    p.hit_set_grade_decay_rate = sometimes<int32_t>(random, 100);
    p.hit_set_search_last_n = sometimes<int32_t>(random, 8);
    p.min_read_recency_for_promote = sometimes<int32_t>(random, 8);
    p.min_write_recency_for_promote = sometimes<int32_t>(random, 8);
}

void fill_options(Random& random, PoolOptions& options) {
    constexpr int32_t reals[] = {0, 1, 2, 8, 17, 18, 19}, texts[] = {6, 7, 14, 21};
    for (int32_t key = 0; key <= 23; ++key) {
        if (!random.chance(0.2)) continue;
        if (std::find(std::begin(reals), std::end(reals), key) != std::end(reals)) {
            options.values[key] = static_cast<double>(random.below(1000)) / 8;
        } else if (std::find(std::begin(texts), std::end(texts), key) != std::end(texts)) {
            options.values[key] = std::string("word");
        } else {
            options.values[key] = up_to<int64_t>(random, 1000);
        }
    }
}

} // namespace

Pool random_pool(Random& random) {
    Pool p;
    p.type = random.chance(0.5) ? PoolType::replicated : PoolType::erasure;
    p.size = static_cast<uint8_t>(1 + random.below(6));
    p.min_size = static_cast<uint8_t>(1 + random.below(p.size));
    p.object_hash = random.chance(0.2) ? 1 : 2;
    uint32_t pgs = 1 + up_to<uint32_t>(random, 40);
    p.set_pg_num(pgs, random.chance(0.7) ? pgs : 1 + up_to<uint32_t>(random, pgs - 1));
    if (random.chance(0.2)) p.pg_num_target = p.pgp_num_target = pgs * 2;
    p.last_change = up_to<uint32_t>(random, 100);
    p.flags = random.chance(0.7) ? uint64_t{pool_hashpspool} : 0;
    p.flags |= sometimes<uint64_t>(random, (1u << 17) - 1) & ~uint64_t{pool_hashpspool};
    p.auid = sometimes<uint64_t>(random, 100);
    p.quota_max_bytes = sometimes<uint64_t>(random, 1u << 30);
    p.quota_max_objects = sometimes<uint64_t>(random, 1000);
    if (random.chance(0.3)) fill_cache(random, p);
    if (random.chance(0.3)) fill_options(random, p.options);
    p.stripe_width = sometimes<uint32_t>(random, 65536);
    p.expected_num_objects = sometimes<uint64_t>(random, 1000);
    p.fast_read = sometimes<uint8_t>(random, 1);
    p.last_force_op_resend = sometimes<uint32_t>(random, 100);
    p.last_force_op_resend_prenautilus = sometimes<uint32_t>(random, 100);
    p.last_force_op_resend_preluminous = sometimes<uint32_t>(random, 100);
    p.pg_autoscale_mode = up_to<uint8_t>(random, 2);
    if (random.chance(0.1)) { // of a stretched cluster
        p.envelope.version = 30;
        p.peering_crush_bucket_count = 2;
        p.peering_crush_bucket_target = 2;
        p.peering_crush_bucket_barrier = 1;
        p.peering_crush_mandatory_member = -1;
    }
    p.create_time = random_time(random);
    if (p.is_erasure()) p.erasure_code_profile = "profile";
    if (random.chance(0.5)) p.application_metadata = {{"rbd", {}}, {"x", {{"key", "value"}}}};
    if (random.chance(0.2)) p.snaps[2] = {.id = 2, .stamp = random_time(random), .name = "s2"};
    // A pool has its own snapshots or its clients', never both.
    p.flags &= ~uint64_t{pool_pool_snaps | pool_selfmanaged_snaps};
    if (!p.snaps.empty()) {
        p.flags |= pool_pool_snaps;
    } else if (random.chance(0.2)) {
        p.flags |= pool_selfmanaged_snaps;
        p.removed_snaps = {{1, 2}, {16, 20}};
    }
    if (p.flags & (pool_pool_snaps | pool_selfmanaged_snaps)) p.snap_seq = 1 + random.below(100);
    p.snap_epoch = sometimes<uint32_t>(random, 100);
    return p;
}

namespace {

void add_osds(Random& random, OsdMap& m) {
    m.resize_osds(m.crush->max_devices + up_to<int32_t>(random, 2));
    double trouble = random.chance(0.3) ? 0.5 : 0.1;
    for (int32_t osd = 0; osd < m.max_osd(); ++osd) {
        if (random.chance(trouble / 3)) continue; // does not exist
        uint32_t state = osd_exists;
        if (!random.chance(trouble)) state |= osd_up;
        if (random.chance(0.1)) state |= up_to<uint32_t>(random, 0x1fff) & ~3u;
        m.osd_state[at(osd)] = state;
        m.osd_weight[at(osd)] = crush_weight_one;
        if (random.chance(trouble)) m.osd_weight[at(osd)] = 0;
        if (random.chance(trouble)) m.osd_weight[at(osd)] = up_to<uint32_t>(random, 0x10000);
        m.client_addresses[at(osd)] = random_addresses(random);
        m.cluster_addresses[at(osd)] = random_addresses(random);
        m.heartbeat_front_addresses[at(osd)] = random_addresses(random);
        m.heartbeat_back_addresses[at(osd)] = random_addresses(random);
        if (random.chance(0.9)) m.osd_uuid[at(osd)] = random_uuid(random);
        OsdInfo& info = m.osd_info[at(osd)];
        for (Epoch* epoch : {&info.last_clean_begin, &info.last_clean_end, &info.up_from,
                             &info.up_thru, &info.down_at, &info.lost_at})
            *epoch = up_to<Epoch>(random, 100);
        if (random.chance(0.5)) info.lost_at = 0;
        m.osd_extra[at(osd)].features = random.next();
        m.osd_extra[at(osd)].old_weight = up_to<uint32_t>(random, 0x10000);
        if (random.chance(0.5)) m.osd_extra[at(osd)].down_stamp = random_time(random);
    }
    if (!random.chance(0.5)) return;
    for (int32_t osd = 0; osd < m.max_osd(); ++osd)
        if (random.chance(0.4))
            m.set_affinity(osd, random.chance(0.3) ? 0 : up_to<uint32_t>(random, 0x10000));
}

int32_t random_osd(Random& random, const OsdMap& m) {
    return static_cast<int32_t>(random.below(at(m.max_osd())));
}

/// A set for an exception: distinct OSDs, with a hole now and then.
std::vector<int32_t> random_set(Random& random, const OsdMap& m, const Pool& pool) {
    std::vector<int32_t> osds;
    for (int32_t i = 0; i < pool.size; ++i) {
        int32_t osd = random_osd(random, m);
        if (std::find(osds.begin(), osds.end(), osd) == osds.end()) osds.push_back(osd);
    }
    if (!pool.can_shift() && random.chance(0.3)) osds[0] = osd_none;
    return osds;
}

std::vector<std::pair<int32_t, int32_t>> random_items(Random& random, const OsdMap& m) {
    std::vector<std::pair<int32_t, int32_t>> items;
    for (uint64_t i = 0; i <= random.below(3); ++i)
        items.emplace_back(random_osd(random, m), random_osd(random, m));
    return items;
}

void add_exceptions(Random& random, OsdMap& m) {
    for (const auto& [id, pool] : m.pools) {
        double often = random.chance(0.5) ? 0.15 : 0;
        for (uint32_t seed = 0; seed < pool.pg_num; ++seed) {
            PgId pg{id, seed};
            if (random.chance(often)) m.pg_temp[pg] = random_set(random, m, pool);
            if (random.chance(often)) m.primary_temp[pg] = random_osd(random, m);
            if (random.chance(often)) m.pg_upmap[pg] = random_set(random, m, pool);
            if (random.chance(often)) m.pg_upmap_items[pg] = random_items(random, m);
        }
    }
}

void add_settings(Random& random, OsdMap& m) {
    m.fsid = random_uuid(random);
    m.epoch = 1 + up_to<Epoch>(random, 1000);
    m.created = random_time(random);
    m.modified = random_time(random);
    m.flags = sometimes<uint32_t>(random, (1u << 23) - 1);
    if (random.chance(0.5)) {
        m.require_osd_release = 16;
        m.require_min_compat_client = 12;
        m.flags = m.effective_flags();
    }
    m.full_ratio = 0.95f;
    m.nearfull_ratio = 0.85f;
    m.backfillfull_ratio = random.chance(0.5) ? 0.9f : 0;
    m.erasure_code_profiles["profile"] = {{"k", "2"}, {"m", "1"}};
    m.last_up_change = random_time(random);
    if (random.chance(0.3))
        m.blocklist = {{random_address(random, Address::Kind::any), random_time(random)}};
    if (random.chance(0.2)) {
        Address range = random_address(random, Address::Kind::cidr);
        m.range_blocklist = {{range, random_time(random)}};
    }
    if (random.chance(0.2)) m.stretch = {1, 2, 1, 0, -3};
    if (random.chance(0.2)) m.removed_snaps_queue[1] = {{1, 3}, {9, 1}};
    if (random.chance(0.2)) m.new_removed_snaps[1] = {{1, 3}};
    if (random.chance(0.2)) m.new_purged_snaps[1] = {{9, 1}};
    if (random.chance(0.2)) m.crush_node_flags[-1] = osd_noout | osd_noin;
    if (random.chance(0.2)) m.device_class_flags[0] = osd_noup;
    if (random.chance(0.1)) {
        m.cluster_snapshot = "snapshot";
        m.cluster_snapshot_epoch = random.chance(0.5) ? m.epoch : 0;
    }
}

} // namespace

OsdMap random_osd_map(Random& random) {
    OsdMap m;
    CrushMap crush = random_crush_map(random);
    for (auto& rule : crush.rules)
        if (rule && random.chance(0.1)) rule->max_size = 3; // some pools are too large for it
    auto rules = crush.rules.size();
    m.set_crush(std::move(crush));
    m.crush_version = 1 + up_to<uint32_t>(random, 10);
    add_osds(random, m);
    add_settings(random, m);
    PoolId id = 0;
    for (uint64_t n = 0; n <= random.below(4); ++n) {
        id += n ? 1 + up_to<PoolId>(random, 2) : 1; // pool 1 is what osdmaptool takes by default
        Pool& pool = m.pools[id] = random_pool(random);
        if (random.chance(0.9)) m.pool_names[id] = fmt::format("pool{}", id);
        pool.crush_rule = static_cast<uint8_t>(random.below(rules));
        const auto& rule = m.crush->rules[pool.crush_rule];
        // Mostly a pool of the rule's type; else it has no rule and places nothing.
        if (rule && random.chance(0.9)) pool.type = static_cast<PoolType>(rule->type);
    }
    m.pool_max = static_cast<int32_t>(id);
    add_exceptions(random, m);
    return m;
}

namespace {

void step_osds(Random& random, const OsdMap& m, OsdMapIncremental& s) {
    for (uint64_t n = random.below(4); n > 0; --n) {
        int32_t osd = random_osd(random, m);
        switch (random.below(6)) {
        case 0: s.new_state[osd] = osd_up; break;
        case 1:
            s.new_weight[osd] = random.chance(0.5) ? 0 : up_to<uint32_t>(random, 0x10000);
            break;
        case 2: s.new_weight[osd] = crush_weight_one; break;
        case 3: s.new_primary_affinity[osd] = up_to<uint32_t>(random, 0x10000); break;
        case 4:
            s.new_up_client[osd] = random_addresses(random);
            s.new_heartbeat_back[osd] = s.new_heartbeat_front[osd] = random_addresses(random);
            s.new_up_cluster[osd] = random_addresses(random);
            s.new_up_thru[osd] = m.epoch;
            break;
        default: s.new_state[osd] = osd_exists | (m.osd_state[at(osd)] & osd_up); break;
        }
    }
    if (random.chance(0.05)) s.new_max_osd = m.max_osd() + 1;
}

void step_exceptions(Random& random, const OsdMap& m, OsdMapIncremental& s) {
    for (const auto& [id, pool] : m.pools)
        for (uint64_t n = random.below(3); n > 0; --n) {
            PgId pg{id, static_cast<uint32_t>(random.below(pool.pg_num))};
            switch (random.below(8)) {
            case 0: s.new_pg_temp[pg] = random_set(random, m, pool); break;
            case 1: s.new_pg_temp[pg] = {}; break;
            case 2: s.new_primary_temp[pg] = random_osd(random, m); break;
            case 3: s.new_primary_temp[pg] = no_osd; break;
            case 4: s.new_pg_upmap[pg] = random_set(random, m, pool); break;
            case 5: s.old_pg_upmap.insert(pg); break;
            case 6: s.new_pg_upmap_items[pg] = random_items(random, m); break;
            default: s.old_pg_upmap_items.insert(pg); break;
            }
        }
}

void step_crush(Random& random, const OsdMap& m, OsdMapIncremental& s) {
    CrushMap crush = *m.crush;
    int32_t osd = random_osd(random, m);
    bool changed = random.chance(0.5)
                       ? reweight_item(crush, osd, up_to<uint32_t>(random, 0x20000)).has_value()
                       : remove_item(crush, osd).has_value();
    if (changed) s.crush = encode_crush_map(crush);
}

} // namespace

OsdMapIncremental random_step(Random& random, const OsdMap& m) {
    OsdMapIncremental s;
    s.fsid = m.fsid;
    s.epoch = m.epoch + 1;
    s.modified = random_time(random);
    step_osds(random, m, s);
    if (random.chance(0.5)) step_exceptions(random, m, s);
    if (random.chance(0.2)) step_crush(random, m, s);
    if (random.chance(0.2) && !m.pools.empty()) {
        auto [id, pool] = *m.pools.begin();
        uint32_t pgs = pool.pg_num + up_to<uint32_t>(random, 8);
        pool.set_pg_num(pgs, random.chance(0.5) ? pgs : pool.pgp_num);
        if (random.chance(0.2)) pool.size = static_cast<uint8_t>(1 + random.below(6));
        s.new_pools[id] = pool;
    }
    if (random.chance(0.1)) s.new_flags = up_to<int32_t>(random, (1 << 23) - 1);
    return s;
}

} // namespace cloudlet::rados
