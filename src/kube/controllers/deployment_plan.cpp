#include "deployment_plan.h"

#include <algorithm>

#include <fmt/format.h>

#include "cloudlet/base/id.h"
#include "controller.h"
#include "pods.h"

namespace cloudlet::kube::controllers {

using api::Object;

namespace {

constexpr std::string_view last_applied = "kubectl.kubernetes.io/last-applied-configuration";
constexpr std::string_view rollback_annotation = "deprecated.deployment.rollback.to";

/// The template without the label that a ReplicaSet adds.
Json plain_template(const Object& object) {
    Json plain = object.spec()["template"];
    Json* metadata = plain.find_mutable("metadata");
    if (!metadata || !metadata->is_object()) return plain;
    if (Json* labels = metadata->find_mutable("labels")) {
        labels->erase(hash_label);
        if (labels->empty()) metadata->erase("labels");
    }
    metadata->erase("creationTimestamp");
    return plain;
}

bool copied(std::string_view annotation) {
    return annotation != last_applied && annotation != revision_annotation &&
           annotation != history_annotation && annotation != desired_annotation &&
           annotation != most_annotation && annotation != rollback_annotation;
}

Json size_annotations(const Object& deployment) {
    const int64_t wanted = replicas_of(deployment);
    return Json::object(
        {{desired_annotation, std::to_string(wanted)},
         {most_annotation, std::to_string(wanted + rollout_limits(deployment).surge)}});
}

int64_t latest_revision(const std::vector<Object>& sets) {
    int64_t latest = 0;
    for (const Object& set : sets) latest = std::max(latest, revision_of(set));
    return latest;
}

/// The part of `wanted` that `object` does not have; null when it has all.
Json missing_annotations(const Object& object, const Json& wanted) {
    Json missing;
    for (const auto& [key, value] : wanted.members())
        if (object.metadata()["annotations"][key] != value) missing.set(key, value);
    return missing;
}

/// Planning one look; its members are what the steps share.
class Look {
public:
    explicit Look(const DeploymentView& view) : view_(view), deployment_(view.deployment) {
        new_set_ = find_new_set(deployment_, view.sets);
        for (const Object& set : view.sets)
            if (!new_set_ || set.uid() != new_set_.uid()) old_sets_.push_back(set);
    }

    DeploymentPlan plan() {
        if (!deployment_.is_being_deleted()) decide();
        plan_.status = deployment_status(view_, new_set_, event_, set_name_);
        const bool paused = deployment_.spec()["paused"].as_bool();
        const Json& progressing = find_condition(plan_.status["conditions"], "Progressing");
        const auto reason = progressing["reason"].as_string();
        if (!paused && !progressing.is_null() && reason != "NewReplicaSetAvailable" &&
            reason != "ProgressDeadlineExceeded")
            plan_.look_again =
                until_deadline(deployment_, plan_.status, view_.now) + std::chrono::seconds{1};
        return std::move(plan_);
    }

private:
    const DeploymentView& view_;
    const Object& deployment_;
    Object new_set_;
    std::vector<Object> old_sets_;
    DeploymentPlan plan_;
    SetEvent event_ = SetEvent::none;
    std::string set_name_;

    void decide() {
        if (new_set_) set_name_ = new_set_.name();
        const bool paused = deployment_.spec()["paused"].as_bool();
        if (paused || is_scaling()) {
            if (new_set_) update_new_set();
            apply(scale_in_proportion(deployment_, new_set_, view_.sets));
            if (paused) clean_up();
        } else if (is_rolling(deployment_)) {
            if (!need_new_set(first_replicas(deployment_, old_sets_))) return;
            apply(roll(deployment_, new_set_, old_sets_));
            clean_up_when_complete();
        } else {
            recreate();
        }
    }

    /// spec.replicas changed since the sets were last scaled.
    bool is_scaling() const {
        const std::string wanted = std::to_string(replicas_of(deployment_));
        return std::any_of(view_.sets.begin(), view_.sets.end(), [&](const Object& set) {
            const auto noted = set.annotation(desired_annotation);
            return replicas_of(set) > 0 && !noted.empty() && noted != wanted;
        });
    }

    void recreate() {
        Scales scales;
        for (const Object& set : old_sets_)
            if (replicas_of(set) > 0) scales[std::string(set.name())] = 0;
        if (!scales.empty()) {
            if (new_set_) update_new_set();
            return apply(scales);
        }
        if (view_.old_pods_running) return;
        if (!need_new_set(replicas_of(deployment_))) return;
        if (replicas_of(new_set_) != replicas_of(deployment_))
            apply({{std::string(new_set_.name()), replicas_of(deployment_)}});
        clean_up_when_complete();
    }

    /// True when there is one already; else it is to be made, and the next look goes on.
    bool need_new_set(int64_t replicas) {
        if (new_set_) {
            if (find_condition(deployment_.status()["conditions"], "Progressing").is_null())
                event_ = SetEvent::found;
            update_new_set();
            return true;
        }
        const int64_t collisions = deployment_.status()["collisionCount"].as_int();
        const std::string text = plain_template(deployment_).dump() + std::to_string(collisions);
        plan_.create = make_set(safe_encode(fnv1a32(text)), replicas);
        set_name_ = plan_.create.at({"metadata", "name"}).as_string();
        event_ = SetEvent::created;
        return false;
    }

