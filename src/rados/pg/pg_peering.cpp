#include "cloudlet/rados/pg_peering.h"

#include <algorithm>

#include "cloudlet/rados/planted_bug.h"

#include "cloudlet/rados/planted_bug.h"

namespace cloudlet::rados {

namespace {

bool is_member(int32_t osd) { return osd != osd_none && osd != no_osd; }

/// True when `a` is the better authority.
bool better(const PgInfos::value_type& a, const PgInfos::value_type& b, PgShard primary,
            bool erasure) {
    const PgInfo &x = a.second, &y = b.second;
    const bool oldest = erasure || planted(PlantedBug::older_log_wins);
    if (x.last_update != y.last_update) return (x.last_update > y.last_update) != oldest;
    if (x.log_tail != y.log_tail) return x.log_tail < y.log_tail;
    return a.first == primary && b.first != primary;
}

/// Chooses who serves; one run of choose_acting().
class Chooser {
public:
    Chooser(const PgInfos& infos, const PgView& now, const ActingLimits& limits, PgShard authority)
        : infos_(infos), now_(now), limits_(limits), authority_(authority),
          log_(infos.at(authority)) {}

    ActingChoice replicated() {
        ActingChoice choice{.authority = authority_, .primary = choose_primary()};
        choice.acting.push_back(choice.primary.osd);
        for (size_t i = 0; i < now_.up.osds.size(); ++i) {
            PgShard shard = now_.at(now_.up, i);
            if (shard == choice.primary || !is_member(shard.osd)) continue;
            if (usable(shard))
                choice.acting.push_back(shard.osd);
            else
                choice.backfill.insert(shard);
        }
        for (PgShard shard : substitutes()) {
            if (choice.acting.size() >= now_.size) break;
            if (std::ranges::find(choice.acting, shard.osd) == choice.acting.end())
                choice.acting.push_back(shard.osd);
        }
        return choice;
    }

    ActingChoice erasure() {
        ActingChoice choice{.authority = authority_};
        size_t serving = 0;
        for (size_t i = 0; i < now_.size; ++i) {
            int32_t osd = at_position(i, choice);
            choice.acting.push_back(osd);
            if (!is_member(osd)) continue;
            if (serving++ == 0) choice.primary = {osd, static_cast<int8_t>(i)};
        }
        if (serving < limits_.least_to_read || serving == 0) return {.incomplete = true};
        return choice;
    }

private:
    bool usable(PgShard shard) const {
        auto info = infos_.find(shard);
        return info != infos_.end() && info->second.complete() &&
               info->second.last_update >= log_.log_tail;
    }

    PgShard choose_primary() const {
        PgShard up{now_.up.primary};
        if (!usable(up)) return authority_;
        uint64_t behind = log_.last_update.counter -
                          std::min(log_.last_update.counter, infos_.at(up).last_update.counter);
        return behind > limits_.primary_behind ? authority_ : up;
    }

    /// Who can stand in: present members first, then the others by how much they have.
    std::vector<PgShard> substitutes() const {
        std::vector<PgShard> found, others;
        for (size_t i = 0; i < now_.acting.osds.size(); ++i)
            if (usable(now_.at(now_.acting, i))) found.push_back(now_.at(now_.acting, i));
        for (const auto& [shard, info] : infos_)
            if (usable(shard)) others.push_back(shard);
        std::ranges::stable_sort(others, [&](PgShard a, PgShard b) {
            return infos_.at(a).last_update > infos_.at(b).last_update;
        });
        found.insert(found.end(), others.begin(), others.end());
        return found;
    }

    int32_t at_position(size_t position, ActingChoice& choice) const {
        auto number = static_cast<int8_t>(position);
        PgShard up{position < now_.up.osds.size() ? now_.up.osds[position] : osd_none, number};
        if (is_member(up.osd)) {
            if (usable(up)) return up.osd;
            choice.backfill.insert(up);
        }
        for (PgShard shard : substitutes())
            if (shard.shard == number) return shard.osd;
        return osd_none;
    }

    const PgInfos& infos_;
    const PgView& now_;
    const ActingLimits& limits_;
    PgShard authority_;
    const PgInfo& log_;
};

} // namespace

Epoch last_epoch_started(const PgInfos& infos) {
    Epoch last = 0;
    for (const auto& [shard, info] : infos) {
        last = std::max(last, info.history.last_epoch_started);
        if (info.complete()) last = std::max(last, info.last_epoch_started);
    }
    return last;
}

std::optional<PgShard> choose_authoritative(const PgInfos& infos, PgShard primary, bool erasure) {
    Epoch started = last_epoch_started(infos);
    const PgInfos::value_type* best = nullptr;
    for (const auto& candidate : infos) {
        const PgInfo& info = candidate.second;
        const bool took_part =
            info.last_epoch_started >= started || planted(PlantedBug::older_log_wins);
        if (!took_part || !info.complete()) continue;
        if (!best || better(candidate, *best, primary, erasure)) best = &candidate;
    }
    if (!best) return std::nullopt;
    return best->first;
}

ActingChoice choose_acting(const PgInfos& infos, const PgView& now, const ActingLimits& limits) {
    PgShard primary;
    for (size_t i = 0; i < now.acting.osds.size(); ++i)
        if (now.acting.osds[i] == now.acting.primary) primary = now.at(now.acting, i);
    auto authority = choose_authoritative(infos, primary, now.erasure);
    if (!authority) return {.incomplete = true};
    Chooser chooser(infos, now, limits, *authority);
    ActingChoice choice = now.erasure ? chooser.erasure() : chooser.replicated();
    if (choice.incomplete) return choice;
    if (choice.acting == now.acting.osds) return choice;
    bool as_up = choice.acting == now.up.osds;
    choice.pg_temp = as_up ? std::vector<int32_t>{} : choice.acting;
    return choice;
}

PgState state_after_peering(const PgView& now, const ActingChoice& choice, bool objects_missing) {
    if (choice.incomplete) return {PgFlag::incomplete};
    PgState state;
    size_t count = now.acting_count();
    bool undersized = count < now.size;
    bool remapped = now.up.osds != now.acting.osds;
    state.set(count >= now.min_size ? PgFlag::active : PgFlag::peered);
    if (undersized) state.set(PgFlag::undersized);
    if (undersized || objects_missing) state.set(PgFlag::degraded);
    if (remapped) state.set(PgFlag::remapped);
    bool whole = !undersized && !objects_missing && !remapped && choice.backfill.empty();
    if (whole && state.has(PgFlag::active)) state.set(PgFlag::clean);
    return state;
}

} // namespace cloudlet::rados
