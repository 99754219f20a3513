#pragma once
// What must be true of a cluster, judged by somebody who sees everything at once: every process'
// memory and every disk. Each gives a sentence about the first thing that is wrong, and the PG that
// it is about. One thread; they change nothing.

#include <cstdint>
#include <optional>
#include <string>

#include "sim/cluster.h"
#include "sim/history.h"

namespace cloudlet::rados::sim {

struct Violation {
    std::string kind;     // "not clean", "replicas differ"
    std::string sentence; // what is wrong, with names and values
    std::string about;    // a PG or an object, to choose from a story; or empty
};

/// A PG that is not active and clean, as its primary sees it in the newest map; or nothing.
std::optional<PgId> first_unclean(Cluster& cluster);
/// The same as a sentence that says what its primary thinks.
std::optional<Violation> must_be_clean(Cluster& cluster);

/// True when all acting OSDs of the PG have the same objects with the same content, undamaged.
bool has_equal_copies(Cluster& cluster, PgId pg);
std::optional<Violation> must_have_equal_copies(Cluster& cluster);

/// What the acting copies hold, object by object, is what the history says it can be, and lies
/// where its name belongs. Reads ask only for what clients know of.
std::optional<Violation> must_be_explained(Cluster& cluster, const History& history);

/// A primary that counts scrub errors.
std::optional<Violation> must_be_consistent(Cluster& cluster);

/// Maps change because something happened, not because two cannot agree for ever.
std::optional<Violation> must_have_few_epochs(const CloudStore& store, MonotonicTime now);

/// No OSD makes more of its PGs whole at once than it has slots.
std::optional<Violation> must_respect_slots(const Cluster& cluster);

/// Nobody was marked down because one host said so.
std::optional<Violation> must_be_just(const Cluster& cluster);

/// Flags mean what they say while they are set.
std::optional<Violation> must_keep_flags(const Cluster& cluster);

/// Monitors have heard one history of maps.
std::optional<Violation> must_be_one_history(const CloudStore& store);

} // namespace cloudlet::rados::sim
