#include "cloudlet/rados/pg_log.h"

#include <algorithm>

#include "cloudlet/base/check.h"

namespace cloudlet::rados {

namespace {

RequestAnswer answer_of(const LogEntry& entry) {
    return {entry.version, entry.user_version, entry.result};
}

auto first_newer(const LogEntries& entries, LogVersion version) {
    return std::upper_bound(entries.begin(), entries.end(), version,
                            [](LogVersion v, const LogEntry& entry) { return v < entry.version; });
}

uint32_t mixed(uint64_t bits) {
    bits *= 0x9e3779b97f4a7c15;
    return static_cast<uint32_t>(bits >> 32);
}

uint32_t hash_of(const PgObject& object) {
    return mixed(object.hash ^ std::hash<std::string>()(object.name) << 32);
}

uint32_t hash_of(const RequestId& request) {
    return mixed(mixed(request.client ^ uint64_t{request.incarnation} << 32) ^ request.number);
}

/// How many more than its limit a log holds before some are trimmed.
size_t slack(const PgLogLimits& limits) { return std::min<size_t>(100, limits.entries / 100); }

} // namespace

bool PgLog::holds(LogVersion version) const {
    if (version == tail_) return true;
    auto at = first_newer(entries_, version);
    return at != entries_.begin() && std::prev(at)->version == version;
}

const LogEntry* PgLog::entry(LogVersion version) const {
    auto at = first_newer(entries_, version);
    if (at == entries_.begin() || std::prev(at)->version != version) return nullptr;
    return &*std::prev(at);
}

const LogEntry* PgLog::newest(const PgObject& object) const {
    const uint32_t number =
        by_object_.find(hash_of(object), [&](uint32_t n) { return numbered(n).object == object; });
    return number ? &numbered(number) : nullptr;
}

std::optional<RequestAnswer> PgLog::answer(const RequestId& request) const {
    const uint32_t hash = hash_of(request);
    const uint32_t number =
        by_request_.find(hash, [&](uint32_t n) { return numbered(n).request == request; });
    if (number) return answer_of(numbered(number));
    const uint32_t old = answered_by_request_.find(
        hash, [&](uint32_t n) { return answered_[n - first_answered_].first == request; });
    if (old) return answered_[old - first_answered_].second;
    return std::nullopt;
}

void PgLog::index(uint32_t number) {
    const LogEntry& entry = numbered(number);
    if (entry.changes_object())
        by_object_.set(hash_of(entry.object), number,
                       [&](uint32_t n) { return numbered(n).object == entry.object; });
    if (!entry.request.none())
        by_request_.set(hash_of(entry.request), number,
                        [&](uint32_t n) { return numbered(n).request == entry.request; });
}

void PgLog::index_answered(uint32_t number) {
    const RequestId& request = answered_[number - first_answered_].first;
    answered_by_request_.set(hash_of(request), number, [&](uint32_t n) {
        return answered_[n - first_answered_].first == request;
    });
}

void PgLog::index_all() {
    by_object_.clear();
    by_request_.clear();
    answered_by_request_.clear();
    first_number_ = first_answered_ = 1;
    for (uint32_t i = 0; i < answered_.size(); ++i) index_answered(first_answered_ + i);
    for (uint32_t i = 0; i < entries_.size(); ++i) index(first_number_ + i);
}

void PgLog::append(LogEntry entry) {
    check(entry.version > head() && entry.version.counter > head().counter,
          "a log entry is not newer than the log");
    entries_.push_back(std::move(entry));
    const uint64_t number = first_number_ + entries_.size() - 1;
    if (number > UINT32_MAX) return index_all();
    index(static_cast<uint32_t>(number));
}

LogVersion PgLog::trim_target(LogVersion committed) const {
    if (entries_.size() <= limits_.entries + slack(limits_)) return tail_;
    size_t surplus = entries_.size() - limits_.entries;
    auto end = std::min(entries_.begin() + static_cast<std::ptrdiff_t>(surplus),
                        first_newer(entries_, committed));
    return end == entries_.begin() ? tail_ : std::prev(end)->version;
}

void PgLog::trim(LogVersion version) {
    check(version <= head(), "a log is trimmed beyond its head");
    while (!entries_.empty() && entries_.front().version <= version) {
        const LogEntry entry = std::move(entries_.front());
        by_object_.erase(hash_of(entry.object), first_number_);
        by_request_.erase(hash_of(entry.request), first_number_);
        entries_.pop_front();
        ++first_number_;
        if (!entry.request.none()) remember(entry.request, answer_of(entry));
    }
    tail_ = std::max(tail_, version);
}

void PgLog::remember(const RequestId& request, RequestAnswer answer) {
    answered_.push_back({request, answer});
    const uint64_t number = first_answered_ + answered_.size() - 1;
    if (number > UINT32_MAX) return index_all();
    index_answered(static_cast<uint32_t>(number));
    forget_surplus();
}

void PgLog::forget_surplus() {
    while (answered_.size() > limits_.answered) {
        answered_by_request_.erase(hash_of(answered_.front().first), first_answered_);
        answered_.pop_front();
        ++first_answered_;
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
                mine.push_back({entry.request, answer_of(entry)});
    }
    LogVersion oldest =
        authority.answered_.empty() ? authority.tail_ : authority.answered_.front().second.version;
    answered_.clear();
    for (auto& known : mine) {
        bool older = authority.answered_.empty() ? known.second.version <= oldest
                                                 : known.second.version < oldest;
        if (older) answered_.push_back(std::move(known));
    }
    for (const auto& known : authority.answered_) answered_.push_back(known);
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
