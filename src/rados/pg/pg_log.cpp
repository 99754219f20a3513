#include "cloudlet/rados/pg_log.h"

#include <algorithm>

#include "cloudlet/base/check.h"

namespace cloudlet::rados {

namespace {

RequestAnswer answer_of(const LogEntry& entry) {
    return {entry.version, entry.user_version, entry.result};
}

auto first_newer(const std::deque<LogEntry>& entries, LogVersion version) {
    return std::upper_bound(entries.begin(), entries.end(), version,
                            [](LogVersion v, const LogEntry& entry) { return v < entry.version; });
}

} // namespace

bool PgLog::holds(LogVersion version) const {
    if (version == tail_) return true;
    auto at = first_newer(entries_, version);
    return at != entries_.begin() && std::prev(at)->version == version;
}

const LogEntry* PgLog::newest(const PgObject& object) const {
    auto known = newest_.find(object);
    if (known == newest_.end()) return nullptr;
    return &*std::prev(first_newer(entries_, known->second));
}

std::optional<RequestAnswer> PgLog::answer(const RequestId& request) const {
    auto at = answers_.find(request);
    if (at == answers_.end()) return std::nullopt;
    return at->second;
}

void PgLog::index(const LogEntry& entry) {
    if (entry.changes_object()) newest_[entry.object] = entry.version;
    if (!entry.request.none()) answers_[entry.request] = answer_of(entry);
}

void PgLog::index_all() {
    newest_.clear();
    answers_.clear();
    for (const auto& [request, answer] : answered_) answers_[request] = answer;
    for (const LogEntry& entry : entries_) index(entry);
}

void PgLog::append(LogEntry entry) {
    check(entry.version > head() && entry.version.counter > head().counter,
          "a log entry is not newer than the log");
    entries_.push_back(std::move(entry));
    index(entries_.back());
}

LogVersion PgLog::trim_target(LogVersion committed) const {
    if (entries_.size() <= limits_.entries) return tail_;
    size_t surplus = entries_.size() - limits_.entries;
    auto end = std::min(entries_.begin() + static_cast<std::ptrdiff_t>(surplus),
                        first_newer(entries_, committed));
    return end == entries_.begin() ? tail_ : std::prev(end)->version;
}

void PgLog::trim(LogVersion version) {
    check(version <= head(), "a log is trimmed beyond its head");
    while (!entries_.empty() && entries_.front().version <= version) {
        LogEntry& entry = entries_.front();
        auto known = newest_.find(entry.object);
        if (known != newest_.end() && known->second == entry.version) newest_.erase(known);
        if (!entry.request.none()) remember(entry.request, answer_of(entry));
        entries_.pop_front();
    }
    tail_ = std::max(tail_, version);
}

void PgLog::remember(const RequestId& request, RequestAnswer answer) {
    answered_.emplace_back(request, answer);
    forget_surplus();
}

void PgLog::forget_surplus() {
    while (answered_.size() > limits_.answered) {
        const auto& [request, answer] = answered_.front();
        auto known = answers_.find(request);
        if (known != answers_.end() && known->second == answer) answers_.erase(known);
        answered_.pop_front();
    }
}

std::vector<LogEntry> PgLog::rewind(LogVersion version) {
    check(holds(version), "a log is rewound to a version that it does not hold");
    std::vector<LogEntry> taken;
    while (!entries_.empty() && entries_.back().version > version) {
        taken.push_back(std::move(entries_.back()));
        entries_.pop_back();
    }
    if (!taken.empty()) index_all();
    return taken;
}

void PgLog::follow(const PgLog& authority) {
    auto mine = std::move(answered_);
    if (authority.tail_ > tail_) { // what falls behind the new tail was answered, too
        for (const LogEntry& entry : entries_)
            if (entry.version <= authority.tail_ && !entry.request.none())
                mine.emplace_back(entry.request, answer_of(entry));
    }
    LogVersion oldest =
        authority.answered_.empty() ? authority.tail_ : authority.answered_.front().second.version;
    answered_.clear();
    for (auto& known : mine) {
        bool older = authority.answered_.empty() ? known.second.version <= oldest
                                                 : known.second.version < oldest;
        if (older) answered_.push_back(std::move(known));
    }
    answered_.insert(answered_.end(), authority.answered_.begin(), authority.answered_.end());
    tail_ = authority.tail_;
    entries_ = authority.entries_;
    index_all();
    forget_surplus();
}

void PgLog::reset(LogVersion tail) {
    tail_ = tail;
    entries_.clear();
    answered_.clear();
    index_all();
}

} // namespace cloudlet::rados
