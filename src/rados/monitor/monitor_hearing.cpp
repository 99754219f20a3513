// What a monitor hears from its peers, and what it tells the primaries of PGs that it does not hear
// of.

#include <fmt/format.h>

#include "monitor/monitor_state.h"

namespace cloudlet::rados {
namespace {

bool is_for_leader(const MessageBody& body) {
    return std::holds_alternative<message::Boot>(body) ||
           std::holds_alternative<message::Failure>(body) ||
           std::holds_alternative<message::Beacon>(body) ||
           std::holds_alternative<message::Alive>(body) ||
           std::holds_alternative<message::WantTemp>(body) ||
           std::holds_alternative<message::Reports>(body) ||
           std::holds_alternative<message::DoCommand>(body);
}

} // namespace

void MonitorState::receive(const Entity& from, const Message& message) {
    notice_lease();
    if (auto* wanted = std::get_if<message::GetMaps>(&message.body)) {
        maps_.subscribe(from, *wanted);
        return;
    }
    if (!is_for_leader(message.body)) return;
    if (!leads() || !newest()) {
        world_.send(from, make_message(maps_.epoch(), message::AskOther{leader_}));
        return;
    }
    if (auto* asked = std::get_if<message::DoCommand>(&message.body)) {
        office_->commands.push_back({from, *asked, {}});
        propose();
        return;
    }
    if (!from.is_osd()) return;
    if (!serve(from, message)) return;
    // Its wish may have been granted, or be void, by a map that it has not heard of.
    maps_.share(from, message.epoch);
    propose();
}

/// True when it may change the map.
bool MonitorState::serve(const Entity& from, const Message& message) {
    return std::visit(
        [&](const auto& body) {
            if constexpr (requires { hear(from.number, message.epoch, body); })
                hear(from.number, message.epoch, body);
            return !std::holds_alternative<message::Reports>(message.body);
        },
        message.body);
}

void MonitorState::hear(int32_t osd, Epoch epoch, const message::Boot& boot) {
    const OsdMap& map = newest()->map();
    std::string_view obstacle = boot_obstacle(map, map.flags, osd);
    if (!obstacle.empty())
        say(fmt::format("does not let osd.{} boot: {}", osd, obstacle));
    else
        office_->wishes.boot(osd, epoch, boot);
}

/// A report of an earlier life of its target, or by an earlier life of the reporter, says nothing.
void MonitorState::hear(int32_t osd, Epoch epoch, const message::Failure& failure) {
    const OsdMap& map = newest()->map();
    auto lives_since = [&](int32_t it) {
        return map.is_up(it) && map.osd_info[static_cast<size_t>(it)].up_from <= epoch;
    };
    if (!lives_since(osd) || !lives_since(failure.target)) return;
    if (failure.withdrawn)
        office_->liveness.withdraw(failure.target, osd);
    else
        office_->liveness.report(failure.target, osd, world_.now() - failure.silent, failure.gone);
    say(fmt::format("hears of osd.{} that osd.{} {}", osd, failure.target,
                    failure.withdrawn ? "answers again"
                    : failure.gone    ? "is gone"
                                      : "is silent"));
}

void MonitorState::hear(int32_t osd, Epoch /*epoch*/, const message::Beacon& beacon) {
    if (!newest()->map().is_up(osd)) return;
    office_->liveness.beacon(osd, world_.now());
    office_->space.heard(osd, {beacon.used, beacon.capacity});
}

void MonitorState::hear(int32_t osd, Epoch epoch, const message::Alive& alive) {
    office_->wishes.alive(osd, epoch, alive.up_thru);
}

void MonitorState::hear(int32_t osd, Epoch epoch, const message::WantTemp& want) {
    for (const auto& [pg, osds] : want.wanted) office_->temps.want(pg, osd, epoch, osds);
}

void MonitorState::hear(int32_t /*osd*/, Epoch epoch, const message::Reports& reports) {
    for (const PgReport& report : reports.reports)
        if (pasts_.find(report.pg)) office_->reports.heard(epoch, report, world_.now());
}

void MonitorState::create_pgs() {
    if (!newest()) return;
    for (PgId pg : office_->reports.due_to_create(pasts_, world_.now())) {
        const PgPast& past = *pasts_.find(pg);
        int32_t primary = past.view.acting.primary;
        say(fmt::format("tells osd.{} to make pg {}", primary, pg.to_string()));
        world_.send(
            Entity::osd(primary),
            make_message(maps_.epoch(), message::CreatePg{pg, past.history, past.intervals}));
    }
}

} // namespace cloudlet::rados
