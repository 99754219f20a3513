#include "cloudlet/rados/plan.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "plan_steps.h"

namespace cloudlet::rados {
namespace {

/// Whether two maps put all data in the same places.
bool place_alike(const OsdMap& a, const OsdMap& b) {
    return a.osd_state == b.osd_state && a.osd_weight == b.osd_weight &&
           a.primary_affinity == b.primary_affinity && a.pools == b.pools &&
           a.pg_upmap == b.pg_upmap && a.pg_upmap_items == b.pg_upmap_items &&
           (a.crush == b.crush || *a.crush == *b.crush);
}

/// Carries out ways and counts what they move.
class Planner {
public:
    Planner(const OsdMap& map, const PlanOptions& options)
        : options_(options), weights_(weigh_pools(map, options)), worlds_(options.most_tries) {}

    Result<> start(const OsdMap& map, size_t steps) {
        total_steps_ = steps + 1;
        first_ = TRY(worlds_.first(map));
        report();
        return {};
    }

    /// Fills the way's movements. Gives the world that it ends in.
    Result<std::shared_ptr<const World>> carry_out(Way& way, std::vector<double>* received) {
        auto now = first_;
        Settled settled{first_, {}};
        for (PlanStep& step : way.steps) {
            now = TRY(worlds_.after(*now, step.change));
            if (step.change.kind == ChangeKind::remove || step.change.kind == ChangeKind::replace)
                settled.lost.insert(*parse_osd_name(step.change.subject));
            if (received) received->resize(static_cast<size_t>(now->map->max_osd()));
            step.held = now->map->flags & holding_flags;
            step.moves = compare(settled, *now, weights_, step.held ? nullptr : received);
            if (step.held) {
                step.moves = {.waiting = step.moves.remapped + step.moves.refilled,
                              .degraded = step.moves.degraded};
            } else {
                settled = {now, {}};
            }
            add(way.total, step.moves);
            report();
        }
        return now;
    }

    const std::shared_ptr<const World>& first() const { return first_; }
    const std::map<PoolId, PoolWeight>& weights() const { return weights_; }

private:
    static void add(Movement& total, const Movement& moves) {
        total.remapped += moves.remapped;
        total.refilled += moves.refilled;
        total.copies += moves.copies;
        total.bytes += moves.bytes;
        total.waiting = moves.waiting;
        total.degraded = std::max(total.degraded, moves.degraded);
    }

    void report() {
        if (options_.progress) options_.progress(++done_steps_, total_steps_);
    }

