// A copy is filled from its cursor on, batch after batch: list what is here and there, send what
// differs, remove what is too much, then move the cursor at both ends. Changes of objects before
// the cursor go to the copy as to every other one, those behind the batch only as log entries, and
// those inside the batch wait.

#include <algorithm>
#include <cerrno>

#include "cloudlet/rados/planted_bug.h"
#include "pg/placement_group.h"

namespace cloudlet::rados {

void PlacementGroup::start_backfill() {
    for (const auto& [osd, peer] : now_.peers) {
        if (peer.last_backfill.complete()) continue;
        now_.backfill = std::make_unique<PgBackfill>(PgBackfill{.target = osd});
        return next_batch();
    }
    give_back_slots();
    now_.backfill.reset();
    go(PgWork::rest, PgEvent::all_filled);
    consider();
}

void PlacementGroup::next_batch() {
    PgBackfill& fill = *now_.backfill;
    const size_t limit = host_.options().backfill_batch;
    fill.from = now_.peers.at(fill.target).last_backfill;
    auto objects = copy_.list(fill.from, {}, limit);
    if (!objects) return host_.stop(objects.error());
    fill.objects = std::move(*objects);
    const bool last = fill.objects.size() < limit;
    fill.to =
        last ? BackfillCursor{} : BackfillCursor{BackfillCursor::Place::at, fill.objects.back()};
    fill.waits_for.clear();
    fill.scan = ++now_.questions;
    host_.send(fill.target, message::Scan{.pg = pg_,
                                          .from = fill.from,
                                          .to = fill.to,
                                          .limit = static_cast<uint32_t>(4 * limit),
                                          .number = fill.scan});
}

bool PlacementGroup::in_batch(const PgObject& object) const {
    return now_.backfill && !now_.backfill->from.covers(object) && now_.backfill->to.covers(object);
}

void PlacementGroup::serve_scan(int32_t from, const message::Scan& scan) {
    auto objects = copy_.list(scan.from, scan.to, scan.limit);
    if (!objects) return host_.stop(objects.error());
    message::Scanned scanned{.pg = pg_, .from = scan.from, .to = scan.to, .number = scan.number};
    if (objects->size() == scan.limit && scan.limit > 0)
        scanned.to = {BackfillCursor::Place::at, objects->back()};
    for (PgObject& object : *objects) {
        // What cannot be read is sent again.
        auto info = read_object_info(copy_.place(object));
        scanned.objects.emplace_back(std::move(object), info ? info->version : LogVersion{});
    }
    host_.send(from, std::move(scanned));
}

void PlacementGroup::take_scan(int32_t from, const message::Scanned& scanned) {
    if (!now_.backfill || now_.backfill->target != from || now_.backfill->scan != scanned.number)
        return;
    PgBackfill& fill = *now_.backfill;
    fill.scan = 0;
    fill.to = scanned.to;
    std::erase_if(fill.objects, [&](const PgObject& o) { return !fill.to.covers(o); });
    if (planted(PlantedBug::backfill_cursor_ahead) && !fill.objects.empty())
        fill.objects.pop_back();
    std::map<PgObject, LogVersion> theirs(scanned.objects.begin(), scanned.objects.end());
    const std::vector<PgObject> objects = fill.objects;
    for (const PgObject& object : objects) {
        auto info = read_object_info(copy_.place(object));
        auto there = theirs.extract(object);
        if (info && there && there.mapped() == info->version) continue;
        fill.waits_for[object] = info ? info->version : LogVersion{};
        if (!push(from, object)) return; // our copy is damaged: recovery comes first
    }
    for (const auto& [object, version] : theirs) {
        fill.waits_for[object] = {};
        host_.send(from, message::Push{.pg = pg_, .object = object});
    }
    if (fill.waits_for.empty()) finish_batch();
    kick_all(); // the batch may have become shorter
}

void PlacementGroup::batch_pushed(const message::Pushed& pushed) {
    // One of an earlier batch says nothing about this one.
    if (now_.backfill->waits_for.at(pushed.object) != pushed.version) return;
    if (pushed.result < 0) return refused(now_.backfill->target);
    now_.backfill->waits_for.erase(pushed.object);
    if (now_.backfill->waits_for.empty()) finish_batch();
}

void PlacementGroup::finish_batch() {
    const int32_t target = now_.backfill->target;
    const BackfillCursor cursor = now_.backfill->to;
    now_.peers.at(target).last_backfill = cursor;
    host_.send(target, message::BackfillProgress{pg_, cursor});
    host_.report(pg_);
    now_.backfill.reset();
    kick_all();
    if (now_.work == PgWork::backfilling) start_backfill();
}

void PlacementGroup::take_progress(int32_t from, const message::BackfillProgress& progress) {
    if (now_.stage != PgStage::replica || from != view_.acting.primary) return;
    copy_.record.info.last_backfill = progress.cursor;
    save();
}

} // namespace cloudlet::rados
