#include "cloudlet/rados/client_machine.h"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "cloudlet/base/check.h"
#include "cloudlet/rados/planted_bug.h"

namespace cloudlet::rados {

namespace {

/// Numbers of requests stay below; what is above is the planted bug's.
constexpr int number_bits = 48;

Timestamp stamp(WallTime time) {
    auto nanoseconds = time.time_since_epoch().count();
    return {static_cast<uint32_t>(nanoseconds / 1'000'000'000),
            static_cast<uint32_t>(nanoseconds % 1'000'000'000)};
}

uint64_t bytes_of(const std::string& text) { return text.size(); }
uint64_t bytes_of(const SharedBytes& data) { return data ? data->size() : 0; }
uint64_t bytes_of(const Attributes& values) {
    uint64_t sum = 0;
    for (const auto& [key, value] : values) sum += key.size() + value.size();
    return sum;
}

template <typename Op>
concept CarriesData = requires(const Op& op) {
    bytes_of(op.data);
};
template <typename Op>
concept CarriesValues = requires(const Op& op) {
    bytes_of(op.values);
};

/// What a request moves, in either direction, as far as one knows beforehand.
uint64_t bytes_of(const ObjectOps& ops) {
    uint64_t sum = 0;
    for (const ObjectOp& op : ops)
        sum += std::visit(
            []<typename Op>(const Op& o) -> uint64_t {
                if constexpr (CarriesData<Op>)
                    return bytes_of(o.data);
                else if constexpr (CarriesValues<Op>)
                    return bytes_of(o.values);
                else if constexpr (std::is_same_v<Op, op::Read>)
                    return o.length;
                else if constexpr (std::is_same_v<Op, op::SetXattr>)
                    return o.value.size();
                else
                    return 0;
            },
            op);
    return sum;
}

bool is_there(int32_t osd) { return osd != no_osd && osd != osd_none; }

} // namespace

ClientMachine::ClientMachine(int32_t number, uint32_t incarnation, World& world, MapCache& maps,
                             ClientListener& listener, ClientOptions options)
    : number_(number), incarnation_(incarnation), world_(world), listener_(listener),
      options_(std::move(options)), maps_(maps) {
    check(!options_.monitors.empty(), "a storage client needs a monitor");
}

void ClientMachine::start() {
    monitor_ = world_.random().below(options_.monitors.size());
    ask_monitor();
    watch_monitor();
}

uint64_t ClientMachine::submit(ObjectRequest request) {
    const uint64_t number = ++last_number_;
    if (requests_.empty()) quiet_since_ = std::max(quiet_since_, world_.now());
    Request& made = requests_[number];
    made.key = {request.pool, request.name_space, request.name, request.locator_key};
    made.op = {.request = {static_cast<uint64_t>(number_), incarnation_, number},
               .object = {.name = std::move(request.name),
                          .locator_key = std::move(request.locator_key),
                          .name_space = std::move(request.name_space)},
               .ops = std::move(request.ops),
               .modified = stamp(world_.wall()),
               .flags = request.flags};
    made.bytes = bytes_of(made.op.ops);
    queue_.push_back(number);
    admit();
    watch_monitor();
    if (!finished_.empty()) world_.wake_at(world_.now());
    return number;
}

void ClientMachine::receive(const Entity& from, const MessagePtr& message) {
    if (from.is_monitor()) quiet_since_ = world_.now();
    if (const auto* maps = std::get_if<message::Maps>(&message->body)) {
        if (from.is_monitor() && (maps->full || !maps->steps.empty())) waits_for_map_ = false;
        take_maps(from, *maps);
    }
    if (const auto* reply = std::get_if<message::ClientReply>(&message->body))
        take_reply(from, *reply);
    settle();
    watch_monitor();
}

void ClientMachine::reset(const Entity& peer) {
    if (peer == Entity::monitor(options_.monitors[monitor_])) ask_next_monitor();
    if (peer.is_osd()) {
        for (auto& [number, request] : requests_)
            if (request.osd == peer.number) request.due = true;
        pass_all();
    }
    watch_monitor();
}

void ClientMachine::wake() {
    wake_wanted_.reset();
    settle();
    if (auto until = deadline(); until && *until <= world_.now()) ask_next_monitor();
    watch_monitor();
}

std::vector<std::string> ClientMachine::describe() const {
    std::vector<std::string> lines;
    for (const auto& [number, request] : requests_) {
        auto line = fmt::format("{} {}/{}", number, request.key.pool, request.key.name);
        lines.push_back(request.due || !request.view
                            ? line + " waits"
                            : fmt::format("{} pg {} osd.{} e{}", line, request.op.pg.to_string(),
                                          request.osd, request.view->epoch));
    }
    return lines;
}

// ---- the monitors

void ClientMachine::ask_monitor() {
    quiet_since_ = world_.now();
    waits_for_map_ = true;
    const message::GetMaps wanted{.have = epoch(), .full = epoch() == 0, .next = true};
    world_.send(Entity::monitor(options_.monitors[monitor_]), make_message(epoch(), wanted));
}

void ClientMachine::ask_next_monitor() {
    monitor_ = (monitor_ + 1) % options_.monitors.size();
    ask_monitor();
}

void ClientMachine::ask_whole_map() {
    world_.send(Entity::monitor(options_.monitors[monitor_]),
                make_message(epoch(), message::GetMaps{.have = 0, .full = true}));
    waits_for_map_ = true; // it answers at once
}

std::optional<MonotonicTime> ClientMachine::deadline() const {
    if (epoch() == 0) return quiet_since_ + options_.first_map_within;
    if (!requests_.empty()) return quiet_since_ + options_.maps_within;
    return std::nullopt;
}

/// A client that has nothing to do does not follow the map.
void ClientMachine::watch_monitor() {
    auto until = deadline();
    if (until && !waits_for_map_) ask_monitor();
    if (!until || (wake_wanted_ && *wake_wanted_ <= *until)) return;
    wake_wanted_ = until;
    world_.wake_at(*until);
}

// ---- maps

void ClientMachine::take_maps(const Entity& from, const message::Maps& maps) {
    Epoch last = epoch();
    auto taken = maps_.take(maps);
    if (!taken) {
        if (world_.listening()) world_.tell(taken.error().to_string());
        if (from.is_monitor()) ask_whole_map();
    } else if (from.is_monitor() && !maps.steps.empty() && maps.steps.back()->epoch > epoch()) {
        ask_whole_map(); // the steps in between are not to be had
    }
    if (epoch() == last) return;
    views_.clear();
    if (!taken) go_through(*maps_.now(), true);
    for (size_t i = 0; taken && i < taken->size(); ++i) {
        const MapEpoch& now = *(*taken)[i];
        go_through(now, now.epoch() != last + 1);
        last = now.epoch();
    }
    finish_those_without_pool();
    pass_all();
    admit();
}

/// Notes who has to be sent again. A pause counts even when the next epoch ends it: an OSD that was
/// there meanwhile has dropped what it concerned.
void ClientMachine::go_through(const MapEpoch& epoch, bool leap) {
    std::map<std::pair<const PgView*, PgId>, bool> changes;
    for (auto& [number, request] : requests_) {
        if (!request.view) continue;
        if (is_paused(epoch, request)) request.due = true;
        if (planted(PlantedBug::client_ignores_interval)) continue;
        const PgId pg = pg_of(epoch, request);
        auto [known, is_new] = changes.try_emplace({request.view.get(), pg}, leap);
        if (is_new && !leap)
            known->second =
                pg != request.op.pg || interval_change(*request.view, epoch.view(pg)).has_value();
        if (!known->second) continue;
        request.due = true;
        request.osd = no_osd; // an answer from the interval that ended does not count
        request.view.reset();
    }
}

bool ClientMachine::is_paused(const MapEpoch& epoch, const Request& request) const {
    const uint32_t flags = epoch.map().flags;
    const ObjectOps& ops = request.op.ops;
    if ((flags & map_pauserd) && reads(ops)) return true;
    if (!changes(ops)) return false;
    if (flags & map_pausewr) return true;
    const Pool* pool = epoch.map().pool(request.key.pool);
    const bool full = (flags & map_full) || (pool && (pool->flags & (pool_full | pool_full_quota)));
    constexpr uint8_t not_held = message::ClientOp::full_try | message::ClientOp::full_force;
    return full && !(request.op.flags & not_held) && !only_frees(ops);
}

PgId ClientMachine::pg_of(const MapEpoch& epoch, const Request& request) const {
    const Pool* pool = epoch.map().pool(request.key.pool);
    return pool ? pg_of_raw(*pool, {request.key.pool, request.op.object.hash}) : PgId{-1, 0};
}

const ClientMachine::ViewPtr& ClientMachine::view_now(PgId pg) {
    ViewPtr& view = views_[pg];
    if (!view) view = std::make_shared<const PgView>(maps_.now()->view(pg));
    return view;
}

// ---- requests

bool ClientMachine::fits(const Request& request) const {
    if (in_flight() == 0) return true; // one that is larger than the limit goes alone
    return in_flight() < options_.most_in_flight && bytes_ + request.bytes <= options_.most_bytes;
}

void ClientMachine::admit() {
    while (!queue_.empty()) {
        auto found = requests_.find(queue_.front());
        Request& request = found->second;
        if (!fits(request)) return;
        queue_.pop_front();
        bytes_ += request.bytes;
        request.chain = chains_.try_emplace(request.key).first;
        Chain& chain = request.chain->second;
        chain.numbers.insert(found->first);
        if (request.key.name.empty())
            finish(found, {.request = request.op.request, .result = -EINVAL});
        else if (maps_.now() && !maps_.now()->map().pool(request.key.pool))
            finish(found, {.request = request.op.request, .result = -ENOENT});
        else
            pass(chain);
    }
}

/// The request must be in flight.
void ClientMachine::finish(Requests::iterator request, message::ClientReply reply) {
    auto chain = request->second.chain;
    chain->second.numbers.erase(request->first);
    if (chain->second.numbers.empty()) chains_.erase(chain);
    bytes_ -= request->second.bytes;
    finished_.emplace_back(request->first, std::move(reply));
    requests_.erase(request);
}

void ClientMachine::finish_those_without_pool() {
    for (auto next = requests_.begin(); next != requests_.end();) {
        auto request = next++;
        if (!queue_.empty() && request->first >= queue_.front()) return;
        if (maps_.now()->map().pool(request->second.key.pool)) continue;
        const RequestId id = request->second.op.request;
        finish(request, {.request = id, .result = -ENOENT});
    }
}

void ClientMachine::take_reply(const Entity& from, const message::ClientReply& reply) {
    const RequestId& id = reply.request;
    if (id.client != static_cast<uint64_t>(number_) || id.incarnation != incarnation_) return;
    auto request = requests_.find(id.number & ((uint64_t{1} << number_bits) - 1));
    if (request == requests_.end() || from != Entity::osd(request->second.osd)) return;
    // The newest sending has an answer of its own: this one may be of an interval that is over.
    if (reply.attempt + 1 != request->second.sends) return;
    const ObjectKey key = request->second.key;
    finish(request, reply);
    if (auto chain = chains_.find(key); chain != chains_.end()) pass(chain->second);
    admit();
}

/// The listener may submit, so it hears of nothing before all is in order again.
void ClientMachine::settle() {
    while (!finished_.empty()) {
        auto [number, reply] = std::move(finished_.front());
        finished_.pop_front();
        listener_.done(number, reply);
    }
}

void ClientMachine::pass_all() {
    for (auto& [key, chain] : chains_) chain.blocked = chain.resent = false;
    for (auto& [number, request] : requests_) {
        if (!queue_.empty() && number >= queue_.front()) return;
        pass(request);
    }
}

void ClientMachine::pass(Chain& chain) {
    chain.blocked = chain.resent = false;
    for (uint64_t number : chain.numbers) pass(requests_.at(number));
}

void ClientMachine::pass(Request& request) {
    Chain& chain = request.chain->second;
    const MapEpochPtr& now = maps_.now();
    if (chain.resent) request.due = true;
    if (chain.blocked || !now || is_paused(*now, request)) {
        request.due = chain.blocked = true;
        return;
    }
    if (!request.due) return;
    const Pool* pool = now->map().pool(request.key.pool);
    request.op.object.hash = object_hash(*pool, {.name = request.key.name,
                                                 .locator_key = request.key.locator_key,
                                                 .name_space = request.key.name_space});
    const ViewPtr& view = view_now(pg_of(*now, request));
    if (!is_there(view->acting.primary)) {
        chain.blocked = true;
        return;
    }
    chain.resent = true;
    send(request, view);
}

void ClientMachine::send(Request& request, ViewPtr view) {
    request.op.pg = view->pg;
    if (planted(PlantedBug::client_new_identity))
        request.op.request.number += request.sends > 0 ? uint64_t{1} << number_bits : 0;
    request.op.attempt = request.sends++;
    request.due = false;
    request.osd = view->acting.primary;
    request.view = std::move(view);
    world_.send(Entity::osd(request.osd), make_message(epoch(), request.op));
}

} // namespace cloudlet::rados
