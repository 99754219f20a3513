#pragma once
// The three patch types of the Kubernetes API. Each is a pure function: object and patch in, new
// object out; nothing of the input is changed. Thread-safe.
//
// Errors: Code::invalid with one line that says which part of the patch cannot be applied (the API
// server answers 400 or 422 with it); a failed JSON-patch `test` is Code::conflict, told as
// Kubernetes tells it ("testing path ... failed").

#include "cloudlet/api/schema.h"

namespace cloudlet::api {

/// RFC 7386: null deletes, objects merge, everything else replaces. Cannot fail.
Json apply_merge_patch(const Json& object, const Json& patch);

/// RFC 6902: add, remove, replace, move, copy, test, with RFC 6901 pointers. At most 10,000
/// operations. As in Kubernetes, removing an absent member is an error.
Result<Json> apply_json_patch(const Json& object, const Json& patch);

/// Kubernetes' strategic merge patch: like a merge patch, but lists with a merge key merge element
/// by element, and the directives $patch (replace, merge, delete), $deleteFromPrimitiveList/x,
/// $setElementOrder/x and $retainKeys are obeyed. `schema` says which lists merge and by which key.
Result<Json> apply_strategic_patch(const Json& object, const Json& patch, const Schema& schema);

/// The merge patch that turns `from` into `to` (RFC 7386): null for what vanished. A null member of
/// `to` cannot be said in a merge patch and is left out.
Json make_merge_patch(const Json& from, const Json& to);

} // namespace cloudlet::api
