#pragma once
// The search for an order of the calls to one object: depth first, as Wing and Gong (1993), with
// the dead ends remembered, as Lowe (2017). What keeps it short:
//
// - An answer that changes nothing and fits the present state is placed at once: whatever order
//   there is with it later, there is one with it now.
// - Changes that were answered have their order by the user versions that they were told.
// - Calls without an answer are tried last, and only while their versions would be below those that
//   answers still to come were told.
//
// One thread.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <unordered_set>
#include <vector>

#include "sim/history.h"
#include "sim/history_check.h"
#include "sim/object_model.h"

namespace cloudlet::rados::sim {

/// True when the reply says that nothing happened.
bool is_refusal(const message::ClientReply& reply, const CheckOptions& options);

class HistorySearch {
public:
    enum class Answer : uint8_t { possible, impossible, undecided };

    /// `calls` begin in this order, and must outlive it.
    HistorySearch(const std::vector<const Call*>& calls, const CheckOptions& options);

    /// Looks only at what happened before the event `until` of the history; a call that ended later
    /// counts as one without an answer. `accept` sees each state in which all answers have their
    /// place; when it is false the search goes on.
    Answer run(uint64_t until, const std::function<bool(const ObjectState&)>& accept);

private:
    enum class Kind : uint8_t { look, change, open };
    struct Item {
        const Call* call = nullptr;
        uint64_t ended = never;
        Kind kind = Kind::look;
        bool ordered = false; // its place among the changes follows from its version
        bool done = false;
        uint64_t mark = 0;             // of the set of those that are done
        uint64_t newest = never;       // the object's version then is at most this
        uint64_t newest_later = never; // ... for this and all answers that began later
    };
    /// A state, and what may come next.
    struct Step {
        ObjectState state = {};
        size_t first_answered = 0, next_change = 0;
        size_t trail = 0, choices = 0, tried = 0; // where this step's begin; how many were tried
        bool finished = false;
    };

    void choose_items(uint64_t until);
    void find_newest();
    void begin_step(ObjectState state, size_t first_answered, size_t next_change);
    bool settle_looks(Step& step);
    void find_choices(Step& step);
    bool is_dead_end(const Step& step) const;
    bool try_next();
    void end_step();
    void place(size_t item);

    const std::vector<const Call*>& calls_;
    const CheckOptions& options_;
    std::vector<Item> items_;        // in the order in which they began
    std::vector<size_t> answered_;   // of these
    std::vector<size_t> open_;       // of these, changes without an answer
    std::vector<size_t> by_version_; // of these, changes that were answered
    std::vector<Step> steps_;
    std::vector<size_t> trail_;   // what is done, in order
    std::vector<size_t> choices_; // of all steps
    std::unordered_set<uint64_t> dead_ends_;
    uint64_t done_hash_ = 0;
    size_t states_ = 0;
};

} // namespace cloudlet::rados::sim
