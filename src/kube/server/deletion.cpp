// Deletion: at once, or gracefully, or only marked while finalizers are left (Kubernetes API
// conventions, "Graceful deletion" and "Finalizers").

#include <algorithm>

#include <fmt/format.h>

#include "admission.h"

namespace cloudlet::kube::server {

namespace {

namespace resources = api::resources;

constexpr std::string_view orphan = "orphan";
constexpr std::string_view foreground = "foregroundDeletion";
constexpr size_t deletions_at_once = 64;

bool holds(const Json& list, std::string_view text) {
    for (const Json& item : list.items())
        if (item.as_string() == text) return true;
    return false;
}

Outcome<> check_request(const Target& target, const DeleteRequest& request,
                        const CachedObject& current) {
    const api::Resource resource = resource_of(*target.kind);
    if (!request.uid.empty() && request.uid != current.uid())
        return refuse(conflict(
            resource, current.name(),
            fmt::format("Precondition failed: UID in precondition: {}, UID in object meta: {}",
                        request.uid, current.uid())));
    if (!request.resource_version.empty() &&
        NEED(parse_revision(request.resource_version)) != current.revision())
        return refuse(conflict(
            resource, current.name(),
            fmt::format("Precondition failed: ResourceVersion in precondition: {}, ResourceVersion "
                        "in object meta: {}",
                        request.resource_version, current.revision())));
    const bool immortal = current.name() == "default" || current.name() == "kube-system" ||
                          current.name() == "kube-public";
    if (is_kind(*target.kind, resources::namespaces) && immortal)
        return refuse(forbidden(resource, current.name(), "this namespace may not be deleted"));
    return {};
}

/// The finalizers that propagation adds and takes away.
Json finalizers_for(const Json& existing, const std::string& policy) {
    const bool orphans = policy == "Orphan" || (policy.empty() && holds(existing, orphan));
    const bool waits = policy == "Foreground" || (policy.empty() && holds(existing, foreground));
    Json result = Json::array();
    for (const Json& item : existing.items())
        if (item.as_string() != orphan && item.as_string() != foreground) result.push_back(item);
    if (orphans) result.push_back(orphan);
    if (waits) result.push_back(foreground);
    return result;
}

/// Seconds that the node has to end the pod; 0 when no node runs it.
int64_t grace_of(const Json& pod, const DeleteRequest& request) {
    const std::string_view phase = pod.at({"status", "phase"}).as_string();
    if (pod.at({"spec", "nodeName"}).as_string().empty() || phase == "Failed" ||
        phase == "Succeeded")
        return 0;
    return request.grace_period_seconds.value_or(
        pod.at({"spec", "terminationGracePeriodSeconds"}).as_int(30));
}

/// Sets deletionTimestamp and grace on a pod. False when its deletion stands as it is.
bool mark_pod(Core& core, const DeleteRequest& request, Json& pod) {
    Json& metadata = *pod.find_mutable("metadata");
    int64_t grace = grace_of(pod, request);
    WallTime start = core.now();
    if (metadata["deletionTimestamp"].is_string()) {
        const int64_t earlier = metadata["deletionGracePeriodSeconds"].as_int();
        if (!request.grace_period_seconds) grace = earlier;
        if (grace >= earlier && earlier != 0) return false;
        if (auto due = parse_time(metadata["deletionTimestamp"].as_string()))
            start = *due - std::chrono::seconds(earlier);
        grace = std::min(grace, earlier);
    }
    metadata.set("deletionTimestamp", format_time(start + std::chrono::seconds(grace)));
    metadata.set("deletionGracePeriodSeconds", grace);
    return true;
}

void mark(Core& core, const api::Kind& kind, Json& object) {
    Json& metadata = *object.find_mutable("metadata");
    if (metadata["deletionTimestamp"].is_string()) return;
    metadata.set("deletionTimestamp", format_time(core.now()));
    if (is_kind(kind, resources::namespaces))
        object.set_path({"status", "phase"}, "Terminating");
    else
        metadata.set("deletionGracePeriodSeconds", 0);
    if (metadata["generation"].is_int())
        metadata.set("generation", metadata["generation"].as_int() + 1);
}

Outcome<Decision> decide_deletion(Core& core, const Target& target, const DeleteRequest& request,
                                  const ObjectPointer& current) {
    const api::Kind& kind = *target.kind;
    if (!current) return refuse(not_found(resource_of(kind), target.name));
    NEED(check_request(target, request, *current));
    const api::Object parsed = current->object();
    const Json& old = parsed.json();

    Decision decision;
    decision.object = old;
    Json& metadata = *decision.object.find_mutable("metadata");
    Json finalizers = finalizers_for(metadata["finalizers"], request.propagation_policy);
    if (finalizers.empty())
        metadata.erase("finalizers");
    else
        metadata.set("finalizers", std::move(finalizers));

    const bool pod = is_kind(kind, resources::pods);
    if (pod && !mark_pod(core, request, decision.object)) return decision; // keep
    if (!pod) mark(core, kind, decision.object);
    if (is_finished(kind, decision.object)) {
        decision.action = Decision::Action::remove;
        admit_removal(core, kind, old, decision);
    } else if (!(decision.object == old)) {
        decision.action = Decision::Action::put;
    }
    return decision;
}

/// Many deletions, some at a time.
struct CollectionDeletion : std::enable_shared_from_this<CollectionDeletion> {
    Core& core;
    Target target;
    DeleteRequest request;
    std::vector<ObjectPointer> objects;
    std::function<void(Outcome<std::vector<SharedBytes>>)> done;
    std::mutex mutex;
    size_t next = 0;
    size_t under_way = 0;
    std::vector<SharedBytes> answers;
    std::optional<Failure> failure;

