#include "cloudlet/rados/crush_map.h"

#include <algorithm>
#include <array>
#include <set>

#include <fmt/format.h>

namespace cloudlet::rados {

namespace {

constexpr std::array<std::pair<std::string_view, BucketAlg>, 5> alg_names = {{
    {"uniform", BucketAlg::uniform},
    {"list", BucketAlg::list},
    {"tree", BucketAlg::tree},
    {"straw", BucketAlg::straw},
    {"straw2", BucketAlg::straw2},
}};

struct Profile {
    std::string_view name;
    CrushTunables walk;
};

// Newest first, so that profile_name() of equal ones is the newest.
const std::array<Profile, 5>& profiles() {
    static const std::array<Profile, 5> all = {{
        {"jewel", {0, 0, 50, 1, 1, 1}},
        {"hammer", {0, 0, 50, 1, 1, 0}},
        {"firefly", {0, 0, 50, 1, 1, 0}},
        {"bobtail", {0, 0, 50, 1, 0, 0}},
        {"argonaut", {2, 5, 19, 0, 0, 0}},
    }};
    return all;
}

constexpr uint32_t algs_of_old_maps = 22; // uniform, list, straw
constexpr uint32_t algs_of_hammer = 54;   // and straw2

size_t slot_of(int32_t id) { return static_cast<size_t>(-1 - id); }

std::optional<int32_t> key_of(const std::map<int32_t, std::string>& names, std::string_view name) {
    for (const auto& [key, value] : names) {
        if (value == name) return key;
    }
    return std::nullopt;
}

} // namespace

std::string_view name_of(BucketAlg alg) {
    for (const auto& [name, value] : alg_names) {
        if (value == alg) return name;
    }
    return "unknown";
}

std::optional<BucketAlg> bucket_alg_of(std::string_view name) {
    for (const auto& [known, value] : alg_names) {
        if (known == name) return value;
    }
    return std::nullopt;
}

uint32_t CrushBucket::item_weight(size_t index) const {
    if (index >= items.size()) return 0;
    if (alg == BucketAlg::uniform) return uniform_weight;
    if (alg != BucketAlg::tree) return weights[index];
    size_t leaf = index * 2 + 1;
    return leaf < derived.size() ? derived[leaf] : 0;
}

std::optional<size_t> CrushBucket::find(int32_t item) const {
    auto found = std::find(items.begin(), items.end(), item);
    if (found == items.end()) return std::nullopt;
    return static_cast<size_t>(found - items.begin());
}

std::optional<CrushTunables> CrushTunables::profile(std::string_view name,
                                                    const CrushTunables& base) {
    bool newest = name == "optimal" || name == "default";
    bool oldest = name == "legacy";
    if (newest) name = "jewel";
    if (oldest) name = "argonaut";
    for (const auto& profile : profiles()) {
        if (profile.name != name) continue;
        CrushTunables result = profile.walk;
        result.straw_calc_version = newest ? 1 : oldest ? 0 : base.straw_calc_version;
        bool knows_straw2 = name == "jewel" || name == "hammer";
        result.allowed_bucket_algs = knows_straw2 ? algs_of_hammer : algs_of_old_maps;
        return result;
    }
    return std::nullopt;
}

std::optional<CrushTunables> CrushTunables::profile(std::string_view name) {
    return profile(name, CrushTunables());
}

std::string_view CrushTunables::profile_name() const {
    for (const auto& profile : profiles()) {
        CrushTunables walk = *this;
        walk.straw_calc_version = profile.walk.straw_calc_version;
        walk.allowed_bucket_algs = profile.walk.allowed_bucket_algs;
        bool old = profile.name != "jewel" && profile.name != "hammer";
        if (walk == profile.walk && old == (allowed_bucket_algs == algs_of_old_maps)) {
            return profile.name;
        }
    }
    return "unknown";
}

const CrushBucket* CrushMap::bucket(int32_t id) const {
    if (id >= 0 || slot_of(id) >= buckets.size()) return nullptr;
    const auto& slot = buckets[slot_of(id)];
    return slot ? &*slot : nullptr;
}

CrushBucket* CrushMap::bucket(int32_t id) {
    return const_cast<CrushBucket*>(std::as_const(*this).bucket(id));
}

const CrushRule* CrushMap::rule(int32_t id) const {
    if (id < 0 || static_cast<size_t>(id) >= rules.size() || !rules[static_cast<size_t>(id)]) {
        return nullptr;
    }
    return &*rules[static_cast<size_t>(id)];
}

const CrushChooseArgs* CrushMap::choose_args_for(int64_t pool) const {
    auto found = choose_args.find(pool);
    if (found == choose_args.end()) found = choose_args.find(crush_default_choose_args);
    return found == choose_args.end() ? nullptr : &found->second;
}

std::optional<int32_t> CrushMap::item_of(std::string_view name) const {
    return key_of(item_names, name);
}
std::optional<int32_t> CrushMap::type_of(std::string_view name) const {
    return key_of(type_names, name);
}
std::optional<int32_t> CrushMap::rule_of(std::string_view name) const {
    return key_of(rule_names, name);
}
std::optional<int32_t> CrushMap::class_of(std::string_view name) const {
    return key_of(class_names, name);
}

std::string CrushMap::item_name(int32_t id) const {
    if (auto found = item_names.find(id); found != item_names.end()) return found->second;
    return id >= 0 ? fmt::format("osd.{}", id) : fmt::format("bucket{}", id);
}

std::string CrushMap::type_name(int32_t type) const {
    auto found = type_names.find(type);
    return found != type_names.end() ? found->second : std::to_string(type);
}

std::string_view CrushMap::class_name_of_item(int32_t item) const {
    auto found = item_classes.find(item);
    if (found == item_classes.end()) return "";
    auto name = class_names.find(found->second);
    return name == class_names.end() ? std::string_view() : name->second;
}

bool CrushMap::is_shadow(int32_t item) const {
    auto found = item_names.find(item);
    return item < 0 && found != item_names.end() && found->second.find('~') != std::string::npos;
}

std::optional<std::pair<int32_t, int32_t>> CrushMap::origin_of_shadow(int32_t shadow) const {
    for (const auto& [bucket, shadows] : class_buckets) {
        for (const auto& [device_class, id] : shadows) {
            if (id == shadow) return std::pair{bucket, device_class};
        }
    }
    return std::nullopt;
}

std::vector<int32_t> CrushMap::roots() const {
    std::set<int32_t> found;
    for (const auto& bucket : buckets) {
        if (bucket) found.insert(bucket->id);
    }
    for (const auto& bucket : buckets) {
        if (!bucket) continue;
        for (int32_t item : bucket->items) found.erase(item);
    }
    return {found.begin(), found.end()};
}

std::vector<int32_t> CrushMap::roots_without_shadows() const {
    std::vector<int32_t> all = roots();
    std::erase_if(all, [this](int32_t id) { return is_shadow(id); });
    return all;
}

std::optional<int32_t> CrushMap::parent_of(int32_t item) const {
    for (const auto& bucket : buckets) {
        if (bucket && bucket->find(item) && !is_shadow(bucket->id)) return bucket->id;
    }
    return std::nullopt;
}

namespace {

// Visits an item and everything below it once, parents first, until `visit` says stop (false).
template <typename Visit>
void walk_below(const CrushMap& map, int32_t root, Visit visit) {
    std::set<int32_t> seen;
    std::vector<int32_t> stack = {root};
    while (!stack.empty()) {
        int32_t item = stack.back();
        stack.pop_back();
        if (!seen.insert(item).second) continue;
        if (!visit(item)) return;
        const CrushBucket* bucket = map.bucket(item);
        if (bucket) stack.insert(stack.end(), bucket->items.rbegin(), bucket->items.rend());
    }
}

} // namespace

bool CrushMap::subtree_contains(int32_t root, int32_t item) const {
    bool found = false;
    walk_below(*this, root, [&](int32_t seen) { return !(found = found || seen == item); });
    return found;
}

std::vector<int32_t> CrushMap::devices_below(int32_t item) const {
    std::vector<int32_t> devices;
    walk_below(*this, item, [&](int32_t seen) {
        if (seen >= 0) devices.push_back(seen);
        return true;
    });
    return devices;
}

std::vector<std::pair<std::string, std::string>> CrushMap::location_of(int32_t item) const {
    std::vector<std::pair<std::string, std::string>> location;
    auto parent = parent_of(item);
    for (size_t steps = 0; parent && steps <= buckets.size(); ++steps) {
        location.emplace_back(type_name(bucket(*parent)->type), item_name(*parent));
        parent = parent_of(*parent);
    }
    return location;
}

std::optional<int32_t> CrushMap::type_of_item(int32_t item) const {
    if (item >= 0) return item < max_devices ? std::optional<int32_t>(0) : std::nullopt;
    const CrushBucket* found = bucket(item);
    return found ? std::optional<int32_t>(found->type) : std::nullopt;
}

} // namespace cloudlet::rados
