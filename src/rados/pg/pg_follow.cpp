// Changes at the other copies: made in the primary's order, or, when one cannot be made, held until
// its object has come by recovery.
//
// An object that comes may be ahead: the primary sends it as it is by then, with later changes in
// it. It is not taken before the log can name them all, with whatever other objects' changes lie in
// between, in one transaction. Else this copy would hold, and be the only one to hold, a version
// that no log knows, in the place of one that a client was told of.

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "cloudlet/rados/planted_bug.h"
#include "pg/placement_group.h"

namespace cloudlet::rados {

void PlacementGroup::take_change(int32_t from, const message::Replicate& replicate) {
    const bool expected = now_.stage == PgStage::replica && from == view_.acting.primary &&
                          replicate.entry.version > copy_.record.log.head();
    if (!expected) {
        if (tells()) tell("a change that does not follow is left alone");
        return;
    }
    // What follows a change that could not be made waits behind it.
    if (!now_.held->changes.empty() || !follow(from, replicate))
        now_.held.edit().changes.push_back(replicate);
}

/// What a change finds of its object, and whether it is to be made at all: one that is in the
/// object already, or whose object this copy lacks, is only logged.
PlacementGroup::Following PlacementGroup::look_at(const message::Replicate& replicate) const {
    const LogEntry& entry = replicate.entry;
    auto info = read_object_info(copy_.place(entry.object));
    Following found;
    found.there = info || info.error().code != Code::not_found;
    found.has = info ? info->version : LogVersion{};
    return found;
}

bool PlacementGroup::takes(const message::Replicate& replicate, const Following& found) const {
    const LogEntry& entry = replicate.entry;
    return replicate.change && copy_.record.takes_change_of(entry) &&
           (found.there || !entry.is_remove()) && entry.version > found.has;
}

/// Makes a change that follows. False when the object is damaged or the disk is full: the primary
/// is asked for the object, and nothing is logged before it is here, for a log that demands what
/// nobody has is of no use.
bool PlacementGroup::follow(int32_t from, const message::Replicate& replicate) {
    const LogEntry& entry = replicate.entry;
    const Following found = look_at(replicate);
    if (takes(replicate, found)) {
        const bool made = make_change(from, replicate, found.there);
        if (!made) host_.send(from, message::Replicated{pg_, entry.version, true});
        return made;
    }
    Transaction transaction;
    copy_.append(transaction, entry, replicate.trim_to);
    submit(std::move(transaction), [this, from, version = entry.version] {
        host_.send(from, message::Replicated{pg_, version});
    });
    return true;
}

/// False, and nothing happened, when the object is damaged or the disk is full.
bool PlacementGroup::make_change(int32_t from, const message::Replicate& replicate, bool there) {
    const LogEntry& entry = replicate.entry;
    const PgLog& log = copy_.record.log;
    const LogVersion head = log.head(), tail = log.tail();
    const PgInfo info = copy_.record.info;
    Transaction transaction = *replicate.change;
    copy_.append(transaction, entry, replicate.trim_to);
    auto answer = [this, from, version = entry.version] {
        host_.send(from, message::Replicated{pg_, version});
    };
    const bool early = planted(PlantedBug::ack_before_disk);
    auto done = host_.submit(pg_, std::move(transaction), [answer, early] {
        if (!early) answer();
    });
    if (!done) {
        take_back(head, tail, info);
        if (tells())
            tell(fmt::format("cannot change {}: {}", entry.object.name, done.error().message));
        return false;
    }
    copy_.objects += static_cast<uint64_t>(!entry.is_remove());
    copy_.objects -= static_cast<uint64_t>(there);
    if (early) answer();
    return true;
}

/// An object has come that a change waits for, or may lie behind one that does.
void PlacementGroup::take_ahead(int32_t from, const message::Push& push) {
    PgAhead& ahead = now_.held.edit().ahead[push.object];
    ahead.push = push;
    ++ahead.times;
    if (now_.held->ahead.contains(now_.held->changes.front().entry.object)) follow_held(from);
}

void PlacementGroup::follow_held(int32_t from) {
    while (!now_.held->changes.empty()) {
        const size_t count = held_run();
        const message::Replicate first = now_.held->changes.front();
        const bool alone = count == 1 && !now_.held->ahead.contains(first.entry.object);
        if (count == 0 || !(alone ? follow(from, first) : make_run(from, count))) return;
        auto& changes = now_.held.edit().changes;
        changes.erase(changes.begin(), changes.begin() + static_cast<std::ptrdiff_t>(count));
    }
    now_.held.reset();
}

/// How many of the changes that wait are made together: up to the first one by which the log names
/// all that is in the objects that have come. 0: such a change is not here.
size_t PlacementGroup::held_run() const {
    const PgHeld& held = *now_.held;
    LogVersion until = held.changes.front().entry.version;
    size_t count = 0;
    for (const message::Replicate& change : held.changes) {
        if (change.entry.version > until) return count;
        ++count;
        auto ahead = held.ahead.find(change.entry.object);
        if (ahead != held.ahead.end()) until = std::max(until, ahead->second.push.version);
    }
    return held.changes.back().entry.version >= until ? count : 0;
}

/// False, and nothing happened, when a change of the run cannot be made.
bool PlacementGroup::make_run(int32_t from, size_t count) {
    const auto& changes = now_.held->changes;
    const std::vector<message::Replicate> run(changes.begin(),
                                              changes.begin() + static_cast<std::ptrdiff_t>(count));
    const LogVersion head = copy_.record.log.head(), tail = copy_.record.log.tail();
    const PgInfo info = copy_.record.info;
    std::map<PgObject, PgCopy::Before> before;
    for (const message::Replicate& change : run)
        before.try_emplace(change.entry.object, copy_.before(change.entry.object));
    Transaction transaction;
    const std::vector<LogVersion> made = add_run(transaction, run);
    auto done = host_.submit(pg_, std::move(transaction), [this, from, answers = run_done(run)] {
        for (const MessageBody& answer : answers) host_.send(from, answer);
    });
    if (done) {
        for (const message::Replicate& change : run)
            now_.held.edit().ahead.erase(change.entry.object);
        return true;
    }
    for (const auto& [object, was] : before) copy_.take_back(object, was);
    take_back(head, tail, info);
    if (tells())
        tell(fmt::format("cannot make {} changes at once: {}", count, done.error().message));
    ask_for_run(from, run, made);
    return false;
}

/// Gives which changes are made here; the others are in objects that have come.
std::vector<LogVersion> PlacementGroup::add_run(Transaction& transaction,
                                                const std::vector<message::Replicate>& run) {
    std::map<PgObject, Following> objects;
    std::vector<LogVersion> made;
    for (const message::Replicate& change : run) {
        auto [at, is_new] = objects.try_emplace(change.entry.object);
        auto ahead = now_.held->ahead.find(change.entry.object);
        if (is_new && ahead != now_.held->ahead.end()) {
            const message::Push& push = ahead->second.push;
            copy_.recovered(transaction, push.object, push.version, push.content.get());
            at->second = {push.content != nullptr, push.version};
        } else if (is_new) {
            at->second = look_at(change);
        }
    }
    for (const message::Replicate& change : run) {
        Following& found = objects.at(change.entry.object);
        if (takes(change, found)) {
            for (const Operation& one : change.change->operations)
                transaction.operations.push_back(one);
            made.push_back(change.entry.version);
            copy_.objects += static_cast<uint64_t>(!change.entry.is_remove());
            copy_.objects -= static_cast<uint64_t>(found.there);
            found.there = !change.entry.is_remove();
        }
        copy_.append(transaction, change.entry, change.trim_to);
    }
    return made;
}

std::vector<MessageBody>
PlacementGroup::run_done(const std::vector<message::Replicate>& run) const {
    std::vector<MessageBody> answers;
    std::set<PgObject> answered;
    for (const message::Replicate& change : run) {
        const PgObject& object = change.entry.object;
        answers.emplace_back(message::Replicated{pg_, change.entry.version});
        auto ahead = now_.held->ahead.find(object);
        if (ahead == now_.held->ahead.end() || !answered.insert(object).second) continue;
        for (unsigned i = 0; i < ahead->second.times; ++i)
            answers.emplace_back(message::Pushed{pg_, object, ahead->second.push.version});
    }
    return answers;
}

/// The objects of the changes that were to be made here are asked for, each once. When all have
/// come, the disk has no room for them: they are refused, and sent again later.
void PlacementGroup::ask_for_run(int32_t from, const std::vector<message::Replicate>& run,
                                 const std::vector<LogVersion>& made) {
    PgHeld& held = now_.held.edit();
    for (LogVersion version : made)
        if (held.asked.insert(version).second)
            host_.send(from, message::Replicated{pg_, version, true});
    if (!made.empty()) return;
    for (const message::Replicate& change : run) {
        auto ahead = held.ahead.extract(change.entry.object);
        if (!ahead) continue;
        const auto& [push, times] = ahead.mapped();
        for (unsigned i = 0; i < times; ++i)
            host_.send(from, message::Pushed{pg_, push.object, push.version, -ENOSPC});
    }
}

} // namespace cloudlet::rados
