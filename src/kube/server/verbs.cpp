// Create, update and patch. Each prepares what does not depend on the present state, then hands the
// writer a decision that reads as the recipe: system fields, defaults, admission, validation.

#include <algorithm>

#include "admission.h"

namespace cloudlet::kube::server {

namespace {

Writer::Mode mode_of(const WriteContext& context) {
    return context.options.dry_run ? Writer::Mode::dry_run : Writer::Mode::commit;
}

bool is_status(const Target& target) {
    return target.subresource && target.subresource->name == "status";
}

Outcome<> check_fields(const Target& target, std::string_view name,
                       const std::vector<api::FieldError>& errors) {
    if (errors.empty()) return {};
    return refuse(invalid(*target.kind, name, errors));
}

Outcome<Decision> decide_create(Core& core, const Target& target, const Json& wanted,
                                const ObjectPointer& current) {
    const std::string name(wanted.at({"metadata", "name"}).as_string());
    if (current) return refuse(already_exists(resource_of(*target.kind), name));
    Decision decision;
    decision.action = Decision::Action::put;
    decision.object = wanted;
    NEED(admit_namespace(core, target, name, decision));
    NEED(admit_create(core, target, decision));
    NEED(check_fields(target, name, api::validate_create(*target.kind, decision.object)));
    return decision;
}

void note_inert_fields(WriteContext& context, const Json& object) {
    for (std::string& text : api::inert_warnings(*context.target.kind, object))
        context.warnings.push_back(std::move(text));
}

/// Only fields that this update sets: what the object has already, the client was told before (and
/// some of it the server itself put there).
void note_new_inert_fields(WriteContext& context, const Json& object, const Json& old) {
    const auto before = api::inert_warnings(*context.target.kind, old);
    for (std::string& text : api::inert_warnings(*context.target.kind, object))
        if (std::find(before.begin(), before.end(), text) == before.end())
            context.warnings.push_back(std::move(text));
}

Outcome<Json> apply_patch(const api::Schema& schema, PatchKind type, const Json& object,
                          const Json& patch) {
    if (type == PatchKind::merge) {
        if (!patch.is_object()) return refuse(bad_request("a merge patch must be a JSON object"));
        return api::apply_merge_patch(object, patch);
    }
    auto patched = type == PatchKind::json ? api::apply_json_patch(object, patch)
                                           : api::apply_strategic_patch(object, patch, schema);
    if (patched) return std::move(*patched);
    if (type == PatchKind::strategic) return refuse(bad_request(patched.error().message));
    Failure failure;
    failure.code = 422;
    failure.reason = "Invalid";
    failure.message = "the server rejected our request due to an error in our request: " +
                      patched.error().message;
    return refuse(std::move(failure));
}

/// A decision that patches; warnings of the last attempt are the ones that count.
Outcome<Decision> decide_patch(Core& core, WriteContext& context, PatchKind type, const Json& patch,
                               const ObjectPointer& current) {
    const Target& target = context.target;
    if (!current) return refuse(not_found(resource_of(*target.kind), target.name));
    context.warnings.clear();
    Body body{NEED(apply_patch(*target.kind->schema, type, current->object().json(), patch)), {}};
    NEED(conform(*target.kind, body, context.options.field_validation, context.warnings));
    if (!is_status(target) && type == PatchKind::json) // a list of steps, not of fields
        note_new_inert_fields(context, body.value, current->object().json());
    else if (!is_status(target))
        note_inert_fields(context, patch);
    return decide_update(core, context, std::move(body.value), current);
}

} // namespace

Outcome<Json> patched(const api::Schema& schema, PatchKind type, const Json& object,
                      const Json& patch) {
    return apply_patch(schema, type, object, patch);
}

void create_object(Core& core, WriteContextPointer context, Json body, WriteDone done) {
    const Target& target = context->target;
    if (auto stamped = stamp_new(core, target, body); !stamped)
        return done(refuse(stamped.error()));
    note_inert_fields(*context, body);
    api::default_object(*target.kind, body);
    api::prepare_create(*target.kind, body);
    std::string name(body.at({"metadata", "name"}).as_string());
    auto wanted = std::make_shared<const Json>(std::move(body));
    core.writer.write(
        *target.kind, target.ns, std::move(name), mode_of(*context),
        [&core, context, wanted](const ObjectPointer& current) {
            return decide_create(core, context->target, *wanted, current);
        },
        std::move(done));
}

Outcome<Decision> decide_update(Core& core, WriteContext& context, Json wanted,
                                const ObjectPointer& current) {
    const Target& target = context.target;
    const api::Kind& kind = *target.kind;
    if (!current) return refuse(not_found(resource_of(kind), target.name));
    const api::Object parsed = current->object();
    const Json& old = parsed.json();

    Decision decision;
    decision.object = std::move(wanted);
    NEED(stamp_update(target, *current, old, decision.object));
    api::default_object(kind, decision.object);
    if (is_status(target)) {
        api::prepare_status_update(kind, decision.object, old);
        NEED(check_fields(target, target.name,
                          api::validate_status_update(kind, decision.object, old)));
    } else {
        api::prepare_update(kind, decision.object, old);
        NEED(admit_update(core, target, old, decision));
        NEED(check_fields(target, target.name, api::validate_update(kind, decision.object, old)));
    }
    if (is_finished(kind, decision.object)) {
        decision = Decision{};
        decision.action = Decision::Action::remove;
        admit_removal(core, kind, old, decision);
    } else if (!(decision.object == old)) {
        decision.action = Decision::Action::put;
    }
    return decision;
}

void update_object(Core& core, WriteContextPointer context, Json body, WriteDone done) {
    const Target& target = context->target;
    auto wanted = std::make_shared<const Json>(std::move(body));
    const size_t told = context->warnings.size();
    auto decide = [&core, context, wanted, told](const ObjectPointer& current) {
        context->warnings.resize(told); // of an attempt before
        if (current && !is_status(context->target))
            note_new_inert_fields(*context, *wanted, current->object().json());
        return decide_update(core, *context, *wanted, current);
    };
    core.writer.write(*target.kind, target.ns, target.name, mode_of(*context), std::move(decide),
                      std::move(done));
}

void patch_object(Core& core, WriteContextPointer context, PatchKind type, Json patch,
                  WriteDone done) {
    const Target& target = context->target;
    auto shared_patch = std::make_shared<const Json>(std::move(patch));
    core.writer.write(
        *target.kind, target.ns, target.name, mode_of(*context),
        [&core, context, type, shared_patch](const ObjectPointer& current) {
            return decide_patch(core, *context, type, *shared_patch, current);
        },
        std::move(done));
}

} // namespace cloudlet::kube::server
