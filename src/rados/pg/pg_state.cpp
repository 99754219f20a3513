#include <array>

#include <fmt/format.h>

#include "cloudlet/rados/pg_peering.h"

namespace cloudlet::rados {

namespace {

// In the order of PgFlag.
constexpr std::array<std::string_view, 33> flag_names = {
    "stale",
    "creating",
    "active",
    "activating",
    "clean",
    "recovery_wait",
    "recovery_toofull",
    "recovering",
    "forced_recovery",
    "down",
    "recovery_unfound",
    "backfill_unfound",
    "undersized",
    "degraded",
    "remapped",
    "premerge",
    "scrubbing",
    "deep",
    "inconsistent",
    "peering",
    "repair",
    "backfill_wait",
    "backfilling",
    "forced_backfill",
    "backfill_toofull",
    "incomplete",
    "peered",
    "snaptrim",
    "snaptrim_wait",
    "snaptrim_error",
    "failed_repair",
    "laggy",
    "wait",
};
static_assert(flag_names.size() == static_cast<size_t>(PgFlag::wait) + 1);

} // namespace

Result<PgState> PgState::from_bits(uint64_t bits) {
    if (bits >> flag_names.size() != 0)
        return fail(Code::invalid, fmt::format("a PG's state of {:#x} has unknown flags", bits));
    PgState state;
    state.bits_ = bits;
    return state;
}

std::string PgState::to_string() const {
    std::string text;
    for (size_t i = 0; i < flag_names.size(); ++i) {
        if (!has(static_cast<PgFlag>(i))) continue;
        if (!text.empty()) text += '+';
        text += flag_names[i];
    }
    return text.empty() ? "unknown" : text;
}

Result<PgState> PgState::parse(std::string_view text) {
    PgState state;
    if (text == "unknown") return state;
    for (size_t at = 0; at <= text.size();) {
        size_t end = std::min(text.find('+', at), text.size());
        std::string_view word = text.substr(at, end - at);
        auto found = std::find(flag_names.begin(), flag_names.end(), word);
        if (found == flag_names.end())
            return fail(Code::invalid,
                        fmt::format("\"{}\" is no state of a placement group", word));
        state.set(static_cast<PgFlag>(found - flag_names.begin()));
        at = end + 1;
    }
    return state;
}

} // namespace cloudlet::rados
