#include "pg/pg_copy.h"

#include <algorithm>

#include "cloudlet/rados/pg_codec.h"
#include "cloudlet/rados/planted_bug.h"
#include "pg/object_id.h"

namespace cloudlet::rados {

namespace {

constexpr std::string_view record_prefix = "pg ";
constexpr std::string_view aside_prefix = "damaged "; // before a record that cannot be read
constexpr size_t page = 512;

template <typename T>
void append_big_endian(std::string& key, T value) {
    for (int shift = 8 * (sizeof value - 1); shift >= 0; shift -= 8)
        key += static_cast<char>(value >> shift);
}

std::string key_of(char kind, LogVersion version) {
    std::string key(1, kind);
    append_big_endian(key, version.epoch);
    append_big_endian(key, version.counter);
    return key;
}

/// A version is needed of one object only, but nobody may know which one it is.
std::string key_of_missing(const PgObject& object, LogVersion need) {
    std::string key = key_of('m', need);
    if (need.none()) key += to_object_id(object).name;
    return key;
}

std::string encode_epoch(Epoch epoch) {
    std::string bytes;
    append_big_endian(bytes, epoch);
    return bytes;
}

Epoch decode_epoch(std::string_view bytes) {
    Epoch epoch = 0;
    for (char byte : bytes) epoch = epoch << 8 | static_cast<uint8_t>(byte);
    return epoch;
}

/// The parts of a record as they are read, in the order of their keys.
struct RecordReader {
    PgCopy& copy;
    PgLogImage log = {};
    bool has_info = false;

