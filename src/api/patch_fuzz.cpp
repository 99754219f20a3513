// Objects and patches that nobody would write on purpose: no patch may crash, and what it makes
// must survive the rest of the pipeline. The input is one JSON array: [kind, object, patch].

#include "cloudlet/api/kind.h"
#include "cloudlet/api/patch.h"
#include "cloudlet/base/check.h"

using namespace cloudlet;
using namespace cloudlet::api;

namespace {

void pass_pipeline(const Kind& kind, Json object) {
    if (!kind.schema->check_types(object)) return;
    kind.schema->prune(object);
    default_object(kind, object);
    Json again = object;
    default_object(kind, again);
    check(again == object, "defaulting twice is as defaulting once");
    prepare_create(kind, object);
    for (const FieldError& error : validate_create(kind, object))
        check(!error.to_string().empty(), "an error has words");
    validate_update(kind, object, again);
    inert_warnings(kind, object);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    std::string_view text(reinterpret_cast<const char*>(data), size);
    auto input = codec::parse_json(text, {.max_depth = 64, .max_bytes = 1 << 20});
    if (!input) return 0;
    const Kind* kind = builtin_kinds().find_object((*input)[0]["apiVersion"].as_string(),
                                                   (*input)[0]["kind"].as_string());
    if (!kind) kind = builtin_kinds().find_object("v1", "Pod");
    const Json& object = (*input)[1];
    const Json& patch = (*input)[2];
    Json merged = apply_merge_patch(object, patch);
    check(merged == apply_merge_patch(merged, patch),
          "a merge patch applied twice is as applied once");
    pass_pipeline(*kind, std::move(merged));
    if (auto result = apply_strategic_patch(object, patch, *kind->schema))
        pass_pipeline(*kind, std::move(*result));
    if (auto result = apply_json_patch(object, patch)) pass_pipeline(*kind, std::move(*result));
    return 0;
}
