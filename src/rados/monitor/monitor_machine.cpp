// A monitor's life: the store's steps, the lease, and what ends with it.

#include "cloudlet/rados/monitor_machine.h"

#include <cerrno>

#include <fmt/format.h>

#include "cloudlet/base/check.h"
#include "cloudlet/rados/osd_map_codec.h"
#include "cloudlet/rados/planted_bug.h"
#include "monitor/monitor_state.h"

namespace cloudlet::rados {
namespace {

/// The store may hand back a copy of what it was given.
bool is_same(const MapStep& a, const MapStep& b) {
    return a == b || (a->epoch == b->epoch &&
                      encode_osd_map_incremental(*a) == encode_osd_map_incremental(*b));
}

} // namespace

void MonitorState::start(const std::shared_ptr<const OsdMap>& base,
                         const std::vector<MapStep>& steps) {
    check(!newest(), "a monitor is started once");
    auto first = cache_.first(base);
    check(first.has_value(), "the store's base map can be placed");
    maps_.start(*first);
    pasts_.begin(**first);
    for (const MapStep& step : steps) advance(step);
    maps_.publish();
}

void MonitorState::advance(const MapStep& step) {
    auto next = cache_.next(newest(), step);
    check(next.has_value(), "the store's steps follow each other");
    pasts_.advance(*newest(), **next);
    maps_.add(step, *next);
}

void MonitorState::committed(const MapStep& step) {
    if (!newest() || step->epoch <= newest()->epoch()) return;
    notice_lease();
    advance(step);
    maps_.publish();
    if (append_ && step->epoch >= append_->step->epoch) {
        auto append = std::move(*append_);
        append_.reset();
        answer_all(append.commands, is_same(append.step, step) ? 0 : -EAGAIN);
    }
    if (!leads()) return;
    office_->reports.look_at(pasts_, world_.now());
    create_pgs();
    propose();
}

void MonitorState::refused(uint64_t term, Epoch epoch) {
    notice_lease();
    if (append_ && append_->term == term && append_->step->epoch == epoch) {
        say(fmt::format("the store refused epoch {} of term {}", epoch, term));
        auto append = std::move(*append_);
        append_.reset();
        answer_all(append.commands, -EAGAIN);
        if (office_ && office_->term == term) {
            office_->await_epoch = epoch;
            office_->await_until = world_.now() + options_.tick;
        }
    }
    propose();
}

void MonitorState::lead(uint64_t term, MonotonicTime until) {
    notice_lease();
    if (office_ && office_->term == term) {
        office_->until = until;
        return;
    }
    leave_office();
    leader_ = number_;
    office_.emplace(term, world_.now(), options_);
    office_->until = until;
    say(fmt::format("leads in term {}", term));
    world_.wake_at(world_.now() + options_.tick);
    propose();
}

void MonitorState::follow(int32_t leader) {
    leave_office();
    leader_ = leader;
}

bool MonitorState::leads() const {
    if (!office_) return false;
    return world_.now() < office_->until || planted(PlantedBug::stale_leader_writes);
}

void MonitorState::notice_lease() {
    if (!office_ || leads()) return;
    say("its lease has ended");
    leave_office();
}

/// What went into an append is answered by the store's answer; what did not, never will.
void MonitorState::leave_office() {
    leader_ = -1;
    if (!office_) return;
    auto commands = std::move(office_->commands);
    office_.reset();
    for (const AskedCommand& command : commands)
        answer(command, -EAGAIN, "this monitor leads no more; ask again");
}

void MonitorState::reset(const Entity& peer) {
    maps_.forget(peer);
    auto is_theirs = [&](const AskedCommand& command) { return command.who == peer; };
    if (append_) std::erase_if(append_->commands, is_theirs);
    if (!office_) return;
    std::erase_if(office_->commands, is_theirs);
    if (!peer.is_osd()) return;
    office_->wishes.forget(peer.number);
    office_->temps.forget(peer.number);
}

void MonitorState::wake() {
    notice_lease();
    if (!office_) return;
    world_.wake_at(world_.now() + options_.tick);
    create_pgs();
    propose();
}

void MonitorState::answer(const AskedCommand& command, int32_t result, std::string text) {
    message::CommandDone done{command.asked.number, result, std::move(text)};
    world_.send(command.who, make_message(maps_.epoch(), std::move(done)));
}

void MonitorState::answer_all(const std::vector<AskedCommand>& commands, int32_t result) {
    for (const AskedCommand& command : commands)
        answer(command, result, result ? "another step came first; ask again" : command.text);
}

void MonitorState::say(std::string_view what) {
    if (world_.listening()) world_.tell(std::string(what));
}

std::map<PgId, PgReport> MonitorState::reports() const {
    if (!leads()) return {};
    return office_->reports.reports(pasts_, world_.now(), options_.stale_after);
}

const OsdSpaces& MonitorState::spaces() const {
    static const OsdSpaces none;
    return leads() ? office_->space.spaces() : none;
}

std::vector<HealthCheck> MonitorState::health() const {
    if (!leads() || !newest()) return {};
    return check_health(*newest(), reports(), spaces(),
                        office_->reports.inactive(pasts_, world_.now()), options_.patience,
                        {world_.wall(), options_.scrub});
}

MonitorMachine::MonitorMachine(int32_t number, World& world, MapStore& store, MapCache& maps,
                               MonitorOptions options)
    : state_(std::make_unique<MonitorState>(number, world, store, maps, std::move(options))) {}
MonitorMachine::~MonitorMachine() = default;

void MonitorMachine::start(std::shared_ptr<const OsdMap> base, const std::vector<MapStep>& steps) {
    state_->start(base, steps);
}
void MonitorMachine::committed(const MapStep& step) { state_->committed(step); }
void MonitorMachine::refused(uint64_t term, Epoch epoch) { state_->refused(term, epoch); }
void MonitorMachine::lead(uint64_t term, MonotonicTime until) { state_->lead(term, until); }
void MonitorMachine::follow(int32_t leader) { state_->follow(leader); }
void MonitorMachine::receive(const Entity& from, const MessagePtr& message) {
    state_->receive(from, *message);
}
void MonitorMachine::reset(const Entity& peer) { state_->reset(peer); }
void MonitorMachine::wake() { state_->wake(); }
bool MonitorMachine::leads() const { return state_->leads(); }
const MapEpochPtr& MonitorMachine::newest() const { return state_->newest(); }
std::map<PgId, PgReport> MonitorMachine::reports() const { return state_->reports(); }
const OsdSpaces& MonitorMachine::spaces() const { return state_->spaces(); }
std::vector<HealthCheck> MonitorMachine::health() const { return state_->health(); }

} // namespace cloudlet::rados
