// Requests of clients at the primary: each waits in the queue of its object until it can be carried
// out, and those of one object are carried out in the order of arrival.

#include <algorithm>
#include <cerrno>

#include "cloudlet/rados/planted_bug.h"
#include "pg/object_id.h"
#include "pg/placement_group.h"

namespace cloudlet::rados {

namespace {

constexpr double failsafe_full_ratio = 0.97; // osd_failsafe_full_ratio

} // namespace

void PlacementGroup::client_op(PgRequest request) {
    const PgObject& object = request.op().object;
    // Whatever else is so: no copy could even note down that it was refused.
    if (to_object_id(object).name.size() > most_name_bytes)
        return host_.reply(request.client, request.answer(-ENAMETOOLONG));
    if (!now_.queues->contains(object) && try_request(request)) return;
    now_.queues.edit()[object].push_back(std::move(request));
}

/// What a change is told that puts something, or 0.
int32_t PlacementGroup::full_by_map() const {
    const Pool* pool = host_.map()->map().pool(pg_.pool);
    const uint64_t flags = pool ? pool->flags : 0;
    if (flags & pool_full_quota) return -EDQUOT;
    return flag(map_full) || (flags & pool_full) ? -ENOSPC : 0;
}

bool PlacementGroup::try_request(const PgRequest& request) {
    if (now_.stage != PgStage::active) return false;
    const message::ClientOp& op = request.op();
    const bool changing = changes(op.ops);
    // The client sees the same flag in its map, holds the request, and sends it when the flag goes.
    if (is_paused(op.ops)) return true;
    const bool frees = changing && only_frees(op.ops) && !planted(PlantedBug::full_refuses_removal);
    const bool puts = changing && !frees;
    const int32_t full = puts && !(op.flags & message::ClientOp::full_force) ? full_by_map() : 0;
    if (full && !(op.flags & message::ClientOp::full_try)) return true;
    if (changing && copy_.record.log.answer(op.request) && !planted(PlantedBug::forget_requests))
        return answer_again(request);
    if (must_wait_for_copies(op.object, changing)) return false;
    if (!changing) {
        if (now_.unstable.contains(op.object) && !planted(PlantedBug::read_unstable)) return false;
        if (!can_read()) return false;
        auto run = execute_ops(copy_.place(op.object), op.ops, {});
        if (run.damaged) {
            own_copy_damaged(op.object);
            return false;
        }
        auto reply = request.answer(run.result, run.before.version, run.before.user_version);
        reply.results = std::move(run.results);
        host_.reply(request.client, std::move(reply));
        return true;
    }
    if (in_scrubbed_chunk(op.object)) return false;
    if (in_batch(op.object) && !planted(PlantedBug::write_into_backfill)) return false;
    if (full) return refuse(request, full);
    if (puts && host_.fuller_than(failsafe_full_ratio)) return refuse(request, -ENOSPC);
    return carry_out_change(request);
}

/// As clients see it: a change with a guard reads, too.
bool PlacementGroup::is_paused(const ObjectOps& ops) const {
    if (planted(PlantedBug::ignore_pause)) return false;
    return (flag(map_pauserd) && reads(ops)) || (flag(map_pausewr) && changes(ops));
}

/// The first answer to a request that was carried out already, once all copies have it.
bool PlacementGroup::answer_again(const PgRequest& request) {
    const message::ClientOp& op = request.op();
    const RequestAnswer first = *copy_.record.log.answer(op.request);
    for (PgWrite& write : now_.writes) {
        if (write.version != first.version) continue;
        write.also.emplace_back(request.client, op.attempt);
        return true;
    }
    if (must_wait_for_copies(op.object, true)) return false;
    message::ClientReply reply = request.answer(first.result, first.version, first.user_version);
    if (planted(PlantedBug::answer_duplicate_anew)) {
        reply.version = copy_.record.info.last_update;
        reply.user_version = copy_.record.info.last_user_version;
    }
    host_.reply(request.client, std::move(reply));
    return true;
}

/// A change needs all copies whole. What is read must be held by enough of them, or it could be
/// lost after somebody saw it. Recovers the object if it must.
bool PlacementGroup::must_wait_for_copies(const PgObject& object, bool changing) {
    bool lacked = copy_.record.missing.find(object) != nullptr;
    if (changing)
        for (const auto& [osd, peer] : now_.peers) lacked = lacked || lacks(osd, object);
    else
        lacked = lacked || holders(object) < std::min<size_t>(view_.min_size, view_.acting_count());
    if (!lacked) return false;
    recover(object);
    return true;
}

void PlacementGroup::kick(const PgObject& object) {
    while (now_.queues->contains(object)) {
        auto& queues = now_.queues.edit();
        auto queue = queues.find(object);
        if (queue->second.empty()) {
            queues.erase(queue);
            if (queues.empty()) now_.queues.reset();
            return;
        }
        const PgRequest request = queue->second.front();
        if (!try_request(request)) return;
        if (!now_.queues->contains(object)) return;
        now_.queues.edit()[object].pop_front();
    }
}

void PlacementGroup::kick_all() {
    std::vector<PgObject> objects;
    for (const auto& [object, queue] : *now_.queues) objects.push_back(object);
    for (const PgObject& object : objects) kick(object);
}

} // namespace cloudlet::rados
