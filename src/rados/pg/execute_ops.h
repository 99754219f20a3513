#pragma once
// Carries out what a client asks to be done to one object: reads it, and makes the transaction that
// changes it. Nothing is changed here. The rules are those of librados (object_op.h).

#include <vector>

#include "cloudlet/rados/object_op.h"
#include "cloudlet/rados/object_store.h"
#include "cloudlet/rados/pg_codec.h"

namespace cloudlet::rados {

/// The xattr that holds an object's ObjectInfo.
inline constexpr std::string_view info_xattr = "_";
/// Before the names of users' xattrs: so none of them, not even "", is the one of the info.
inline constexpr std::string_view user_xattr_prefix = ".";

struct Execution {
    int32_t result = 0; // 0 or a negative errno; then nothing is to be changed
    std::vector<OpResult> results = {};
    Transaction change = {};              // with the new ObjectInfo, unless the object goes
    bool existed = false, exists = false; // before and after
    ObjectInfo before = {};               // of the object that existed
    bool damaged = false;                 // what was needed cannot be read; result means nothing
};

struct ObjectPlace {
    const ObjectStore& store;
    CollectionId collection;
    ObjectId id;
};

/// `next` is what the object's info becomes if the list changes it.
Execution execute_ops(const ObjectPlace& place, const ObjectOps& ops, const ObjectInfo& next);

/// Error: Code::not_found when the object is not there, Code::io when it is damaged.
Result<ObjectInfo> read_object_info(const ObjectPlace& place);

/// A whole object as recovery copies it. Error: as read_object_info().
Result<change::Replace> read_whole_object(const ObjectPlace& place);

} // namespace cloudlet::rados
