#include "sim/flag_judge.h"

#include <fmt/format.h>

namespace cloudlet::rados::sim {

void FlagJudge::stepped(const OsdMap& before, const OsdMap& after) {
    flags_.push_back(after.flags);
    const uint32_t held = before.flags & after.flags;
    if (!(held & (map_noout | map_noin | map_noup))) return;
    for (int32_t osd = 0; osd < before.max_osd(); ++osd) {
        if (!before.exists(osd) || !after.exists(osd)) continue;
        auto does = [&](const char* what, const char* flag) {
            blame(fmt::format("osd.{} {} in epoch {}, though {} is set", osd, what, after.epoch,
                              flag));
        };
        const bool comes_up = !before.is_up(osd) && after.is_up(osd);
        const bool by_time = after.osd_state[static_cast<size_t>(osd)] & osd_autoout;
        if ((held & map_noup) && comes_up) does("comes up", "noup");
        if ((held & map_noin) && comes_up && before.is_out(osd) && !after.is_out(osd))
            does("comes in by a boot", "noin");
        if ((held & map_noout) && !before.is_out(osd) && after.is_out(osd) && by_time)
            does("is marked out by time", "noout");
    }
}

void FlagJudge::convicted(int32_t osd, const OsdMap& before, const OsdMapIncremental& step) {
    const uint32_t after =
        step.new_flags < 0 ? before.flags : static_cast<uint32_t>(step.new_flags);
    if (before.flags & after & map_nodown)
        blame(fmt::format("osd.{} is marked down in epoch {} by what others say, though nodown is "
                          "set",
                          osd, step.epoch));
}

/// What a request does shows when its change goes to the copies, or when what it read is told; the
/// answer to a change comes later, and may have been under way when the pause began.
void FlagJudge::sent(const Entity& from, const Message& message) {
    if (auto* asked = std::get_if<message::ClientOp>(&message.body)) {
        paused_by_[asked->request] = (reads(asked->ops) ? uint32_t{map_pauserd} : 0) |
                                     (changes(asked->ops) ? uint32_t{map_pausewr} : 0);
    } else if (auto* change = std::get_if<message::Replicate>(&message.body)) {
        judge_request(from, message.epoch, change->entry.request, true);
    } else if (auto* told = std::get_if<message::ClientReply>(&message.body)) {
        judge_request(from, message.epoch, told->request, false);
    } else if (auto* scan = std::get_if<message::Scan>(&message.body)) {
        if (flags_in(message.epoch) & map_nobackfill)
            blame(fmt::format("{} begins to fill a copy of {} in epoch {}, though nobackfill is "
                              "set",
                              from.to_string(), scan->pg.to_string(), message.epoch));
    }
}

void FlagJudge::judge_request(const Entity& from, Epoch epoch, const RequestId& request,
                              bool changed) {
    const uint32_t flags = flags_in(epoch) & (map_pauserd | map_pausewr);
    if (!flags) return;
    auto found = paused_by_.find(request);
    if (found == paused_by_.end() || !(found->second & flags)) return;
    if (!changed && (found->second & map_pausewr)) return;
    blame(fmt::format("{} carries out {} in epoch {}, though the cluster is paused",
                      from.to_string(), request.to_string(), epoch));
}

void FlagJudge::moved(int32_t osd, Epoch epoch, const PgMove& move) {
    if (move.table != PgMove::Table::work) return;
    const PgTransition<PgWork>& way = work_transitions()[move.row];
    const auto from = static_cast<PgWork>(move.from);
    Works& works = works_[static_cast<size_t>(osd)];
    works.recovering += (way.to == PgWork::recovering) - (from == PgWork::recovering);
    works.backfilling += (way.to == PgWork::backfilling) - (from == PgWork::backfilling);
    auto begins = [&](PgWork work) { return way.to == work && from != work; };
    const uint32_t flags = flags_in(epoch);
    if ((flags & map_norecover) && (begins(PgWork::recovering) || begins(PgWork::recovery_wait)))
        blame(fmt::format("osd.{} begins to recover in epoch {}, though norecover is set", osd,
                          epoch));
    if ((flags & map_nobackfill) && (begins(PgWork::backfilling) || begins(PgWork::backfill_wait)))
        blame(fmt::format("osd.{} begins to fill copies in epoch {}, though nobackfill is set", osd,
                          epoch));
}

void FlagJudge::acted(int32_t osd, Epoch epoch) {
    const Works& works = works_[static_cast<size_t>(osd)];
    if (works.recovering == 0 && works.backfilling == 0) return;
    const uint32_t flags = flags_in(epoch);
    if (works.recovering > 0 && (flags & map_norecover))
        blame(fmt::format("osd.{} goes on recovering in epoch {}, though norecover is set", osd,
                          epoch));
    if (works.backfilling > 0 && (flags & map_nobackfill))
        blame(fmt::format("osd.{} goes on filling copies in epoch {}, though nobackfill is set",
                          osd, epoch));
}

/// A flag holds them when all maps that the OSD may have known then say so.
void FlagJudge::scrubbed(int32_t osd, Epoch known, Epoch epoch, const ScrubCounts& before,
                         const ScrubCounts& now) {
    if (before == now) return;
    uint32_t held = map_noscrub | map_nodeep_scrub;
    for (Epoch each = known; each <= epoch; ++each) held &= flags_in(each);
    auto begins = [&](const char* flag) {
        blame(fmt::format("osd.{} begins a scrub in epoch {}, though {} is set", osd, epoch, flag));
    };
    if (now.shallow > before.shallow && (held & map_noscrub)) begins("noscrub");
    if (now.deep > before.deep && (held & map_nodeep_scrub)) begins("nodeep-scrub");
}

/// Of an epoch that only a planted bug makes, nothing is known.
uint32_t FlagJudge::flags_in(Epoch epoch) const {
    return epoch < base_ || epoch - base_ >= flags_.size() ? 0 : flags_[epoch - base_];
}

void FlagJudge::blame(std::string sentence) {
    if (wrong_.empty()) wrong_ = std::move(sentence);
}

} // namespace cloudlet::rados::sim