    Json make_set(const std::string& hash, int64_t replicas) {
        const Json& spec = deployment_.spec();
        Json pods = spec["template"];
        pods.set_path({"metadata", "labels", hash_label}, hash);
        Json selector = spec["selector"];
        selector.set_path({"matchLabels", hash_label}, hash);
        Json annotations = size_annotations(deployment_);
        for (const auto& [key, value] : deployment_.metadata()["annotations"].members())
            if (copied(key)) annotations.set(key, value);
        plan_.revision = std::to_string(latest_revision(old_sets_) + 1);
        annotations.set(revision_annotation, plan_.revision);
        auto metadata =
            Json::object({{"name", fmt::format("{}-{}", deployment_.name(), hash)},
                          {"namespace", deployment_.ns()},
                          {"labels", pods["metadata"]["labels"]},
                          {"annotations", std::move(annotations)},
                          {"ownerReferences", Json::array({controller_reference(deployment_)})}});
        auto set_spec = Json::object({{"replicas", replicas},
                                      {"selector", std::move(selector)},
                                      {"template", std::move(pods)}});
        if (const int64_t seconds = spec["minReadySeconds"].as_int())
            set_spec.set("minReadySeconds", seconds);
        return Json::object({{"apiVersion", "apps/v1"},
                             {"kind", "ReplicaSet"},
                             {"metadata", std::move(metadata)},
                             {"spec", std::move(set_spec)}});
    }

    SetChange& change_of(const Object& set) {
        for (SetChange& change : plan_.changes)
            if (change.set.uid() == set.uid()) return change;
        plan_.changes.push_back({set, std::nullopt, Json(), std::nullopt});
        return plan_.changes.back();
    }

    /// Annotations of the Deployment, and its revision: a set that becomes the new one again (a
    /// rollback) gets the next number.
    void update_new_set() {
        Json wanted = Json::object();
        for (const auto& [key, value] : deployment_.metadata()["annotations"].members())
            if (copied(key)) wanted.set(key, value);
        const int64_t others = latest_revision(old_sets_);
        int64_t revision = revision_of(new_set_);
        if (revision <= others) {
            if (revision > 0) {
                const std::string past(new_set_.annotation(history_annotation));
                wanted.set(history_annotation, past.empty() ? std::to_string(revision)
                                                            : fmt::format("{},{}", past, revision));
            }
            revision = others + 1;
            wanted.set(revision_annotation, std::to_string(revision));
        }
        plan_.revision = std::to_string(revision);
        if (Json missing = missing_annotations(new_set_, wanted); !missing.is_null())
            change_of(new_set_).annotations = std::move(missing);
        const int64_t seconds = deployment_.spec()["minReadySeconds"].as_int();
        if (new_set_.spec()["minReadySeconds"].as_int() != seconds)
            change_of(new_set_).min_ready_seconds = seconds;
    }

    void apply(const Scales& scales) {
        for (const auto& [name, replicas] : scales) {
            auto named = [&](const Object& set) { return set.name() == name; };
            const Object& set = *std::find_if(view_.sets.begin(), view_.sets.end(), named);
            const Json sizes = missing_annotations(set, size_annotations(deployment_));
            if (replicas == replicas_of(set) && sizes.is_null()) continue;
            SetChange& change = change_of(set);
            if (replicas != replicas_of(set)) change.replicas = replicas;
            for (const auto& [key, value] : sizes.members()) change.annotations.set(key, value);
        }
    }

    void clean_up_when_complete() {
        if (is_complete(deployment_, deployment_status(view_, new_set_, SetEvent::none, {})))
            clean_up();
    }

    void clean_up() {
        const Json& limit = deployment_.spec()["revisionHistoryLimit"];
        std::vector<Object> past;
        for (const Object& set : old_sets_)
            if (!set.is_being_deleted()) past.push_back(set);
        const int64_t surplus = static_cast<int64_t>(past.size()) - limit.as_int(10);
        if (surplus <= 0) return;
        std::sort(past.begin(), past.end(),
                  [](const Object& a, const Object& b) { return revision_of(a) < revision_of(b); });
        for (int64_t i = 0; i < surplus; ++i) {
            const Object& set = past[static_cast<size_t>(i)];
            const bool idle = set.status()["replicas"].as_int() == 0 && replicas_of(set) == 0 &&
                              set.generation() <= set.status()["observedGeneration"].as_int();
            if (idle) plan_.remove.push_back(set);
        }
    }
};

} // namespace

Object find_new_set(const Object& deployment, const std::vector<Object>& sets) {
    const Json wanted = plain_template(deployment);
    Object found;
    for (const Object& set : sets) {
        if (!(plain_template(set) == wanted)) continue;
        if (!found || std::pair(set.creation_time(), set.name()) <
                          std::pair(found.creation_time(), found.name()))
            found = set;
    }
    return found;
}

DeploymentPlan plan_deployment(const DeploymentView& view) { return Look(view).plan(); }

} // namespace cloudlet::kube::controllers
