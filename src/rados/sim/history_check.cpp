#include "sim/history_check.h"

#include <algorithm>
#include <cerrno>
#include <set>

#include <fmt/format.h>

#include "sim/history_search.h"

namespace cloudlet::rados::sim {

namespace {

using Answer = HistorySearch::Answer;
constexpr size_t shown_states = 4, shown_before = 6;

bool accept_any(const ObjectState&) { return true; }

std::vector<const Call*> calls_of(const History& history, const std::vector<size_t>& places) {
    std::vector<const Call*> calls;
    calls.reserve(places.size());
    for (size_t place : places) calls.push_back(&history.calls()[place]);
    return calls;
}

/// What the object can be when the answers before the event `until` have their place.
std::string possible_states(HistorySearch& search, uint64_t until) {
    std::set<std::string> states;
    search.run(until, [&](const ObjectState& state) {
        states.insert(state.to_string());
        return states.size() > shown_states;
    });
    std::string text;
    size_t left = shown_states;
    for (const std::string& state : states)
        text += left-- > 0 ? fmt::format("  {}\n", state) : "  ...\n";
    return text;
}

/// The first answer that fits into no order with those before it. Every beginning of a possible
/// history is possible, so it is found by halving.
const Call* first_wrong(HistorySearch& search, const std::vector<const Call*>& calls) {
    std::vector<const Call*> ended;
    for (const Call* call : calls)
        if (call->has_ended()) ended.push_back(call);
    std::ranges::sort(ended, {}, &Call::ended);
    auto wrong = std::partition_point(ended.begin(), ended.end() - 1, [&](const Call* call) {
        return search.run(call->ended + 1, accept_any) != Answer::impossible;
    });
    return *wrong;
}

/// The calls that overlap with it, and a few of those before them.
std::string calls_around(const std::vector<const Call*>& calls, const Call& center) {
    std::vector<const Call*> before, around;
    for (const Call* call : calls) {
        if (call == &center || call->begun > center.ended) continue;
        const bool is_open = call->ended > center.ended;
        if (is_open && !changes(call->ops)) continue;
        (call->ended < center.begun ? before : around).push_back(call);
    }
    std::ranges::sort(before, {}, &Call::ended);
    if (before.size() > shown_before) before.erase(before.begin(), before.end() - shown_before);
    std::string text;
    if (!before.empty()) text += "just before:\n";
    for (const Call* call : before) text += fmt::format("  {}\n", describe(*call));
    if (!around.empty()) text += "at the same time:\n";
    for (const Call* call : around) text += fmt::format("  {}\n", describe(*call));
    return text;
}

Finding violation(const std::string& object, const std::string& what, const Call& call,
                  const std::string& more = {}) {
    return {Finding::Kind::violation, object,
            fmt::format("object \"{}\": {}:\n  {}\n{}", object, what, describe(call), more)};
}

Finding undecided(const std::string& object, const CheckOptions& options) {
    return {Finding::Kind::undecided, object,
            fmt::format("object \"{}\": undecided after {} states", object, options.most_states)};
}

std::optional<Finding> find_obvious(const std::string& object,
                                    const std::vector<const Call*>& calls,
                                    const CheckOptions& options) {
    for (const Call* call : calls) {
        if (call->answers > 1) return violation(object, "a call was answered twice", *call);
        if (call->has_ended() && call->reply.result == -EIO && !options.allow_io_errors)
            return violation(object, "an I/O error that nothing explains", *call);
    }
    return std::nullopt;
}

std::optional<Finding> check_object(const std::string& object,
                                    const std::vector<const Call*>& calls,
                                    const CheckOptions& options) {
    if (auto found = find_obvious(object, calls, options)) return found;
    HistorySearch search(calls, options);
    const Answer answer = search.run(never, accept_any);
    if (answer == Answer::possible) return std::nullopt;
    if (answer == Answer::undecided) return undecided(object, options);
    const Call& wrong = *first_wrong(search, calls);
    return violation(object, "no order of the calls explains the answer of", wrong,
                     "when it came, the object could be one of:\n" +
                         possible_states(search, wrong.ended) + calls_around(calls, wrong));
}

} // namespace

HistoryVerdict judge_history(const History& history, const CheckOptions& options) {
    HistoryVerdict verdict;
    for (const auto& [object, places] : history.objects()) {
        ++verdict.objects;
        auto found = check_object(object, calls_of(history, places), options);
        if (!found) continue;
        const bool is_violation = found->kind == Finding::Kind::violation;
        verdict.finding = std::move(found);
        if (is_violation) return verdict;
        ++verdict.undecided;
    }
    return verdict;
}

std::optional<Finding> check_history(const History& history, const CheckOptions& options) {
    return judge_history(history, options).finding;
}

std::optional<Finding> check_final(const History& history, const std::string& object,
                                   const ObjectContent& content, const CheckOptions& options) {
    auto places = history.objects().find(object);
    const auto calls = places == history.objects().end() ? std::vector<const Call*>()
                                                         : calls_of(history, places->second);
    HistorySearch search(calls, options);
    const Answer answer =
        search.run(never, [&](const ObjectState& state) { return state.holds(content); });
    if (answer == Answer::possible) return std::nullopt;
    if (answer == Answer::undecided) return undecided(object, options);
    ObjectState held{.present = content.present, .data = share(content.data)};
    held.xattrs = std::make_shared<const Attributes>(content.xattrs);
    held.omap = std::make_shared<const Attributes>(content.omap);
    return Finding{Finding::Kind::violation, object,
                   fmt::format("object \"{}\" holds at the end:\n  {}\nwhat it could hold:\n{}",
                               object, held.to_string(), possible_states(search, never))};
}

} // namespace cloudlet::rados::sim
