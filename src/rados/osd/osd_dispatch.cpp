#include <cerrno>

#include <fmt/format.h>

#include "cloudlet/rados/planted_bug.h"
#include "osd/osd_core.h"

namespace cloudlet::rados {

void OsdCore::dispatch(const Entity& from, const MessagePtr& message) {
    const MessageBody& body = message->body;
    if (auto* maps = std::get_if<message::Maps>(&body)) {
        take_maps(*maps);
        if (from == Entity::monitor(map_monitor_)) answered_by_monitor(*maps);
        return;
    }
    if (auto* other = std::get_if<message::AskOther>(&body)) return ask_other(other->leader);
    if (std::get_if<message::CommandDone>(&body)) return;
    if (!maps_.now()) {
        // Nothing can be judged without a map; who asks is answered by the map that names us.
        return;
    }
    note_epoch(from, message->epoch);
    if (std::get_if<message::Ping>(&body)) return take_ping(from, *message);
    if (!from.is_monitor() && message->epoch < epoch()) share_maps(from, message->epoch);
    if (std::get_if<message::ClientOp>(&body)) return client_op(from, message);
    if (message->epoch > epoch()) {
        waiting_for_map_.push_back({from, message});
        return ask_for_maps(message->epoch, Duration(0));
    }
    if (!booted_) return;
    if (auto* create = std::get_if<message::CreatePg>(&body))
        return create_pg(*create, message->epoch);
    if (auto* scrub = std::get_if<message::ScrubCommand>(&body)) {
        if (PlacementGroup* pg = find(scrub->pg)) pg->scrub_command(*scrub);
        return;
    }
    if (auto* lost = std::get_if<message::MarkUnfoundLost>(&body)) return mark_lost(from, *lost);
    if (auto pg = pg_of(body); pg && from.is_osd()) to_pg(from.number, *pg, *message);
}

void OsdCore::mark_lost(const Entity& from, const message::MarkUnfoundLost& command) {
    PlacementGroup* pg = find(command.pg);
    message::CommandDone done{command.number, -EAGAIN, "this OSD is not the primary of the PG"};
    if (pg && pg->is_primary()) done = pg->mark_unfound_lost(command);
    world_.send(from, make_message(epoch(), std::move(done)));
}

void OsdCore::to_pg(int32_t from, PgId id, const Message& message) {
    if (message.to_shard != no_shard) return; // positions have no copies here yet
    PlacementGroup* pg = find(id);
    if (!pg || to_remove_.contains(id)) return without_pg(from, id, message);
    const bool old = message.epoch < pg->interval();
    if (!old || planted(PlantedBug::accept_old_interval)) pg->receive(from, message.body);
}

/// A copy that does not exist answers questions, and is made when it is to serve. The sender's
/// history holds only in the sender's epoch: one that is older asks to be told again.
void OsdCore::without_pg(int32_t from, PgId id, const Message& message) {
    const MessageBody& body = message.body;
    if (auto* query = std::get_if<message::Query>(&body)) {
        PgInfo info = info_of_none(id);
        if (!query->record) return send(from, message::Notify{.info = std::move(info)});
        return send(from,
                    message::FullRecord{std::move(info), std::make_shared<const PgLog>(), {}});
    }
    if (auto* pull = std::get_if<message::Pull>(&body))
        return send(from, message::Push{
                              .pg = id, .object = pull->object, .result = -ENOENT, .answer = true});
    auto* notify = std::get_if<message::Notify>(&body);
    auto* activate = std::get_if<message::Activate>(&body);
    const bool makes = (notify && is_primary(id) && notify->info.history.epoch_created > 0) ||
                       (activate && map()->serves(id, number_));
    if (!makes) return;
    if (message.epoch < epoch()) return send(from, message::Query{id});
    PlacementGroup* pg = notify ? create(id, notify->info.history, notify->past)
                                : create(id, activate->info.history, activate->past);
    if (pg) pg->receive(from, body);
}

void OsdCore::create_pg(const message::CreatePg& request, Epoch epoch) {
    if (find(request.pg) || !is_primary(request.pg) || epoch < this->epoch()) return;
    // A new PG counts as scrubbed, or all that are made together would be at once.
    PgHistory history = request.history;
    history.last_scrub_stamp = history.last_deep_scrub_stamp = world_.wall();
    create(request.pg, history, request.past);
}

bool OsdCore::is_primary(PgId id) const {
    return maps_.now() && maps_.now()->acting(id).primary == number_;
}

/// In the order of arrival, as far as there is room. Whatever a request waits for from then on, it
/// takes up room, and is not dropped before the map shows its client that it has to be sent again.
void OsdCore::client_op(const Entity& from, const MessagePtr& message) {
    throttled_.push_back({from, message});
    take_throttled_ops();
}

void OsdCore::take_throttled_ops() {
    while (!throttled_.empty() && throttle_.has_room()) {
        Waiting next = std::move(throttled_.front());
        throttled_.pop_front();
        next.ticket =
            throttle_.admit(data_bytes(std::get<message::ClientOp>(next.message->body).ops));
        take_op(std::move(next));
    }
}

void OsdCore::take_op(Waiting waiting) {
    const MessagePtr& message = waiting.message;
    const auto& op = std::get<message::ClientOp>(message->body);
    if (const Epoch later = message->epoch; later > epoch()) {
        waiting_for_map_.push_back(std::move(waiting));
        return ask_for_maps(later, Duration(0));
    }
    if (!booted_ || !is_primary(op.pg)) return; // the client learns where to send it by the map
    PlacementGroup* pg = find(op.pg);
    if (!pg) {
        waiting_ops_[op.pg].push_back(std::move(waiting));
        return;
    }
    if (message->epoch >= pg->interval())
        pg->client_op({waiting.from, message, std::move(waiting.ticket)});
}

void OsdCore::deliver_waiting_ops(PlacementGroup& pg) {
    auto waiting = waiting_ops_.extract(pg.id());
    if (!waiting) return;
    for (Waiting& one : waiting.mapped()) take_op(std::move(one));
}

} // namespace cloudlet::rados
