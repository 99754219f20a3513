#pragma once
// What a client asks to be done to one object: a list of operations that happens as a whole, or,
// when a guard or an operation fails, not at all. Reads in a list see the object as it was before
// the list's changes. Names and results are those of librados; a result is 0 or a negative errno.
// Plain data.

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "cloudlet/base/bytes.h"
#include "cloudlet/rados/osd_map.h"
#include "cloudlet/rados/transaction.h"

namespace cloudlet::rados {

namespace op {

// Guards. A failing one ends the list: -ENOENT, or as noted.
struct AssertExists {
    bool operator==(const AssertExists&) const = default;
};
struct AssertVersion { // -ERANGE when the object's user version is lower, -EOVERFLOW when higher
    uint64_t user_version = 0;
    bool operator==(const AssertVersion&) const = default;
};
struct CompareXattr { // -ECANCELED unless equal; an xattr that is not there equals ""
    std::string name, value;
    bool operator==(const CompareXattr&) const = default;
};
struct CompareData { // -EILSEQ unless equal; what lies beyond the end compares as zeros
    uint64_t offset = 0;
    std::string data;
    bool operator==(const CompareData&) const = default;
};

// Reads. -ENOENT when the object is missing, -ENODATA for an xattr that it does not have.
struct Read { // length 0: to the end
    uint64_t offset = 0, length = 0;
    bool operator==(const Read&) const = default;
};
struct Stat {
    bool operator==(const Stat&) const = default;
};
struct GetXattr {
    std::string name;
    bool operator==(const GetXattr&) const = default;
};
struct GetXattrs {
    bool operator==(const GetXattrs&) const = default;
};
struct GetOmap { // at most `limit` entries behind `after`
    std::string after;
    uint64_t limit = 0;
    bool operator==(const GetOmap&) const = default;
};
struct GetOmapValues {
    std::vector<std::string> keys;
    bool operator==(const GetOmapValues&) const = default;
};

// Changes. Those that put something make the object when it is missing.
struct Create { // exclusive: -EEXIST when it is there
    bool exclusive = false;
    bool operator==(const Create&) const = default;
};
struct WriteFull {
    SharedBytes data;
    bool operator==(const WriteFull& other) const;
};
struct Write { // -EFBIG beyond StoreLimits::object_bytes, as all that make an object longer
    uint64_t offset = 0;
    SharedBytes data;
    bool operator==(const Write& other) const;
};
struct Append {
    SharedBytes data;
    bool operator==(const Append& other) const;
};
struct Zero { // nothing happens to a missing object; what reaches the end cuts the object off there
    uint64_t offset = 0, length = 0;
    bool operator==(const Zero&) const = default;
};
struct Truncate { // nothing happens to a missing object
    uint64_t size = 0;
    bool operator==(const Truncate&) const = default;
};
struct Remove { // -ENOENT
    bool operator==(const Remove&) const = default;
};
struct SetXattr {
    std::string name, value;
    bool operator==(const SetXattr&) const = default;
};
struct RemoveXattr { // no error when there is no such xattr
    std::string name;
    bool operator==(const RemoveXattr&) const = default;
};
struct SetOmap {
    Attributes values;
    bool operator==(const SetOmap&) const = default;
};
struct RemoveOmapKeys { // -ENOENT when the object is missing
    std::vector<std::string> keys;
    bool operator==(const RemoveOmapKeys&) const = default;
};
struct ClearOmap { // -ENOENT when the object is missing
    bool operator==(const ClearOmap&) const = default;
};

} // namespace op

/// The order of the alternatives is their number in the encoded form.
using ObjectOp =
    std::variant<op::AssertExists, op::AssertVersion, op::CompareXattr, op::CompareData, op::Read,
                 op::Stat, op::GetXattr, op::GetXattrs, op::GetOmap, op::GetOmapValues, op::Create,
                 op::WriteFull, op::Write, op::Append, op::Zero, op::Truncate, op::Remove,
                 op::SetXattr, op::RemoveXattr, op::SetOmap, op::RemoveOmapKeys, op::ClearOmap>;
using ObjectOps = std::vector<ObjectOp>;

/// True when the list reads or tests the object; Ceph's pauserd holds guards, too.
bool reads(const ObjectOps& ops);
/// True when the list changes the object (unless a guard fails).
bool changes(const ObjectOps& ops);
/// True when the list can only free space: it removes, and puts nothing. A full cluster takes it.
bool only_frees(const ObjectOps& ops);

/// How many bytes of data the list brings.
uint64_t data_bytes(const ObjectOps& ops);

/// What one operation of a list gave.
struct OpResult {
    int32_t result = 0;
    std::string data = {};   // Read, GetXattr
    Attributes values = {};  // GetXattrs, GetOmap, GetOmapValues
    bool more = false;       // GetOmap: the limit cut it
    uint64_t size = 0;       // Stat
    Timestamp modified = {}; // Stat
    bool operator==(const OpResult&) const = default;
};

} // namespace cloudlet::rados
