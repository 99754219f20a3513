#include "cloudlet/rados/osd_machine.h"

#include <fmt/format.h>

#include "osd/osd_core.h"

namespace cloudlet::rados {

OsdMachine::OsdMachine(int32_t number, Uuid disk, World& world, ObjectStore& store, MapCache& maps,
                       OsdOptions options)
    : core_(std::make_unique<OsdCore>(number, disk, world, store, maps, std::move(options))) {}

OsdMachine::~OsdMachine() = default;

void OsdMachine::start() { core_->start(); }
void OsdMachine::receive(const Entity& from, const MessagePtr& message) {
    core_->receive(from, message);
}
void OsdMachine::reset(const Entity& peer) { core_->reset(peer); }
void OsdMachine::gone(const Entity& peer, MonotonicTime asked) { core_->gone(peer, asked); }
void OsdMachine::wake() { core_->wake(); }
void OsdMachine::committed(uint64_t token) { core_->committed(token); }
void OsdMachine::failed(const Error& error) { core_->stop(error); }
bool OsdMachine::stopped() const { return core_->stopped(); }
Epoch OsdMachine::epoch() const { return core_->epoch(); }
bool OsdMachine::is_up() const { return core_->booted(); }
bool OsdMachine::is_up_in(const OsdMap& map) const { return core_->is_up_in(map); }

std::vector<std::string> OsdMachine::describe() const {
    std::vector<std::string> lines;
    for (const auto& [id, pg] : core_->pgs()) lines.push_back(pg->describe());
    for (const auto& [id, why] : core_->set_aside())
        lines.push_back(
            fmt::format("{} set aside, to be filled by others: {}", id.to_string(), why));
    return lines;
}

std::vector<PgReport> OsdMachine::reports() const {
    std::vector<PgReport> reports;
    for (const auto& [id, pg] : core_->pgs())
        if (core_->booted() && pg->is_primary()) reports.push_back(pg->report());
    return reports;
}

std::optional<PgReport> OsdMachine::report(PgId id) const {
    const auto pg = core_->pgs().find(id);
    if (!core_->booted() || pg == core_->pgs().end() || !pg->second->is_primary())
        return std::nullopt;
    return pg->second->report();
}

ScrubCounts OsdMachine::scheduled_scrubs() const { return core_->scheduled_scrubs(); }

} // namespace cloudlet::rados
