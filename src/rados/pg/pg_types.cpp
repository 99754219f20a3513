#include "cloudlet/rados/pg_types.h"

#include <algorithm>

#include <fmt/format.h>

#include "cloudlet/rados/planted_bug.h"

namespace cloudlet::rados {

namespace {

void raise(Epoch& mine, Epoch theirs) { mine = std::max(mine, theirs); }

} // namespace

uint32_t reversed_bits(uint32_t bits) {
    bits = ((bits >> 1) & 0x55555555) | ((bits & 0x55555555) << 1);
    bits = ((bits >> 2) & 0x33333333) | ((bits & 0x33333333) << 2);
    bits = ((bits >> 4) & 0x0f0f0f0f) | ((bits & 0x0f0f0f0f) << 4);
    return __builtin_bswap32(bits);
}

std::string LogVersion::to_string() const { return fmt::format("{}'{}", epoch, counter); }

std::string RequestId::to_string() const {
    return fmt::format("client.{}.{}:{}", client, incarnation, number);
}

std::string PgShard::to_string() const {
    return shard == no_shard ? fmt::format("{}", osd) : fmt::format("{}({})", osd, shard);
}

std::strong_ordering PgObject::operator<=>(const PgObject& other) const {
    if (hash != other.hash) return reversed_bits(hash) <=> reversed_bits(other.hash);
    if (auto order = name_space->compare(*other.name_space)) return order <=> 0;
    if (auto order = locator_key->compare(*other.locator_key)) return order <=> 0;
    if (auto order = name.compare(other.name)) return order <=> 0;
    return snap <=> other.snap;
}

void PgHistory::learn(const PgHistory& other) {
    raise(epoch_created, other.epoch_created);
    raise(last_epoch_started, other.last_epoch_started);
    raise(last_interval_started, other.last_interval_started);
    raise(last_epoch_clean, other.last_epoch_clean);
    raise(last_interval_clean, other.last_interval_clean);
    raise(last_epoch_split, other.last_epoch_split);
    const bool knows_more = other.scrubs > scrubs, knows_as_much = other.scrubs == scrubs;
    if (knows_more) {
        scrubs = other.scrubs;
        scrub_errors = other.scrub_errors;
        deep_scrub_errors = other.deep_scrub_errors;
    }
    if (planted(PlantedBug::forget_scrub_stamp)) return;
    if (knows_more) {
        last_scrub_stamp = other.last_scrub_stamp;
        last_deep_scrub_stamp = other.last_deep_scrub_stamp;
    } else if (knows_as_much) {
        last_scrub_stamp = std::max(last_scrub_stamp, other.last_scrub_stamp);
        last_deep_scrub_stamp = std::max(last_deep_scrub_stamp, other.last_deep_scrub_stamp);
    }
}

const MissingSet::Item* MissingSet::find(const PgObject& object) const {
    auto at = items().find(object);
    return at == items().end() ? nullptr : &at->second;
}

LogVersion MissingSet::oldest_need() const {
    return empty() ? LogVersion{} : *content_->needs.begin();
}

void MissingSet::set(const PgObject& object, Item item) {
    erase(object);
    Content& content = content_.edit();
    content.items.emplace(object, item);
    content.needs.insert(item.need);
}

void MissingSet::erase(const PgObject& object) {
    if (!find(object)) return;
    auto& [items, needs] = content_.edit();
    auto at = items.find(object);
    needs.erase(needs.find(at->second.need));
    items.erase(at);
    if (items.empty()) content_.reset();
}

void MissingSet::note(const LogEntry& entry) {
    if (!entry.changes_object()) return;
    if (entry.is_remove()) return erase(entry.object);
    const Item* old = find(entry.object);
    set(entry.object, {entry.version, old ? old->have : entry.prior_version});
}

void MissingSet::arrived(const PgObject& object, LogVersion version) {
    const Item* item = find(object);
    if (!item) return;
    if (version >= item->need) return erase(object);
    set(object, {item->need, version});
}

} // namespace cloudlet::rados
