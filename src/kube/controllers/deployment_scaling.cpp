#include <algorithm>
#include <cmath>

#include "deployment_plan.h"

namespace cloudlet::kube::controllers {

using api::Object;
using codec::Json;

namespace {

/// A number, or a percentage of `total`; for what is neither, 0.
int64_t resolve(const Json& value, int64_t total, bool round_up) {
    if (value.is_int()) return value.as_int();
    const std::string text(value.as_string());
    if (text.empty() || text.back() != '%') return 0;
    const int64_t hundredths = std::strtoll(text.c_str(), nullptr, 10) * total;
    return round_up ? (hundredths + 99) / 100 : hundredths / 100;
}

int64_t total_of(const std::vector<Object>& sets) {
    int64_t total = 0;
    for (const Object& set : sets) total += replicas_of(set);
    return total;
}

int64_t available_of(const Object& set) { return set.status()["availableReplicas"].as_int(); }

std::vector<Object> oldest_first(std::vector<Object> sets) {
    std::sort(sets.begin(), sets.end(), [](const Object& a, const Object& b) {
        return std::pair(a.creation_time(), a.name()) < std::pair(b.creation_time(), b.name());
    });
    return sets;
}

int64_t most_pods(const Object& deployment) {
    const int64_t wanted = replicas_of(deployment);
    return wanted == 0 ? 0 : wanted + rollout_limits(deployment).surge;
}

int64_t grown(const Object& deployment, int64_t of_new, int64_t of_all) {
    const int64_t wanted = replicas_of(deployment);
    if (!is_rolling(deployment)) return wanted;
    const int64_t most = wanted + rollout_limits(deployment).surge;
    if (of_all >= most) return of_new;
    return of_new + std::min(most - of_all, wanted - of_new);
}

/// First the pods that are not available anyway, then as many as availability allows; oldest sets
/// first.
Scales shrink(const Object& deployment, const Object& new_set,
              const std::vector<Object>& old_sets) {
    const int64_t least = replicas_of(deployment) - rollout_limits(deployment).unavailable;
    const int64_t missing_new = replicas_of(new_set) - available_of(new_set);
    const int64_t budget = total_of(old_sets) + replicas_of(new_set) - least - missing_new;
    Scales scales;
    if (budget <= 0) return scales;
    const auto sets = oldest_first(old_sets);
    int64_t unhealthy = 0;
    for (const Object& set : sets) {
        const int64_t dead = std::min(budget - unhealthy, replicas_of(set) - available_of(set));
        if (dead <= 0) continue;
        unhealthy += dead;
        scales[std::string(set.name())] = replicas_of(set) - dead;
    }
    int64_t available = available_of(new_set);
    for (const Object& set : sets) available += available_of(set);
    int64_t spare = available - least;
    for (const Object& set : sets) {
        auto scaled = scales.find(std::string(set.name()));
        const int64_t now = scaled == scales.end() ? replicas_of(set) : scaled->second;
        const int64_t step = std::min(now, spare);
        if (step <= 0) continue;
        spare -= step;
        scales[std::string(set.name())] = now - step;
    }
    return scales;
}

int64_t round_half_away(double value) { return static_cast<int64_t>(std::round(value)); }

/// The part of `left` that falls to one set.
int64_t proportion(const Object& deployment, const Object& set, int64_t left, int64_t given) {
    const int64_t replicas = replicas_of(set);
    if (replicas == 0 || left == given) return 0;
    // The size that the set's replicas were a part of, as noted at the last scaling.
    int64_t whole = std::strtoll(std::string(set.annotation(most_annotation)).c_str(), nullptr, 10);
    if (whole <= 0) whole = std::max<int64_t>(deployment.status()["replicas"].as_int(), 1);
    const auto size = static_cast<double>(most_pods(deployment));
    const int64_t share =
        round_half_away(static_cast<double>(replicas) * size / static_cast<double>(whole)) -
        replicas;
    const int64_t rest = left - given;
    return left > 0 ? std::min(std::max<int64_t>(share, 0), rest)
                    : std::max(std::min<int64_t>(share, 0), rest);
}

} // namespace

int64_t replicas_of(const Object& object) { return object.spec()["replicas"].as_int(1); }

int64_t revision_of(const Object& object) {
    return std::strtoll(std::string(object.annotation(revision_annotation)).c_str(), nullptr, 10);
}

bool is_rolling(const Object& deployment) {
    return deployment.spec().at({"strategy", "type"}).as_string("RollingUpdate") == "RollingUpdate";
}

RolloutLimits rollout_limits(const Object& deployment) {
    if (!is_rolling(deployment)) return {};
    static const Json quarter("25%");
    const int64_t wanted = replicas_of(deployment);
    const Json& rolling = deployment.spec().at({"strategy", "rollingUpdate"});
    const Json& surge = rolling["maxSurge"];
    const Json& unavailable = rolling["maxUnavailable"];
    RolloutLimits limits{resolve(surge.is_null() ? quarter : surge, wanted, true),
                         resolve(unavailable.is_null() ? quarter : unavailable, wanted, false)};
    if (limits.surge == 0 && limits.unavailable == 0) limits.unavailable = 1;
    limits.unavailable = std::min(limits.unavailable, wanted);
    return limits;
}

Scales roll(const Object& deployment, const Object& new_set, const std::vector<Object>& old_sets) {
    const int64_t now = replicas_of(new_set);
    const int64_t wanted = replicas_of(deployment);
    const int64_t next = now > wanted ? wanted : grown(deployment, now, now + total_of(old_sets));
    if (next != now) return {{std::string(new_set.name()), next}};
    if (total_of(old_sets) == 0) return {};
    return shrink(deployment, new_set, old_sets);
}

int64_t first_replicas(const Object& deployment, const std::vector<Object>& old_sets) {
    return grown(deployment, 0, total_of(old_sets));
}

Scales scale_in_proportion(const Object& deployment, const Object& new_set,
                           const std::vector<Object>& sets) {
    std::vector<Object> active;
    std::copy_if(sets.begin(), sets.end(), std::back_inserter(active),
                 [](const Object& one) { return replicas_of(one) > 0; });
    const int64_t wanted = replicas_of(deployment);
    Object only = active.size() == 1 ? active[0] : active.empty() ? new_set : Object();
    if (active.empty() && !only && !sets.empty()) only = oldest_first(sets).back();
    // Also when the number is right already: the size noted on it follows.
    if (only) return {{std::string(only.name()), wanted}};
    Scales scales;
    const bool saturated =
        new_set && replicas_of(new_set) == wanted && available_of(new_set) == wanted &&
        std::string(new_set.annotation(desired_annotation)) == std::to_string(wanted);
    if (saturated) {
        for (const Object& set : active)
            if (set.name() != new_set.name()) scales[std::string(set.name())] = 0;
        return scales;
    }
    if (!is_rolling(deployment)) {
        for (const Object& set : active) scales[std::string(set.name())] = replicas_of(set);
        return scales;
    }
    const int64_t left = most_pods(deployment) - total_of(active);
    auto sorted = oldest_first(active);
    if (left > 0) std::reverse(sorted.begin(), sorted.end());
    std::stable_sort(sorted.begin(), sorted.end(), [](const Object& a, const Object& b) {
        return replicas_of(a) > replicas_of(b);
    });
    int64_t given = 0;
    for (const Object& set : sorted) {
        const int64_t part = left == 0 ? 0 : proportion(deployment, set, left, given);
        given += part;
        scales[std::string(set.name())] = replicas_of(set) + part;
    }
    if (!sorted.empty() && left != given) { // what rounding left over goes to the largest
        int64_t& largest = scales[std::string(sorted[0].name())];
        largest = std::max<int64_t>(largest + left - given, 0);
    }
    return scales; // also unchanged ones: their annotations follow the new size
}

} // namespace cloudlet::kube::controllers
