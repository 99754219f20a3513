// Scrub: copies are compared chunk by chunk, while changes of that chunk wait. Which copy is right
// is not a matter of votes, nor of who is primary: a copy counts when all its checksums fit and it
// has the version that the log names. Repair sends that one to the others, as recovery does.

#include <algorithm>

#include <fmt/format.h>

#include "cloudlet/codec/crc32c.h"
#include "cloudlet/rados/planted_bug.h"
#include "pg/placement_group.h"

namespace cloudlet::rados {

namespace {

using codec::crc32c;

uint32_t crc_of(const Attributes& values, uint32_t crc) {
    for (const auto& [name, value] : values) {
        const uint64_t sizes[] = {name.size(), value.size()};
        crc = crc32c(crc, {reinterpret_cast<const char*>(sizes), sizeof sizes});
        crc = crc32c(crc32c(crc, name), value);
    }
    return crc;
}

message::ScrubbedObject scrub_object(const ObjectPlace& place, bool deep) {
    message::ScrubbedObject found;
    auto info = read_object_info(place);
    auto stat = place.store.stat(place.collection, place.id);
    auto xattrs = place.store.xattrs(place.collection, place.id);
    if (!info || !stat || !xattrs) return {.damaged = true};
    found.version = info->version;
    found.size = stat->size;
    found.attributes_crc = crc_of(*xattrs, 0);
    if (!deep) return found;
    auto whole = read_whole_object(place);
    if (!whole) {
        found.damaged = true;
        return found;
    }
    found.data_crc = crc32c(0, *whole->data);
    found.attributes_crc = crc_of(whole->omap, found.attributes_crc);
    return found;
}

} // namespace

void PlacementGroup::scrub_command(const message::ScrubCommand& command) {
    if (now_.stage != PgStage::active) return;
    now_.scrubs_asked.edit().push_back(command);
    consider();
}

void PlacementGroup::next_scrub() {
    if (now_.scrub || now_.scrubs_asked->empty()) return;
    const message::ScrubCommand command = now_.scrubs_asked->front();
    auto& asked = now_.scrubs_asked.edit();
    asked.erase(asked.begin());
    if (asked.empty()) now_.scrubs_asked.reset();
    begin_scrub(command, false);
}

void PlacementGroup::begin_scrub(const message::ScrubCommand& how, bool scheduled) {
    now_.scrub = std::make_unique<PgScrub>();
    now_.scrub->deep = how.deep;
    now_.scrub->repair = how.repair;
    now_.scrub->scheduled = scheduled;
    now_.scrub->from = {BackfillCursor::Place::begin, {}};
    if (tells())
        tell(fmt::format("{}{} begins", scheduled ? "scheduled " : "",
                         how.deep ? "deep scrub" : "scrub"));
    host_.report(pg_);
    scrub_chunk();
}

void PlacementGroup::scrub_chunk() {
    PgScrub& scrub = *now_.scrub;
    const size_t limit = host_.options().scrub_chunk;
    auto objects = copy_.list(scrub.from, {}, limit);
    if (!objects) return host_.stop(objects.error());
    scrub.to = objects->size() < limit ? BackfillCursor{}
                                       : BackfillCursor{BackfillCursor::Place::at, objects->back()};
    scrub.asked = false;
    ++scrub.number;
    ask_scrub();
}

bool PlacementGroup::in_scrubbed_chunk(const PgObject& object) const {
    return now_.scrub && !now_.scrub->from.covers(object) && now_.scrub->to.covers(object);
}

/// Once no change of the chunk is in flight: what the others got before the question is what we
/// have, since messages keep their order.
void PlacementGroup::ask_scrub() {
    for (const auto& [object, count] : now_.unstable)
        if (in_scrubbed_chunk(object)) return;
    PgScrub& scrub = *now_.scrub;
    scrub.asked = true;
    scrub.answers.clear();
    scrub.waits_for.clear();
    scrub.answers[host_.number()] = scan_copy(scrub.from, scrub.to, scrub.deep);
    for (const auto& [osd, peer] : now_.peers) {
        if (peer.fill) continue;
        scrub.waits_for.insert(osd);
        host_.send(osd, message::ScrubAsk{pg_, scrub.number, scrub.from, scrub.to, scrub.deep});
    }
    if (scrub.waits_for.empty()) compare_chunk();
}

std::map<PgObject, message::ScrubbedObject>
PlacementGroup::scan_copy(const BackfillCursor& from, const BackfillCursor& to, bool deep) {
    std::map<PgObject, message::ScrubbedObject> found;
    auto objects = copy_.list(from, to, StoreLimits::entries);
    if (!objects) {
        host_.stop(objects.error());
        return found;
    }
    for (const PgObject& object : *objects)
        found.emplace(object, scrub_object(copy_.place(object), deep));
    return found;
}

void PlacementGroup::serve_scrub(int32_t from, const message::ScrubAsk& ask) {
    if (now_.stage != PgStage::replica || from != view_.acting.primary) return;
    host_.send(from, message::ScrubAnswer{pg_, ask.number, scan_copy(ask.from, ask.to, ask.deep)});
}

void PlacementGroup::take_scrub(int32_t from, const message::ScrubAnswer& answer) {
    if (!now_.scrub || answer.number != now_.scrub->number || !now_.scrub->waits_for.erase(from))
        return;
    now_.scrub->answers[from] = answer.objects;
    if (now_.scrub->waits_for.empty()) compare_chunk();
}

void PlacementGroup::compare_chunk() {
    std::set<PgObject> objects;
    for (const auto& [osd, found] : now_.scrub->answers)
        for (const auto& [object, copy] : found) objects.insert(object);
    for (const PgObject& object : objects) compare_object(object);
    PgScrub& scrub = *now_.scrub;
    scrub.from = scrub.to;
    const bool last = scrub.to.complete();
    if (last) return end_scrub();
    if (scrub_is_held()) return abort_scrub();
    kick_all();
    if (now_.scrub) scrub_chunk();
}

void PlacementGroup::compare_object(const PgObject& object) {
    PgScrub& scrub = *now_.scrub;
    const message::ScrubbedObject* right = nullptr;
    const LogEntry* newest = copy_.record.log.newest(object);
    for (const auto& [osd, found] : scrub.answers) {
        auto copy = found.find(object);
        if (copy == found.end() || copy->second.damaged) continue;
        if (newest && copy->second.version != newest->version) continue;
        if (!right || copy->second.version > right->version) right = &copy->second;
    }
    const bool gone = newest && newest->is_remove();
    if (planted(PlantedBug::scrub_trusts_primary)) {
        auto mine = scrub.answers[host_.number()].find(object);
        right = mine == scrub.answers[host_.number()].end() ? nullptr : &mine->second;
    }
    for (const auto& [osd, found] : scrub.answers) {
        auto copy = found.find(object);
        const bool there = copy != found.end();
        const bool good = gone ? !there : right && there && copy->second == *right;
        if (good) continue;
        ++scrub.errors;
        if (tells()) tell(fmt::format("scrub: {} differs on osd.{}", object.name, osd));
        if (!scrub.repair || (!right && !gone)) continue;
        ++scrub.repaired;
        if (gone) {
            take_away(osd, object, newest->version);
            continue;
        }
        if (osd != host_.number()) {
            now_.peers.at(osd).missing.set(object, {right->version, {}});
            continue;
        }
        Transaction transaction;
        copy_.set_missing(transaction, object, {right->version, {}});
        submit(std::move(transaction));
    }
}

/// A copy still has what the log removed.
void PlacementGroup::take_away(int32_t osd, const PgObject& object, LogVersion removal) {
    if (osd != host_.number())
        return host_.send(osd, message::Push{.pg = pg_, .object = object, .version = removal});
    Transaction transaction;
    copy_.recovered(transaction, object, removal, nullptr);
    submit(std::move(transaction));
}

void PlacementGroup::end_scrub() {
    const PgScrub scrub = std::move(*now_.scrub);
    now_.scrub.reset();
    if (scrub.scheduled) give_back_scrub_slots();
    PgHistory& history = copy_.record.info.history;
    ++history.scrubs;
    history.scrub_errors = static_cast<uint32_t>(scrub.errors - scrub.repaired);
    history.last_scrub_stamp = host_.world().wall();
    if (scrub.deep) {
        history.deep_scrub_errors = history.scrub_errors;
        history.last_deep_scrub_stamp = history.last_scrub_stamp;
    }
    save();
    for (const auto& [osd, peer] : now_.peers) host_.send(osd, message::Learn{pg_, history});
    if (tells())
        tell(fmt::format("scrub ends: {} errors, {} repaired", scrub.errors, scrub.repaired));
    host_.report(pg_);
    kick_all();
    consider();
}

/// It counts for nothing: what it has seen is not the whole PG.
void PlacementGroup::abort_scrub() {
    if (tells()) tell("the scrub is held by a flag");
    now_.scrub.reset();
    give_back_scrub_slots();
    host_.report(pg_);
    kick_all();
    consider();
}

} // namespace cloudlet::rados
