#include "sim/coverage.h"

#include <algorithm>
#include <sstream>

#include <fmt/format.h>

namespace cloudlet::rados::sim {

namespace {

template <typename State>
std::string rows_taken(std::span<const PgTransition<State>> rows,
                       const std::vector<uint64_t>& taken, std::string_view table) {
    std::string text =
        fmt::format("{}: {} of {} ways taken\n", table,
                    rows.size() - static_cast<size_t>(std::ranges::count(taken, 0u)), rows.size());
    for (size_t i = 0; i < rows.size(); ++i)
        text += fmt::format("  {:8} {} -> {} ({})\n", taken[i], name_of(rows[i].from),
                            name_of(rows[i].to), name_of(rows[i].event));
    return text;
}

template <size_t index = 0>
std::string messages_never_sent(const Coverage& coverage) {
    if constexpr (index == std::variant_size_v<MessageBody>) {
        return {};
    } else {
        std::string text;
        if (coverage.messages[index] == 0)
            text =
                fmt::format("  never sent: {}\n", name_of(MessageBody(std::in_place_index<index>)));
        return text + messages_never_sent<index + 1>(coverage);
    }
}

void for_each_counter(auto& coverage, auto&& visit) {
    for (auto& count : coverage.stage_rows) visit(count);
    for (auto& count : coverage.work_rows) visit(count);
    for (auto& count : coverage.messages) visit(count);
}

} // namespace

Coverage::Coverage()
    : stage_rows(stage_transitions().size()), work_rows(work_transitions().size()) {}

void Coverage::add(const Coverage& other) {
    std::vector<uint64_t> theirs;
    for_each_counter(other, [&](uint64_t count) { theirs.push_back(count); });
    auto next = theirs.begin();
    for_each_counter(*this, [&](uint64_t& count) { count += *next++; });
}

std::string Coverage::write() const {
    std::string text;
    for_each_counter(*this, [&](uint64_t count) { text += fmt::format("{} ", count); });
    return text;
}

void Coverage::read_and_add(const std::string& text) {
    std::istringstream in(text);
    for_each_counter(*this, [&](uint64_t& count) {
        uint64_t more = 0;
        if (in >> more) count += more;
    });
}

bool Coverage::is_complete() const {
    auto taken = [](uint64_t times) { return times > 0; };
    return std::ranges::all_of(stage_rows, taken) && std::ranges::all_of(work_rows, taken);
}

std::string Coverage::report() const {
    return rows_taken(stage_transitions(), stage_rows, "stages") +
           rows_taken(work_transitions(), work_rows, "works") + messages_never_sent(*this);
}

} // namespace cloudlet::rados::sim