    Result<void> take(std::string_view key, std::string_view value) {
        switch (key.empty() ? '\0' : key[0]) {
        case 'a': log.answered.push_back(TRY(decode_answered(value))); return {};
        case 'e': copy.epoch = decode_epoch(value); return {};
        case 'i': {
            copy.record.info = TRY(decode_pg_info(value));
            has_info = true;
            return {};
        }
        case 'l': log.entries.push_back(TRY(decode_log_entry(value))); return {};
        case 'm': {
            auto [object, item] = TRY(decode_missing(value));
            copy.record.missing.set(object, item);
            return {};
        }
        case 'p': copy.past = TRY(decode_past_intervals(value)); return {};
        case 'r': copy.being_removed = true; return {};
        default: return fail(Code::invalid, "an unknown entry in a PG's record");
        }
    }
};

} // namespace

PgCopy::PgCopy(ObjectStore& store, PgId pg, PgLogLimits limits) : store_(store), pg_(pg) {
    record.log = PgLog(limits);
    record.info.pg = pg;
}

ObjectId PgCopy::record_id() const { return {0, std::string(record_prefix) + pg_.to_string()}; }

Result<std::vector<PgId>> PgCopy::find_all(const ObjectStore& store) {
    std::vector<PgId> found;
    std::optional<ObjectId> after;
    for (;;) {
        auto listed = store.list({}, after, page);
        if (!listed && listed.error().code == Code::not_found) return found;
        if (!listed) return tl::unexpected<Error>(std::move(listed.error()));
        for (const ObjectId& id : listed->objects) {
            if (!id.name.starts_with(record_prefix)) continue;
            found.push_back(TRY(PgId::parse(id.name.substr(record_prefix.size()))));
        }
        if (!listed->more) return found;
        after = listed->objects.back();
    }
}

Result<void> PgCopy::load() {
    RecordReader reader{*this};
    std::string from;
    for (bool more = true; more;) {
        auto entries = TRY(store_.omap({}, record_id(), from, "", page));
        for (const auto& [key, value] : entries.entries) TRY(reader.take(key, value));
        more = entries.more;
        if (more) from = entries.entries.back().first + '\0';
    }
    if (!reader.has_info)
        return fail(Code::invalid, "a PG's record lacks what says how far the copy has come");
    reader.log.tail = record.info.log_tail;
    record.log = TRY(make_pg_log(std::move(reader.log), record.log.limits()));
    return count_objects();
}

Result<void> PgCopy::count_objects() {
    objects = 0;
    std::optional<ObjectId> after;
    for (bool more = true; more;) {
        auto listed = TRY(store_.list(pg_, after, page));
        objects += listed.objects.size();
        more = listed.more;
        if (more) after = listed.objects.back();
    }
    return {};
}

Result<void> PgCopy::create(Transaction& transaction) {
    if (record.info.damaged_until) {
        ObjectId aside = record_id();
        aside.name = std::string(aside_prefix) + aside.name;
        transaction.add({}, record_id(), change::Clone{std::move(aside)});
    }
    const bool there = store_.list(pg_, std::nullopt, 1).has_value();
    if (there)
        TRY(count_objects());
    else
        transaction.create_collection(pg_);
    save_all(transaction);
    return {};
}

Result<std::vector<Transaction>> PgCopy::removal() const {
    std::vector<Transaction> steps(1);
    steps[0].add({}, record_id(), change::SetOmap{{{"r", ""}}});
    std::optional<ObjectId> after;
    for (bool more = true; more;) {
        auto listed = TRY(store_.list(pg_, after, page));
        Transaction& step = steps.emplace_back();
        for (const ObjectId& id : listed.objects) step.add(pg_, id, change::Remove{});
        more = listed.more;
        if (more) after = listed.objects.back();
    }
    steps.back().add({}, record_id(), change::Remove{});
    steps.back().remove_collection(pg_);
    return steps;
}

ObjectPlace PgCopy::place(const PgObject& object) const {
    return {store_, pg_, to_object_id(object)};
}

Result<std::vector<PgObject>> PgCopy::list(const BackfillCursor& from, const BackfillCursor& to,
                                           size_t limit) const {
    using Place = BackfillCursor::Place;
    std::vector<PgObject> found;
    if (from.place == Place::end || to.place == Place::begin) return found;
    std::optional<ObjectId> after;
    if (from.place == Place::at) after = to_object_id(*from.object);
    auto listed = TRY(store_.list(pg_, after, limit));
    for (const ObjectId& id : listed.objects) {
        auto object = from_object_id(id);
        if (!object) return fail(Code::io, "an object's name in the store is damaged");
        if (!to.covers(*object)) break;
        found.push_back(std::move(*object));
    }
    return found;
}

void PgCopy::save_info(Transaction& transaction) const {
    transaction.add(
        {}, record_id(),
        change::SetOmap{{{"e", encode_epoch(epoch)}, {"i", encode_pg_info(record.info)}}});
}

void PgCopy::save_info_and_past(Transaction& transaction) const {
    Attributes entries{{"e", encode_epoch(epoch)}, {"i", encode_pg_info(record.info)}};
    save_past(entries);
    transaction.add({}, record_id(), change::SetOmap{std::move(entries)});
}

void PgCopy::save_past(Attributes& entries) const {
    entries.emplace("p", encode_past_intervals(past));
}

void PgCopy::save_all(Transaction& transaction) const {
    transaction.add({}, record_id(), change::Touch{});
    transaction.add({}, record_id(), change::ClearOmap{});
    Attributes entries{{"e", encode_epoch(epoch)}, {"i", encode_pg_info(record.info)}};
    save_past(entries);
    for (const LogEntry& entry : record.log.entries())
        entries.emplace(key_of('l', entry.version), encode_log_entry(entry));
    for (const auto& [request, answer] : record.log.answered())
        entries.emplace(key_of('a', answer.version), encode_answered(request, answer));
    if (!planted(PlantedBug::forget_missing_on_disk))
        for (const auto& [object, item] : record.missing.items())
            entries.emplace(key_of_missing(object, item.need), encode_missing(object, item));
    transaction.add({}, record_id(), change::SetOmap{std::move(entries)});
}

void PgCopy::append(Transaction& transaction, LogEntry entry, LogVersion trim_to) {
    Attributes entries;
    std::vector<std::string> gone;
    entries.emplace(key_of('l', entry.version), encode_log_entry(entry));
    const bool notes = entry.changes_object(); // a refusal leaves what is missing as it is
    if (const auto* item = notes ? record.missing.find(entry.object) : nullptr) {
        gone.push_back(key_of_missing(entry.object, item->need));
        record.append(entry);
        if (const MissingSet::Item* now = record.missing.find(entry.object))
            entries.emplace(key_of_missing(entry.object, now->need),
                            encode_missing(entry.object, *now));
    } else {
        record.append(std::move(entry));
    }
    if (trim_to > record.log.tail()) {
        for (const LogEntry& old : record.log.entries()) {
            if (old.version > trim_to) break;
            gone.push_back(key_of('l', old.version));
            if (old.request.none()) continue;
            entries.emplace(
                key_of('a', old.version),
                encode_answered(old.request, {old.version, old.user_version, old.result}));
        }
        const auto& answered = record.log.answered();
        const size_t before = answered.size();
        std::vector<LogVersion> oldest;
        for (size_t i = 0; i < std::min(before, gone.size()); ++i)
            oldest.push_back(answered[i].second.version);
        record.trim(trim_to);
        const LogVersion kept =
            answered.empty() ? record.log.tail() : answered.front().second.version;
        for (LogVersion version : oldest)
            if (version < kept) gone.push_back(key_of('a', version));
    }
    entries.emplace("i", encode_pg_info(record.info));
    transaction.add({}, record_id(), change::SetOmap{std::move(entries)});
    if (!gone.empty()) transaction.add({}, record_id(), change::RemoveOmapKeys{std::move(gone)});
}

void PgCopy::set_missing(Transaction& transaction, const PgObject& object, MissingSet::Item item) {
    std::vector<std::string> gone;
    if (const MissingSet::Item* old = record.missing.find(object))
        gone.push_back(key_of_missing(object, old->need));
    record.missing.set(object, item);
    record.refresh_info();
    if (!gone.empty()) transaction.add({}, record_id(), change::RemoveOmapKeys{std::move(gone)});
    if (planted(PlantedBug::forget_missing_on_disk)) return;
    transaction.add(
        {}, record_id(),
        change::SetOmap{{{key_of_missing(object, item.need), encode_missing(object, item)},
                         {"i", encode_pg_info(record.info)}}});
}

void PgCopy::recovered(Transaction& transaction, const PgObject& object, LogVersion version,
                       const change::Replace* content) {
    const ObjectPlace where = place(object);
    const bool there = store_.stat(where.collection, where.id).has_value();
    if (content) {
        transaction.add(where.collection, where.id, *content);
        if (!there) ++objects;
    } else if (there) {
        transaction.add(where.collection, where.id, change::Remove{});
        --objects;
    }
    const MissingSet::Item* item = record.missing.find(object);
    if (!item) return;
    transaction.add({}, record_id(), change::RemoveOmapKeys{{key_of_missing(object, item->need)}});
    record.recovered(object, version);
    Attributes entries{{"i", encode_pg_info(record.info)}};
    if (const MissingSet::Item* still = record.missing.find(object))
        entries.emplace(key_of_missing(object, still->need), encode_missing(object, *still));
    transaction.add({}, record_id(), change::SetOmap{std::move(entries)});
}

PgCopy::Before PgCopy::before(const PgObject& object) const {
    const MissingSet::Item* item = record.missing.find(object);
    return {item ? std::optional(*item) : std::nullopt, objects};
}

void PgCopy::take_back(const PgObject& object, const Before& before) {
    objects = before.objects;
    record.missing.erase(object);
    if (before.missing) record.missing.set(object, *before.missing);
    record.refresh_info();
}

Result<void> PgCopy::adopt(Transaction& transaction, const PgLog& authority) {
    const bool same = record.missing.empty() && record.log == authority;
    AdoptActions actions = TRY(record.adopt(authority));
    if (!planted(PlantedBug::keep_divergent_objects))
        for (const PgObject& object : actions.remove) remove_object(transaction, object);
    if (planted(PlantedBug::lose_missing_entry) && !record.missing.empty()) {
        const PgObject lost = record.missing.items().begin()->first;
        record.missing.erase(lost);
    }
    if (same)
        save_info_and_past(transaction);
    else
        save_all(transaction);
    return {};
}

void PgCopy::remove_object(Transaction& transaction, const PgObject& object) {
    const ObjectPlace where = place(object);
    if (!store_.stat(where.collection, where.id)) return;
    transaction.add(where.collection, where.id, change::Remove{});
    --objects;
}

} // namespace cloudlet::rados
