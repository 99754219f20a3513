#include "sim/operations.h"

#include <algorithm>
#include <array>

#include "sim/oracles.h"

namespace cloudlet::rados::sim {

using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

/// Those without a way of their own to be set: what they hold goes on all the time.
constexpr std::array<uint32_t, 6> plain_flags = {map_norebalance,  map_noscrub,
                                                 map_nodeep_scrub, map_pauserd | map_pausewr,
                                                 map_pausewr,      map_pauserd};

constexpr uint32_t all_flags = map_noout | map_noin | map_nodown | map_noup | map_nobackfill |
                               map_norebalance | map_norecover | map_noscrub | map_nodeep_scrub |
                               map_pauserd | map_pausewr;

} // namespace

void Operations::operate() {
    if (!cluster_.engine().alive(cluster_.operator_node())) return;
    switch (random_.below(10)) {
    case 0: cluster_.operators().order(command::Out{any_osd()}); break;
    case 1: cluster_.operators().order(command::In{any_osd()}); break;
    case 2: cluster_.operators().order(command::Down{any_osd()}); break;
    case 3:
    case 4: hold_flag(); break;
    case 5: reweigh(); break;
    case 6: add_osd(); break;
    case 7: remove_osd(); break;
    default: scrub_something();
    }
}

void Operations::hold_flag() {
    switch (random_.below(10)) {
    case 0: return hold_down_to_out();
    case 1: return hold_boot_to_in();
    case 2: return hold_boot();
    case 3: return hold_reports();
    case 4: return hold_backfill();
    case 5: return hold_recovery();
    default:
        hold(plain_flags[random_.below(plain_flags.size())],
             random_span(random_, milliseconds(100), seconds(10)));
    }
}

void Operations::hold(uint32_t flag, Duration span) {
    cluster_.operators().order(command::SetFlags{.set = flag});
    later(span, {.clear = flag});
}

void Operations::later(Duration in, Later what) {
    later_.push_back(what);
    cluster_.engine().queue().push(
        cluster_.engine().now() + in,
        {.kind = Event::Kind::operate, .number = static_cast<uint32_t>(later_.size())});
}

void Operations::go_on(uint32_t number) {
    const Later& what = later_[number - 1];
    if (what.clear) cluster_.operators().order(command::SetFlags{.clear = what.clear});
    if (what.start) cluster_.start(cluster_.osd_node(*what.start));
    if (what.take_in) cluster_.operators().order(command::In{*what.take_in});
}

std::optional<size_t> Operations::stop_osd() {
    const auto osd = static_cast<size_t>(any_osd());
    if (!cluster_.osd(osd)) return std::nullopt;
    cluster_.stop(cluster_.osd_node(osd));
    return osd;
}

/// An OSD is down for longer than time allows, under noout: as for maintenance.
void Operations::hold_down_to_out() {
    const Duration span = std::min<Duration>(cluster_.plan().down_out_interval, seconds(30)) +
                          random_span(random_, seconds(2), seconds(10));
    hold(map_noout, span + seconds(5));
    if (auto osd = stop_osd()) {
        cluster_.operators().order(command::Down{static_cast<int32_t>(*osd)});
        later(span, {.start = osd});
    }
}

/// An OSD that is new, or that time put out, boots under noin.
void Operations::hold_boot_to_in() {
    Duration span = random_span(random_, seconds(3), seconds(10));
    if (random_.chance(0.5)) {
        hold(map_noin, span);
        if (add_osd()) return;
    }
    if (auto osd = stop_osd()) {
        cluster_.operators().order(command::Down{static_cast<int32_t>(*osd)});
        const Duration gone = std::min<Duration>(cluster_.plan().down_out_interval, seconds(30));
        span += gone;
        later(gone + seconds(3), {.start = osd});
    }
    hold(map_noin, span + seconds(3));
}

/// An OSD that lives, or has just started, is kept down.
void Operations::hold_boot() {
    hold(map_noup, random_span(random_, seconds(3), seconds(20)));
    const int32_t osd = any_osd();
    cluster_.operators().order(command::Down{osd});
    if (random_.chance(0.3)) cluster_.crash(cluster_.osd_node(static_cast<size_t>(osd)));
}

/// An OSD is silent for longer than its peers are patient.
void Operations::hold_reports() {
    const Duration span = random_span(random_, seconds(22), seconds(40));
    hold(map_nodown, span + seconds(2));
    if (auto osd = stop_osd()) later(span, {.start = osd});
}

void Operations::hold_backfill() {
    const Duration span = random_span(random_, seconds(2), seconds(15));
    hold(map_nobackfill, span);
    const int32_t osd = any_osd();
    cluster_.operators().order(command::Out{osd});
    later(span + seconds(5), {.take_in = osd});
}

/// An OSD misses some writes.
void Operations::hold_recovery() {
    hold(map_norecover, random_span(random_, seconds(3), seconds(15)));
    if (auto osd = stop_osd()) {
        cluster_.operators().order(command::Down{static_cast<int32_t>(*osd)});
        later(random_span(random_, seconds(1), seconds(5)), {.start = osd});
    }
}

void Operations::hold_work() {
    for (PgId pg : cluster_.pgs()) {
        const auto report = cluster_.last_report(pg);
        if (!report) continue;
        const PgState& state = report->state;
        const bool recovers = state.has(PgFlag::recovering) || state.has(PgFlag::recovery_wait);
        const bool fills = state.has(PgFlag::backfilling) || state.has(PgFlag::backfill_wait);
        if (!recovers && !fills) continue;
        const uint32_t flag = recovers ? map_norecover : map_nobackfill;
        const bool at_once = random_.chance(0.6);
        hold(flag, at_once ? Duration(0) : random_span(random_, seconds(0), seconds(5)));
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

void Operations::hold_scrubs() {
    cluster_.operators().order(command::SetFlags{.set = map_noscrub | map_nodeep_scrub});
}

void Operations::reweigh() {
    const auto part = static_cast<uint32_t>(random_.below(4) + 1) * 0x4000;
    if (random_.chance(0.5))
        cluster_.operators().order(command::Reweight{any_osd(), part});
    else
        cluster_.operators().order(command::CrushReweight{any_osd(), part});
}

/// False when there is none to be added.
bool Operations::add_osd() {
    for (size_t osd = cluster_.plan().osds; osd < cluster_.plan().all_osds(); ++osd) {
        if (cluster_.is_wanted(osd)) continue;
        cluster_.set_wanted(osd, true);
        cluster_.operators().order(command::AddOsd{
            static_cast<int32_t>(osd), ClusterPlan::host_name(cluster_.plan().host_of[osd]),
            crush_weight_one});
        cluster_.start(cluster_.osd_node(osd));
        return true;
    }
    return false;
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
    operators.order(command::SetFlags{.clear = all_flags});
    for (size_t osd = 0; osd < cluster_.plan().all_osds(); ++osd) {
        const auto number = static_cast<int32_t>(osd);
        if (!cluster_.is_wanted(osd) && osd >= cluster_.plan().osds) continue;
        operators.order(command::In{number});
        operators.order(command::Reweight{number, 0x10000});
        operators.order(command::CrushReweight{number, crush_weight_one});
    }
}

} // namespace cloudlet::rados::sim