    const PlanOptions& options_;
    std::map<PoolId, PoolWeight> weights_;
    Worlds worlds_;
    std::shared_ptr<const World> first_;
    size_t done_steps_ = 0, total_steps_ = 0;
};

size_t best_of(const std::vector<Way>& ways) {
    auto rank = [&](const Way& way) {
        // A way that leaves flags set has not moved its data yet. Of equals, ours are the careful
        // ones: they set noout where it is needed.
        bool asked = &way == &ways.front();
        return std::tuple(way.total.waiting, way.total.bytes, way.total.copies, way.total.degraded,
                          asked, way.steps.size());
    };
    size_t best = 0;
    for (size_t i = 1; i < ways.size(); ++i)
        if (rank(ways[i]) < rank(ways[best])) best = i;
    return best;
}

std::vector<Finding> diagnose_world(const World& world) {
    std::vector<const PoolPlacement*> placements;
    for (const auto& placement : *world.pools) placements.push_back(&placement);
    return diagnose(*world.map, placements);
}

std::vector<std::string> notes_of(const OsdMap& map, const Plan& plan, const PlanOptions& options) {
    std::vector<std::string> notes;
    if (!plan.in_bytes)
        notes.emplace_back(
            "every PG counts as 1; for bytes, say what the pools store: --pool-bytes "
            "NAME=10T");
    std::vector<std::string_view> empty;
    for (const auto& [id, pool] : map.pools)
        if (!options.pool_bytes.contains(std::string(map.pool_name(id))))
            empty.push_back(map.pool_name(id));
    if (!options.pool_bytes.empty() && options.pg_bytes <= 0 && !empty.empty())
        notes.push_back(
            fmt::format("counted as empty, for want of --pool-bytes: {}", fmt::join(empty, ", ")));
    const Way& asked = plan.ways.front();
    if (map.flags & holding_flags)
        notes.emplace_back("the map has a flag set that holds data still; nothing moves before "
                           "it is unset");
    if (asked.total.waiting)
        notes.push_back(
            fmt::format("{} PGs still wait at the end: finish with unset", asked.total.waiting));
    for (const PlanStep& step : asked.steps) {
        bool alone = step.change.kind == ChangeKind::set && step.change.subject == "norebalance";
        if (alone && asked.total.degraded)
            notes.emplace_back("norebalance alone holds only PGs that have all their copies; set "
                               "nobackfill, too, or work faster than the first refill starts");
    }
    return notes;
}

void count_map(const OsdMap& map, Plan& plan) {
    plan.epoch = map.epoch;
    for (int32_t osd = 0; osd < map.max_osd(); ++osd) plan.devices += map.exists(osd);
    auto host = map.crush->type_of("host");
    for (const auto& bucket : map.crush->buckets)
        plan.hosts += bucket && host && bucket->type == *host && !map.crush->is_shadow(bucket->id);
    for (const auto& [id, pool] : map.pools) plan.pgs += pool.pg_num;
    plan.pools = static_cast<uint32_t>(map.pools.size());
}

Result<> check_options(const OsdMap& map, const PlanOptions& options) {
    for (const auto& [name, bytes] : options.pool_bytes) {
        bool known = std::any_of(map.pool_names.begin(), map.pool_names.end(),
                                 [&](const auto& entry) { return entry.second == name; });
        if (known) continue;
        std::vector<std::string_view> names;
        for (const auto& [id, pool_name] : map.pool_names) names.push_back(pool_name);
        return fail(Code::not_found, fmt::format("--pool-bytes {}: no such pool; the map has {}",
                                                 name, fmt::join(names, ", ")));
    }
    return {};
}

} // namespace

Result<std::shared_ptr<const World>> Worlds::first(const OsdMap& map) { return keep(nullptr, map); }

Result<std::shared_ptr<const World>> Worlds::after(const World& before, const Change& change) {
    return keep(&before, TRY(apply_change(*before.map, change)));
}

Result<std::shared_ptr<const World>> Worlds::keep(const World* before, OsdMap map) {
    auto shared = std::make_shared<const OsdMap>(std::move(map));
    for (const auto& known : known_)
        if (place_alike(*known->map, *shared))
            return std::make_shared<const World>(World{shared, known->placer, known->pools});
    TRY(check_tries(*shared, most_tries_));
    Placer placer =
        before ? TRY(before->placer.prepare_next(shared)) : TRY(Placer::prepare(shared));
    auto pools = std::make_shared<std::vector<PoolPlacement>>();
    for (const auto& [id, pool] : shared->pools) {
        const PoolPlacement* old = before ? before->pool(id) : nullptr;
        pools->push_back(old ? placer.update_pool(work_, before->placer, *old, id)
                             : placer.place_pool(work_, id));
    }
    known_.push_back(std::make_shared<const World>(
        World{std::move(shared), std::move(placer), std::move(pools)}));
    return known_.back();
}

std::vector<std::string> Way::commands() const {
    std::vector<std::string> all;
    for (const PlanStep& step : steps)
        for (auto& command : step.change.commands()) all.push_back(std::move(command));
    return all;
}

Result<Plan> make_plan(const OsdMap& map, std::span<const Change> given,
                       const PlanOptions& options) {
    TRY(check_options(map, options));
    std::vector<Change> changes(given.begin(), given.end());
    for (Change& change : changes)
        if (!change.location.empty())
            change.location = complete_location(*map.crush, std::move(change.location));
    Plan plan;
    count_map(map, plan);
    plan.in_bytes = !options.pool_bytes.empty() || options.pg_bytes > 0;
    auto ways = ways_of(map, changes);
    size_t steps = 0;
    for (const Way& way : ways) steps += way.steps.size();
    Planner planner(map, options);
    TRY(planner.start(map, steps));

    std::vector<double> received(static_cast<size_t>(map.max_osd()));
    auto last = TRY(planner.carry_out(ways.front(), &received));
    plan.ways.push_back(std::move(ways.front()));
    for (size_t i = 1; i < ways.size(); ++i)
        if (planner.carry_out(ways[i], nullptr)) plan.ways.push_back(std::move(ways[i]));
    plan.best = best_of(plan.ways);

    std::set<int32_t> replaced;
    for (const Change& change : changes)
        if (change.kind == ChangeKind::replace) replaced.insert(*parse_osd_name(change.subject));
    plan.nodes = load_tree(*planner.first(), *last, planner.weights(), received, replaced);
    plan.findings = diagnose_world(*planner.first());
    for (Finding& finding : diagnose_world(*last))
        if (std::find(plan.findings.begin(), plan.findings.end(), finding) == plan.findings.end())
            plan.findings_after.push_back(std::move(finding));
    plan.notes = notes_of(map, plan, options);
    return plan;
}

} // namespace cloudlet::rados
