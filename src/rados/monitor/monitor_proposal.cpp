// How a leader's next step comes about: everything that is still wanted, by the newest map.

#include <cerrno>

#include <fmt/format.h>

#include "monitor/monitor_state.h"
#include "monitor/osd_commands.h"

namespace cloudlet::rados {

/// The order decides who gets an OSD that two want to change: operators first, then OSDs, then
/// time. Whoever comes too late finds his turn with the next map.
void MonitorState::propose() {
    if (!leads() || append_ || !newest()) return;
    Office& office = *office_;
    const MapEpochPtr now = newest();
    if (now->epoch() < office.await_epoch && world_.now() < office.await_until) return;
    MapDraft draft(now->map(), world_.wall());
    auto commands = draft_commands(draft);
    office.wishes.draft_boots(draft);
    draft_judgement(draft);
    office.space.draft(draft);
    office.wishes.draft_up_thru(draft);
    office.temps.draft(*now, draft);
    if (draft.empty()) return;
    MapStep step = draft.finish();
    if (auto next = cache_.next(now, step); !next) {
        // It would end every monitor. Only a command can bring in what does not fit.
        say(fmt::format("cannot make epoch {}: {}", step->epoch, next.error().to_string()));
        for (const AskedCommand& command : commands)
            answer(command, -EINVAL, next.error().to_string());
        return;
    }
    if (world_.listening())
        say(fmt::format("makes epoch {}: {}", step->epoch, describe(now->map(), *step)));
    append_ = Append{office.term, step, std::move(commands)};
    store_.append(office.term, std::move(step));
}

/// Gives those that are in the draft. Commands are carried out in the order in which they came.
std::vector<MonitorState::AskedCommand> MonitorState::draft_commands(MapDraft& draft) {
    std::vector<AskedCommand> in_draft;
    auto& waiting = office_->commands;
    while (!waiting.empty()) {
        CommandVerdict verdict = draft_command(draft, waiting.front().asked.command);
        if (verdict.kind == CommandVerdict::Kind::later) break;
        AskedCommand command = std::move(waiting.front());
        waiting.pop_front();
        if (verdict.kind == CommandVerdict::Kind::refused) {
            answer(command, verdict.result, std::move(verdict.text));
            continue;
        }
        command.text = std::move(verdict.text);
        in_draft.push_back(std::move(command));
    }
    return in_draft;
}

void MonitorState::draft_judgement(MapDraft& draft) {
    auto judged = office_->liveness.judge(draft.map(), world_.now());
    if (!judged) return;
    std::set<int32_t> osds;
    for (const auto& [osd, bits] : judged->new_state) osds.insert(osd);
    for (const auto& [osd, weight] : judged->new_weight) osds.insert(osd);
    for (int32_t osd : osds) {
        if (!draft.claim(osd)) continue;
        OsdMapIncremental& step = draft.change();
        if (auto it = judged->new_state.find(osd); it != judged->new_state.end())
            step.new_state.insert(*it);
        if (auto it = judged->new_weight.find(osd); it != judged->new_weight.end())
            step.new_weight.insert(*it);
        if (auto it = judged->new_extra.find(osd); it != judged->new_extra.end()) {
            OsdExtraInfo& extra = step.new_extra[osd] = it->second;
            if (step.new_state[osd] & osd_up) extra.down_stamp = draft.modified();
        }
    }
}

} // namespace cloudlet::rados
