// Changes at the primary: it makes a transaction and a log entry, all copies carry them out in one
// order (pg_follow.cpp), and the client hears of it when all that serve have it on disk.

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "cloudlet/rados/planted_bug.h"
#include "pg/placement_group.h"

namespace cloudlet::rados {

namespace {

/// What a client is told when its change cannot be submitted.
int32_t errno_of(Code code) {
    if (code == Code::exhausted) return -ENOSPC;
    return code == Code::too_large ? -E2BIG : -EINVAL;
}

message::ClientReply answer_to(uint32_t attempt, message::ClientReply reply) {
    reply.attempt = attempt;
    return reply;
}

} // namespace

bool PlacementGroup::carry_out_change(const PgRequest& request) {
    const message::ClientOp& op = request.op();
    const ObjectInfo next = next_info(op);
    Execution run = execute_ops(copy_.place(op.object), op.ops, next);
    if (!run.damaged) return submit_change(request, next, std::move(run));
    own_copy_damaged(op.object);
    return false;
}

/// A refusal is logged like a change: whoever asks twice is refused twice.
bool PlacementGroup::refuse(const PgRequest& request, int32_t result) {
    return submit_change(request, next_info(request.op()), {.result = result});
}

ObjectInfo PlacementGroup::next_info(const message::ClientOp& op) const {
    return {.version = {host_.map()->epoch(), copy_.record.log.head().counter + 1},
            .user_version = copy_.record.info.last_user_version + 1,
            .modified = op.modified};
}

bool PlacementGroup::submit_change(const PgRequest& request, const ObjectInfo& next,
                                   Execution run) {
    const message::ClientOp& op = request.op();
    PgRecord& record = copy_.record;
    const LogVersion head = record.log.head(), tail = record.log.tail();
    const bool changed =
        (run.result >= 0 && (run.existed || run.exists)) || !run.change.operations.empty();
    LogEntry entry{.kind = !changed     ? LogEntry::Kind::error
                           : run.exists ? LogEntry::Kind::modify
                                        : LogEntry::Kind::remove,
                   .object = op.object,
                   .version = next.version,
                   .prior_version = run.existed ? run.before.version : LogVersion{},
                   .request = op.request,
                   .user_version = changed ? next.user_version : 0,
                   .result = run.result};
    auto change = std::make_shared<const Transaction>(std::move(run.change));
    Transaction mine = *change;
    const LogVersion trim_to = record.log.trim_target(now_.committed);
    const PgInfo before = record.info;
    copy_.append(mine, entry, trim_to);
    auto done = host_.submit(pg_, std::move(mine), [this, version = entry.version] {
        change_is_safe(host_.number(), version);
    });
    if (!done) {
        take_back(head, tail, before);
        if (done.error().code == Code::io) {
            own_copy_damaged(op.object);
            return false;
        }
        if (changed) return refuse(request, errno_of(done.error().code));
        host_.call_at(pg_, host_.world().now() + host_.options().retry_too_full);
        return false; // not even the refusal fits
    }
    copy_.objects += static_cast<uint64_t>(run.exists);
    copy_.objects -= static_cast<uint64_t>(run.existed);
    PgWrite write{.version = entry.version,
                  .object = op.object,
                  .client = request.client,
                  .reply = request.answer(run.result, entry.version, entry.user_version),
                  .ticket = request.ticket};
    replicate(entry, std::move(change), std::move(write), trim_to);
    return true;
}

/// An entry was appended, and could not be submitted.
void PlacementGroup::take_back(LogVersion head, LogVersion tail, const PgInfo& before) {
    copy_.record.log.rewind(head);
    copy_.record.info = before;
    copy_.record.refresh_info();
    if (copy_.record.log.tail() > tail) log_dirty_ = true;
    if (log_dirty_) save();
}

void PlacementGroup::replicate(const LogEntry& entry, std::shared_ptr<const Transaction> change,
                               PgWrite write, LogVersion trim_to) {
    write.waits_for.push_back(host_.number());
    ++now_.unstable[entry.object];
    std::vector<int32_t> take, note;
    for (const auto& [osd, peer] : now_.peers) {
        const bool takes = entry.changes_object() && peer.last_backfill.covers(entry.object);
        (takes ? take : note).push_back(osd);
        if (!peer.fill) write.waits_for.push_back(osd);
    }
    auto send = [&](const std::vector<int32_t>& osds, std::shared_ptr<const Transaction> what) {
        if (osds.empty()) return;
        host_.send_to_all(
            osds, message::Replicate{
                      .pg = pg_, .entry = entry, .change = std::move(what), .trim_to = trim_to});
    };
    send(take, std::move(change));
    send(note, nullptr);
    const size_t copies = write.waits_for.size();
    if (planted(PlantedBug::ack_before_replicas)) write.waits_for.resize(1);
    if (planted(PlantedBug::ack_by_majority)) write.waits_for.resize(copies / 2 + 1);
    now_.writes.push_back(std::move(write));
}

void PlacementGroup::change_is_safe(int32_t osd, LogVersion version) {
    for (PgWrite& write : now_.writes) {
        if (write.version > version) break;
        if (write.version == version) std::erase(write.waits_for, osd);
    }
    answer_writes();
}

void PlacementGroup::change_lacks_object(int32_t osd, LogVersion version) {
    auto peer = now_.peers.find(osd);
    const LogEntry* entry = copy_.record.log.entry(version);
    if (peer == now_.peers.end() || !entry) return;
    const LogEntry* newest = copy_.record.log.newest(entry->object);
    if (!newest) return;
    const PgObject object = entry->object;
    peer->second.missing.set(object, {newest->version, {}});
    recover(object);
    consider();
}

/// Writes that a copy cannot make before it has their objects hold back all answers behind them. So
/// these objects come whatever flags and slots say; only a full disk is given time.
void PlacementGroup::recover_awaited() {
    if (now_.writes.empty() || !objects_missing() || repair().retry_at > host_.world().now())
        return;
    std::set<PgObject> awaited;
    for (const PgWrite& write : now_.writes)
        for (int32_t osd : write.waits_for)
            if (osd != host_.number() && lacks(osd, write.object)) awaited.insert(write.object);
    for (const PgObject& object : awaited) recover(object);
}

void PlacementGroup::answer_writes() {
    while (!now_.writes.empty() && now_.writes.front().waits_for.empty()) {
        PgWrite write = std::move(now_.writes.front());
        now_.writes.pop_front();
        now_.committed = write.version;
        if (!write.reply.request.none()) host_.reply(write.client, write.reply);
        for (const auto& [client, attempt] : write.also)
            host_.reply(client, answer_to(attempt, write.reply));
        auto unstable = now_.unstable.find(write.object);
        if (--unstable->second > 0) continue;
        now_.unstable.erase(unstable);
        kick(write.object);
    }
    if (now_.scrub && !now_.scrub->asked) ask_scrub();
}

void PlacementGroup::own_copy_damaged(const PgObject& object) {
    if (copy_.record.missing.find(object)) return;
    const LogEntry* newest = copy_.record.log.newest(object);
    auto info = read_object_info(copy_.place(object));
    LogVersion need = newest ? newest->version : LogVersion{};
    if (info) need = info->version;
    if (tells()) tell(fmt::format("{} is damaged here", object.name));
    Transaction transaction;
    if (newest && newest->is_remove()) { // and should not be here at all
        copy_.recovered(transaction, object, newest->version, nullptr);
        submit(std::move(transaction));
        return kick(object);
    }
    copy_.set_missing(transaction, object, {need, {}});
    submit(std::move(transaction));
    recover(object);
    consider();
}

} // namespace cloudlet::rados