    explicit CollectionDeletion(Core& owner) : core(owner) {}

    void advance() {
        for (;;) {
            ObjectPointer object;
            {
                std::lock_guard lock(mutex);
                if (next == objects.size() || under_way >= deletions_at_once || failure) return;
                object = objects[next++];
                ++under_way;
            }
            auto context = std::make_shared<WriteContext>();
            context->target = target;
            context->target.verb = Verb::remove;
            context->target.ns = object->ns();
            context->target.name = object->name();
            delete_object(core, std::move(context), request,
                          [self = shared_from_this()](Outcome<Written> written) {
                              self->ended(std::move(written));
                          });
        }
    }

    void ended(Outcome<Written> written) {
        bool last = false;
        {
            std::lock_guard lock(mutex);
            --under_way;
            if (written)
                answers.push_back(written->json);
            else if (written.error().reason != "NotFound" && !failure)
                failure = std::move(written.error());
            last = under_way == 0 && (failure || next == objects.size());
        }
        if (!last) {
            // Commits end on the store's thread; the next deletions are decided on a worker.
            if (core.options.pool->submit([self = shared_from_this()] { self->advance(); })) return;
            std::lock_guard lock(mutex);
            if (!failure) failure = unavailable("the server is busy; try again");
            if (under_way != 0) return;
        }
        if (failure)
            done(refuse(std::move(*failure)));
        else
            done(std::move(answers));
    }
};

} // namespace

void delete_object(Core& core, WriteContextPointer context, DeleteRequest request, WriteDone done) {
    const Target& target = context->target;
    const auto mode = request.dry_run ? Writer::Mode::dry_run : Writer::Mode::commit;
    auto shared_request = std::make_shared<const DeleteRequest>(std::move(request));
    core.writer.write(
        *target.kind, target.ns, target.name, mode,
        [&core, context, shared_request](const ObjectPointer& current) {
            return decide_deletion(core, context->target, *shared_request, current);
        },
        [&core, context, mode, done = std::move(done)](Outcome<Written> written) {
            const bool removed = written && written->removed && mode == Writer::Mode::commit;
            done(std::move(written));
            if (removed) restore_if_needed(core, context->target);
        });
}

void delete_collection(Core& core, WriteContextPointer context, DeleteRequest request,
                       ListQuery query,
                       std::function<void(Outcome<std::vector<SharedBytes>>)> done) {
    auto listing = list_objects(core, context->target, query);
    if (!listing) return done(refuse(listing.error()));
    if (listing->objects.empty()) return done(std::vector<SharedBytes>{});
    auto deletion = std::make_shared<CollectionDeletion>(core);
    deletion->target = context->target;
    deletion->request = std::move(request);
    deletion->objects = std::move(listing->objects);
    deletion->done = std::move(done);
    deletion->advance();
}

} // namespace cloudlet::kube::server
