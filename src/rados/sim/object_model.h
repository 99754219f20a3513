#pragma once
// One object as its clients may imagine it: what object_op.h promises, carried out in the simplest
// way. It shares nothing with the OSD, which it judges. A value; copies share their bytes.
//
// What the header leaves open is taken either way when a reply says so: a guard other than
// AssertExists, and RemoveXattr, may answer -ENOENT on a missing object. A list of which nothing
// could take place because there is no object may or may not count as a change.

#include <cstdint>
#include <memory>
#include <string>

#include "cloudlet/rados/message.h"
#include "cloudlet/rados/object_op.h"

namespace cloudlet::rados::sim {

/// What an object holds, as a replica's store tells it.
struct ObjectContent {
    bool present = false;
    std::string data = {};
    Attributes xattrs = {}, omap = {};
};

struct ObjectState {
    bool present = false;
    SharedBytes data = {};                                    // null: empty
    std::shared_ptr<const Attributes> xattrs = {}, omap = {}; // null: empty
    /// The user version of the last change, removals included. That of a change that nobody was
    /// told of is not known: then it is at least this.
    uint64_t version = 0;
    bool exact = true;

    uint64_t hash() const;
    bool holds(const ObjectContent& content) const;
    std::string to_string() const; // "v5 'ab12' xattrs {k='v'} omap {}", "v6 removed"
};

/// What a list does to an object.
struct Outcome {
    enum class Effect : uint8_t {
        wrong,   // the reply is not what this object gives
        none,    // the object is as it was
        learnt,  // ... but the reply told its version
        changed, // it is `state` now
    };
    Effect effect = Effect::none;
    ObjectState state = {}; // with learnt and changed
};

/// With the reply that was given.
Outcome carry_out(const ObjectState& before, const ObjectOps& ops,
                  const message::ClientReply& reply);
/// Without one: as if nothing stood against it but its guards.
Outcome carry_out(const ObjectState& before, const ObjectOps& ops);

} // namespace cloudlet::rados::sim
