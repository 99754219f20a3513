#pragma once
// How an object of a PG is called in an object store: so that the store's order is the PG's.

#include <optional>

#include "cloudlet/rados/pg_types.h"
#include "cloudlet/rados/transaction.h"

namespace cloudlet::rados {

/// A PG's record has room for no longer ones, nor does Ceph take them (osd_max_object_name_len).
inline constexpr size_t most_name_bytes = 2048;

ObjectId to_object_id(const PgObject& object);
/// Nothing for a name that to_object_id() does not make.
std::optional<PgObject> from_object_id(const ObjectId& id);

} // namespace cloudlet::rados
