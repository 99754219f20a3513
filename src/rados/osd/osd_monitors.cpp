#include <algorithm>

#include <fmt/format.h>

#include "cloudlet/rados/planted_bug.h"
#include "osd/osd_core.h"

namespace cloudlet::rados {

namespace {

constexpr Duration wish_again = std::chrono::seconds(2);
constexpr Duration report_all_every = std::chrono::seconds(10);
constexpr unsigned tries_at_one_monitor = 2;
constexpr double noteworthy_growth = 0.01;

} // namespace

void OsdCore::to_leader(MessageBody body) {
    world_.send(Entity::monitor(leader_), make_message(epoch(), std::move(body)));
}

message::Boot OsdCore::boot_message() const {
    message::Boot boot{.disk = disk_, .address = options_.address, .lived = was_booted_};
    if (boot.address.addresses.empty()) {
        Address address{.kind = Address::Kind::msgr2};
        address.socket_address = std::string("\2\0", 2) + static_cast<char>(number_ >> 8) +
                                 static_cast<char>(number_) + std::string("\x7f\0\0\1", 4) +
                                 std::string(8, '\0');
        boot.address.addresses.push_back(std::move(address));
    }
    boot.cluster_address = options_.cluster_address;
    for (AddressVector* addresses : {&boot.address, &boot.cluster_address})
        for (Address& address : addresses->addresses) address.nonce = nonce_;
    return boot;
}

void OsdCore::want_temp(PgId pg, std::vector<int32_t> acting) {
    auto known = wishes_.temps.find(pg);
    if (known != wishes_.temps.end() && known->second == acting) return;
    wishes_.temps[pg] = std::move(acting);
    wish();
}

void OsdCore::want_up_thru(Epoch epoch) {
    if (wishes_.up_thru >= epoch) return;
    wishes_.up_thru = epoch;
    wish();
}

/// Sends all that is wished; monitors take a wish twice without harm.
void OsdCore::wish() {
    if (wishes_.boot) to_leader(boot_message());
    if (booted_ && wishes_.up_thru) to_leader(message::Alive{wishes_.up_thru});
    if (booted_ && !wishes_.temps.empty()) to_leader(message::WantTemp{wishes_.temps});
    const MonotonicTime now = world_.now();
    for (const auto& [osd, accused] : wishes_.failures)
        to_leader(
            message::Failure{.target = osd, .silent = now - accused.since, .gone = accused.gone});
    wish_again_at_ = wishes_.any() ? now + wish_again : MonotonicTime::max();
    if (!wishes_.failures.empty() && !waits_for_next_map_) subscribe();
}

void OsdCore::forget_granted() {
    const OsdMap& map = maps_.now()->map();
    if (map.has_osd(number_) &&
        map.osd_info[static_cast<size_t>(number_)].up_thru >= wishes_.up_thru)
        wishes_.up_thru = 0;
    std::erase_if(wishes_.temps, [&](const auto& wanted) {
        auto now = map.pg_temp.find(wanted.first);
        if (now == map.pg_temp.end()) return wanted.second.empty();
        return now->second == wanted.second;
    });
    // One that came up anew is another one, and is watched from now on.
    std::erase_if(wishes_.failures, [&](const auto& failure) {
        const auto& [osd, accused] = failure;
        if (!map.is_up(osd)) return true;
        return map.osd_info[static_cast<size_t>(osd)].up_from != accused.up_from &&
               !planted(PlantedBug::blame_next_life);
    });
    if (!wishes_.any()) wish_again_at_ = MonotonicTime::max();
}

int32_t OsdCore::next_monitor(int32_t after) const {
    auto at = std::ranges::find(options_.monitors, after);
    if (at == options_.monitors.end() || ++at == options_.monitors.end())
        return options_.monitors.front();
    return *at;
}

/// Its process is gone: whoever is asked next is asked soon, but not at once, for all may be gone.
void OsdCore::leave_monitor(int32_t monitor) {
    if (monitor == leader_) ask_other(-1);
    if (monitor != map_monitor_) return;
    map_monitor_ = next_monitor(map_monitor_);
    monitor_owes_maps_ = false; // the next one owes nothing yet
    subscribe_at_ = std::min(subscribe_at_, world_.now() + options_.report_every);
}

/// The monitor that we took for the leader is not, or does not know us any more.
void OsdCore::ask_other(int32_t leader) {
    const MonotonicTime now = world_.now();
    report_all_at_ = std::min(report_all_at_, now + options_.report_every);
    beacon_at_ = std::min(beacon_at_, now + options_.report_every);
    if (leader >= 0 && leader != leader_) {
        leader_ = leader;
        tries_ = 0;
        return wish();
    }
    if (leader < 0) leader_ = next_monitor(leader_);
    if (wishes_.any()) wish_again_at_ = std::min(wish_again_at_, now + options_.report_every);
}

void OsdCore::report(PgId pg) { unreported_.insert(pg); }

void OsdCore::send_reports() {
    message::Reports reports;
    for (PgId id : unreported_) {
        PlacementGroup* pg = find(id);
        if (pg && booted_ && pg->is_primary()) reports.reports.push_back(pg->report());
    }
    unreported_.clear();
    report_at_ = world_.now() + options_.report_every;
    if (!reports.reports.empty()) to_leader(std::move(reports));
}

void OsdCore::send_beacon() {
    beacon_at_ = world_.now() + options_.beacon_every;
    auto space = store_.space();
    if (!space || !booted_) return;
    beacon_ratio_ = space->capacity
                        ? static_cast<double>(space->used) / static_cast<double>(space->capacity)
                        : 0;
    to_leader(message::Beacon{space->used, space->capacity});
}

void OsdCore::monitor_timers() {
    const MonotonicTime now = world_.now();
    if (now >= wish_again_at_) {
        if (++tries_ % tries_at_one_monitor == 0) leader_ = next_monitor(leader_);
        wish();
    }
    map_timer();
    if (now >= report_all_at_) {
        report_all_at_ = now + report_all_every;
        for (const auto& [id, pg] : pgs_) unreported_.insert(id);
    }
    if (!unreported_.empty() && now >= report_at_) {
        send_reports();
        auto space = store_.space();
        const double ratio = space && space->capacity ? static_cast<double>(space->used) /
                                                            static_cast<double>(space->capacity)
                                                      : 0;
        if (std::abs(ratio - beacon_ratio_) > noteworthy_growth) send_beacon();
    }
    if (now >= beacon_at_) send_beacon();
}

} // namespace cloudlet::rados
