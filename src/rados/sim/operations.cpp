#include "sim/operations.h"

#include <algorithm>
#include <array>

#include "sim/oracles.h"

namespace cloudlet::rados::sim {

namespace {

constexpr std::array<uint32_t, 11> flags = {
    map_noout,       map_noin,      map_nodown,  map_noup,         map_nobackfill,
    map_norebalance, map_norecover, map_noscrub, map_nodeep_scrub, map_pauserd | map_pausewr,
    map_pausewr};

constexpr uint32_t all_flags() {
    uint32_t all = 0;
    for (uint32_t flag : flags) all |= flag;
    return all;
}

} // namespace

void Operations::operate() {
    if (!cluster_.engine().alive(cluster_.operator_node())) return;
    switch (random_.below(10)) {
    case 0: cluster_.operators().order(command::Out{any_osd()}); break;
    case 1: cluster_.operators().order(command::In{any_osd()}); break;
    case 2: cluster_.operators().order(command::Down{any_osd()}); break;
    case 3:
    case 4: set_flag(); break;
    case 5: reweigh(); break;
    case 6: add_osd(); break;
    case 7: remove_osd(); break;
    default: scrub_something();
    }
}

void Operations::set_flag() {
    const uint32_t flag = flags[random_.below(flags.size())];
    const bool is_set = cluster_.newest()->map().flags & flag;
    cluster_.operators().order(is_set ? command::SetFlags{.clear = flag}
                                      : command::SetFlags{.set = flag});
}

void Operations::hold_work() {
    for (PgId pg : cluster_.pgs()) {
        const auto report = cluster_.report(pg);
        if (!report) continue;
        const PgState& state = report->state;
        const bool recovers = state.has(PgFlag::recovering) || state.has(PgFlag::recovery_wait);
        const bool fills = state.has(PgFlag::backfilling) || state.has(PgFlag::backfill_wait);
        if (!recovers && !fills) continue;
        const uint32_t flag = recovers ? map_norecover : map_nobackfill;
        cluster_.operators().order(command::SetFlags{.set = flag});
        cluster_.operators().order(command::SetFlags{.clear = flag});
        return;
    }
}

void Operations::send_away(int32_t osd) {
    cluster_.operators().order(command::Out{osd});
    cluster_.operators().order(command::Down{osd});
    cluster_.crash(cluster_.osd_node(static_cast<size_t>(osd)));
}

void Operations::hold_rebalancing(bool hold) {
    cluster_.operators().order(hold ? command::SetFlags{.set = map_norebalance}
                                    : command::SetFlags{.clear = map_norebalance});
}

void Operations::reweigh() {
    const auto part = static_cast<uint32_t>(random_.below(4) + 1) * 0x4000;
    if (random_.chance(0.5))
        cluster_.operators().order(command::Reweight{any_osd(), part});
    else
        cluster_.operators().order(command::CrushReweight{any_osd(), part});
}

void Operations::add_osd() {
    for (size_t osd = cluster_.plan().osds; osd < cluster_.plan().all_osds(); ++osd) {
        if (cluster_.is_wanted(osd)) continue;
        cluster_.set_wanted(osd, true);
        cluster_.operators().order(command::AddOsd{
            static_cast<int32_t>(osd), ClusterPlan::host_name(cluster_.plan().host_of[osd]),
            crush_weight_one});
        cluster_.start(cluster_.osd_node(osd));
        return;
    }
}

/// One that was added, while it holds nothing that anybody needs.
void Operations::remove_osd() {
    const OsdMap& map = cluster_.newest()->map();
    for (size_t osd = cluster_.plan().osds; osd < cluster_.plan().all_osds(); ++osd) {
        const auto number = static_cast<int32_t>(osd);
        if (!cluster_.is_wanted(osd) || !map.exists(number)) continue;
        const bool serves = std::ranges::any_of(
            cluster_.pgs(), [&](PgId pg) { return cluster_.newest()->serves(pg, number); });
        if (serves || first_unclean(cluster_)) {
            cluster_.operators().order(command::Out{number});
            continue;
        }
        cluster_.stop(cluster_.osd_node(osd));
        cluster_.set_wanted(osd, false);
        cluster_.replace_disk(osd);
        cluster_.operators().order(command::Down{number});
        cluster_.operators().order(command::RemoveOsd{number});
        return;
    }
}

void Operations::scrub_something() {
    const auto pgs = cluster_.pgs();
    scrub({pgs[random_.below(pgs.size())], random_.chance(0.5), random_.chance(0.5)});
}

void Operations::scrub(const message::ScrubCommand& what) {
    const int32_t primary = cluster_.newest()->acting(what.pg).primary;
    if (primary < 0) return;
    cluster_.engine().act(cluster_.operator_node(), [&] {
        cluster_.operators().scrub(primary, what, cluster_.newest()->epoch());
    });
}

void Operations::scrub_all(const message::ScrubCommand& how) {
    cluster_.operators().forget_scrubs();
    for (PgId pg : cluster_.pgs()) scrub({pg, how.deep, how.repair});
}

void Operations::restore() {
    OperatorMachine& operators = cluster_.operators();
    operators.order(command::SetFlags{.clear = all_flags()});
    for (size_t osd = 0; osd < cluster_.plan().all_osds(); ++osd) {
        const auto number = static_cast<int32_t>(osd);
        if (!cluster_.is_wanted(osd) && osd >= cluster_.plan().osds) continue;
        operators.order(command::In{number});
        operators.order(command::Reweight{number, 0x10000});
        operators.order(command::CrushReweight{number, crush_weight_one});
    }
}

} // namespace cloudlet::rados::sim
