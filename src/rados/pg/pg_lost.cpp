// Objects that nobody has any more are given up when an operator says so: each becomes what it was
// before, if some copy still has that, or is removed. That is a change like any other one: all
// copies log it, so that none of them ever waits for the lost version again.

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "pg/placement_group.h"

namespace cloudlet::rados {

/// Refused while somebody who may have the objects was not asked: who is down may come back.
message::CommandDone PlacementGroup::mark_unfound_lost(const message::MarkUnfoundLost& command) {
    auto answer = [&](int32_t result, std::string text) {
        return message::CommandDone{command.number, result, std::move(text)};
    };
    if (now_.stage != PgStage::active) return answer(-EAGAIN, "the PG does not serve");
    const size_t count = unfound();
    if (count == 0) return answer(0, "the PG has no unfound objects");
    if (auto osd = unprobed_source())
        return answer(-EINVAL, fmt::format("osd.{} may have some of the {} unfound objects and was "
                                           "not asked: start it, or declare it lost",
                                           *osd, count));
    size_t failed = 0;
    for (const PgObject& object : std::set<PgObject>(repair().unfound))
        failed += !give_up(object, command.revert);
    consider();
    if (failed) return answer(-EIO, fmt::format("{} objects are still unfound", failed));
    return answer(0, fmt::format("{} unfound objects are {}", count,
                                 command.revert ? "reverted" : "deleted"));
}

/// Whoever was a member since all was clean may have what is missing. Asked are all who are up and
/// have told of themselves.
std::optional<int32_t> PlacementGroup::unprobed_source() const {
    const OsdMap& map = host_.map()->map();
    for (const PastInterval& past : copy_.past.intervals()) {
        for (const OsdSet* members : {&past.acting, &past.up}) {
            for (int32_t osd : members->osds) {
                if (osd < 0 || osd == host_.number() || now_.peers.contains(osd)) continue;
                const bool gone =
                    !map.exists(osd) || map.osd_info[static_cast<size_t>(osd)].lost_at > past.last;
                if (map.is_up(osd) ? !now_.infos->contains(PgShard{osd}) : !gone) return osd;
            }
        }
    }
    return std::nullopt;
}

/// False when the disk has no room for it, or the earlier version is damaged.
bool PlacementGroup::give_up(const PgObject& object, bool revert) {
    if (!revert) return log_lost(object, std::nullopt);
    const MissingSet::Item* mine = copy_.record.missing.find(object);
    LogVersion newest = mine->have;
    for (const auto& [osd, peer] : now_.peers)
        if (const MissingSet::Item* theirs = peer.missing.find(object))
            newest = std::max(newest, theirs->have);
    if (newest.none()) return log_lost(object, std::nullopt); // it was new
    if (newest == mine->have)
        if (auto earlier = read_whole_object(copy_.place(object)))
            return log_lost(object, std::move(*earlier));
    repair().unfound.erase(object);
    PgRecovery& recovery = repair().recoveries[object];
    recovery.version = newest;
    recovery.reverting = true;
    pull(object);
    return !repair().unfound.contains(object);
}

/// Logs that the version that is missing will not come: the object is `earlier` now, or nothing.
bool PlacementGroup::log_lost(const PgObject& object, std::optional<change::Replace> earlier) {
    PgRecord& record = copy_.record;
    const LogVersion head = record.log.head(), tail = record.log.tail();
    const PgInfo info = record.info;
    const PgCopy::Before before = copy_.before(object);
    const ObjectPlace place = copy_.place(object);
    LogEntry entry{.kind = earlier ? LogEntry::Kind::lost_revert : LogEntry::Kind::lost_delete,
                   .object = object,
                   .version = {host_.map()->epoch(), head.counter + 1},
                   .prior_version = record.missing.find(object)->need,
                   .user_version = record.info.last_user_version + 1};
    Transaction change, mine;
    if (earlier) {
        std::string& info_bytes = earlier->xattrs[std::string(info_xattr)];
        ObjectInfo was = decode_object_info(info_bytes).value_or(ObjectInfo{});
        was.version = entry.version;
        was.user_version = entry.user_version;
        info_bytes = encode_object_info(was);
        change.add(place.collection, place.id, *earlier);
    } else {
        change.add(place.collection, place.id, change::Remove{});
    }
    const LogVersion trim_to = record.log.trim_target(now_.committed);
    copy_.append(mine, entry, trim_to);
    copy_.recovered(mine, object, entry.version, earlier ? &*earlier : nullptr);
    auto done = host_.submit(pg_, std::move(mine), [this, version = entry.version] {
        change_is_safe(host_.number(), version);
    });
    if (!done) {
        copy_.take_back(object, before);
        take_back(head, tail, info);
        return false;
    }
    if (tells())
        tell(fmt::format("{} is given up and {}", object.name, earlier ? "reverted" : "removed"));
    for (auto& [osd, peer] : now_.peers) {
        const MissingSet::Item* theirs = peer.missing.find(object);
        if (theirs && !earlier) peer.missing.erase(object);
        if (theirs && earlier) peer.missing.set(object, {entry.version, theirs->have});
    }
    replicate(entry, std::make_shared<const Transaction>(std::move(change)),
              {.version = entry.version, .object = object}, trim_to);
    repair().unfound.erase(object);
    host_.report(pg_);
    kick(object);
    return true;
}

} // namespace cloudlet::rados
