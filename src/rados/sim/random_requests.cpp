#include "sim/random_requests.h"

#include <fmt/format.h>

namespace cloudlet::rados::sim {

namespace {

constexpr const char* tag = "tag"; // the xattr that guards compare

std::string random_key(Random& random) { return fmt::format("k{}", random.below(5)); }

/// Mostly where small objects are; sometimes at the edge of a block.
uint64_t random_offset(Random& random) {
    return random.chance(0.05) ? 4096 * random.below(3) + random.below(64) : random.below(96);
}

} // namespace

ObjectOps RandomRequests::random_ops(Random& random, uint64_t seen_version) {
    const uint64_t dice = random.below(100);
    if (dice < 30) return random_read(random);
    if (dice < 65) return {random_write(random)};
    if (dice < 82) return random_guarded(random, seen_version);
    if (dice < 90) return {random_omap_change(random)};
    if (dice < 93) return {op::Remove{}};
    if (dice < 95) return {op::Truncate{random_offset(random)}};
    if (dice < 97) return {op::Zero{random_offset(random), 1 + random.below(32)}};
    last_tag_ = payload(random);
    if (dice < 99) return {op::SetXattr{tag, last_tag_}};
    return {op::RemoveXattr{tag}};
}

/// 8 to 64 bytes; 5000 now and then, which touches two blocks of 4 KiB.
std::string RandomRequests::payload(Random& random) {
    const std::string unique = fmt::format("{}.{}.", prefix_, payloads_++);
    const size_t wanted = random.chance(0.03) ? 5000 : 8 + random.below(57);
    std::string text = unique;
    while (text.size() < wanted) text += unique;
    text.resize(std::max(wanted, unique.size()));
    return text;
}

SharedBytes RandomRequests::data(Random& random) { return share(payload(random)); }

ObjectOp RandomRequests::random_append(Random& random) { return op::Append{data(random)}; }

ObjectOp RandomRequests::random_write(Random& random) {
    switch (random.below(4)) {
    case 0: return op::WriteFull{data(random)};
    case 1: return op::Append{data(random)};
    default: return op::Write{random_offset(random), data(random)};
    }
}

ObjectOp RandomRequests::random_omap_change(Random& random) {
    switch (random.below(6)) {
    case 0: return op::ClearOmap{};
    case 1: return op::RemoveOmapKeys{{random_key(random), random_key(random)}};
    default:
        return op::SetOmap{
            {{random_key(random), payload(random)}, {random_key(random), payload(random)}}};
    }
}

ObjectOps RandomRequests::random_read(Random& random) {
    switch (random.below(8)) {
    case 0: return {op::Stat{}};
    case 1: return {op::GetXattrs{}};
    case 2: return {op::GetOmap{random.chance(0.5) ? "" : random_key(random), 1 + random.below(4)}};
    case 3: return {op::GetOmapValues{{random_key(random), random_key(random)}}};
    case 4: return {op::Read{random_offset(random), 1 + random.below(64)}, op::Stat{}};
    case 5: return {op::AssertExists{}, op::Read{}, op::GetXattr{tag}};
    default: return {op::Read{}};
    }
}

ObjectOps RandomRequests::random_guarded(Random& random, uint64_t seen_version) {
    switch (random.below(5)) {
    case 0: return {op::Create{.exclusive = true}, op::WriteFull{data(random)}};
    case 1: return {op::AssertVersion{seen_version}, random_write(random)};
    case 2: return {op::AssertExists{}, op::Append{data(random)}, random_omap_change(random)};
    default: {
        op::CompareXattr guard{tag, random.chance(0.3) ? "" : last_tag_};
        last_tag_ = payload(random);
        return {guard, random_write(random), op::SetXattr{tag, last_tag_},
                random_omap_change(random)};
    }
    }
}

} // namespace cloudlet::rados::sim
