#pragma once
// Is what clients were told possible? For each object, the calls to it must fit into one order that
// keeps real time (what ended before another began comes first) and in which every reply is what
// the object gives: linearizability (Herlihy and Wing 1990). Objects are independent of each other,
// so each is decided alone. A call without an answer may have happened at any time after it began,
// or never. Refusals (-ENOSPC, -EDQUOT, -EAGAIN, -ESHUTDOWN) say that nothing happened. Pure.

#include <cstddef>
#include <optional>
#include <string>

#include "sim/history.h"
#include "sim/object_model.h"

namespace cloudlet::rados::sim {

struct CheckOptions {
    bool allow_io_errors = false; // -EIO is a refusal; else it is a violation
    size_t most_states = 200'000; // that are tried for one object before it is left undecided
};

struct Finding {
    enum class Kind : uint8_t { violation, undecided };
    Kind kind = Kind::violation;
    std::string object = {};
    /// Of a violation: the first answer that fits into no order, what the object can have been
    /// then, and the calls around it, a line each.
    std::string story = {};
};

struct HistoryVerdict {
    /// Nothing when all is well; else a violation, or an object that was too hard to decide.
    std::optional<Finding> finding = {};
    size_t objects = 0, undecided = 0; // that were looked at
};

/// Looks at all objects, or ends with the first violation.
HistoryVerdict judge_history(const History& history, const CheckOptions& options = {});
/// Its finding.
std::optional<Finding> check_history(const History& history, const CheckOptions& options = {});

/// Whether an object can hold this after the whole history; the calls to it have to be possible.
std::optional<Finding> check_final(const History& history, const std::string& object,
                                   const ObjectContent& content, const CheckOptions& options = {});

} // namespace cloudlet::rados::sim
