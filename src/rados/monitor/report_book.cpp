#include "monitor/report_book.h"

#include <algorithm>
#include <tuple>

namespace cloudlet::rados {

void ReportBook::heard(Epoch epoch, const PgReport& report, MonotonicTime now) {
    Kept& kept = kept_[report.pg];
    if (std::tie(report.since, epoch) < std::tie(kept.report.since, kept.epoch)) return;
    if (report.since > kept.report.since) kept.outdated_since.reset();
    kept.report = report;
    kept.epoch = epoch;
    if (report.state.has(PgFlag::active))
        kept.inactive_since.reset();
    else if (!kept.inactive_since)
        kept.inactive_since = now;
}

void ReportBook::look_at(const PgPasts& pasts, MonotonicTime now) {
    auto is_gone = [&](const auto& entry) { return !pasts.find(entry.first); };
    std::erase_if(kept_, is_gone);
    std::erase_if(creations_, is_gone);
    for (auto& [pg, kept] : kept_)
        if (kept.report.since < pasts.find(pg)->history.same_interval_since && !kept.outdated_since)
            kept.outdated_since = now;
}

std::map<PgId, PgReport> ReportBook::reports(const PgPasts& pasts, MonotonicTime now,
                                             Duration stale_after) const {
    std::map<PgId, PgReport> reports;
    for (const auto& [pg, kept] : kept_) {
        const PgPast* past = pasts.find(pg);
        if (!past) continue;
        PgReport& report = reports[pg] = kept.report;
        bool outdated = kept.outdated_since && now - *kept.outdated_since >= stale_after;
        if (outdated || past->view.acting.primary == no_osd) report.state.set(PgFlag::stale);
    }
    return reports;
}

InactiveTimes ReportBook::inactive(const PgPasts& pasts, MonotonicTime now) const {
    InactiveTimes times;
    for (const auto& [pg, past] : pasts.all()) {
        auto found = kept_.find(pg);
        if (found == kept_.end())
            times[pg] = now - began_;
        else if (found->second.inactive_since)
            times[pg] = now - *found->second.inactive_since;
    }
    return times;
}

std::vector<PgId> ReportBook::due_to_create(const PgPasts& pasts, MonotonicTime now) {
    std::vector<PgId> due;
    for (const auto& [pg, past] : pasts.all()) {
        auto kept = kept_.find(pg);
        Epoch since = past.history.same_interval_since;
        if (kept != kept_.end() && kept->second.report.since >= since) {
            creations_.erase(pg);
            continue;
        }
        auto [it, fresh] = creations_.try_emplace(pg);
        Creation& creation = it->second;
        if (fresh || creation.since != since)
            creation = {since, kept == kept_.end() ? std::max(now, began_ + retry_) : now + retry_};
        if (past.view.acting.primary == no_osd || now < creation.next) continue;
        creation.next = now + retry_;
        due.push_back(pg);
    }
    return due;
}

} // namespace cloudlet::rados
