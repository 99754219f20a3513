#pragma once
// What the parts of the planner share: names, single steps, and the accounting of what they move.

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "cloudlet/rados/placement.h"
#include "cloudlet/rados/plan.h"

namespace cloudlet::rados {

/// 3 from "osd.3" or "3".
std::optional<int32_t> parse_osd_name(std::string_view text);
/// Bit of a flag that an operator sets; `ceph osd set`'s names.
std::optional<uint32_t> flag_bit(std::string_view name);
std::vector<std::string> flag_names();
/// The location, with the map's root when it names nothing that exists: a new host has to stand
/// somewhere.
CrushLocation complete_location(const CrushMap& crush, CrushLocation location);
/// Flags under which no data is copied, or not all of it.
inline constexpr uint32_t holding_flags = map_norebalance | map_nobackfill | map_norecover;

/// An OSD map with where its PGs are.
struct World {
    std::shared_ptr<const OsdMap> map;
    Placer placer;
    std::shared_ptr<const std::vector<PoolPlacement>> pools; // in order of the map's pools

    const PoolPlacement* pool(PoolId id) const;
};

/// A map whose rules try without end would be planned without end. Error: Code::too_large, with
/// the pool and the remedy.
Result<> check_tries(const OsdMap& map, uint64_t most);

/// The worlds that a planner has met; ways lead to the same maps again and again.
class Worlds {
public:
    explicit Worlds(uint64_t most_tries) : most_tries_(most_tries) {}
    Result<std::shared_ptr<const World>> first(const OsdMap& map);
    Result<std::shared_ptr<const World>> after(const World& before, const Change& change);

private:
    Result<std::shared_ptr<const World>> keep(const World* before, OsdMap map);

    uint64_t most_tries_;
    std::vector<std::shared_ptr<const World>> known_;
    CrushWorkspace work_;
};

/// What a pool's data weighs.
struct PoolWeight {
    double shard_bytes = 0; // what all of its PGs' first copies (or shards) hold together
    bool equal_pgs = false; // each PG counts the same, although some hold more than others
};
/// By pool; erasure-coded pools spread what they store over k shards.
std::map<PoolId, PoolWeight> weigh_pools(const OsdMap& map, const PlanOptions& options);

/// Where the data lies: the world that it last followed, and the disks that were lost since then
/// (removed, or replaced by an empty one).
struct Settled {
    std::shared_ptr<const World> world;
    std::set<int32_t> lost;
};

/// What has to be copied to bring settled data to where `now` wants it. `received` (by OSD, or
/// empty) adds up what each device is sent.
Movement compare(const Settled& settled, const World& now,
                 const std::map<PoolId, PoolWeight>& weights, std::vector<double>* received);

/// The nodes of the hierarchy with what they hold in the two worlds.
std::vector<PlanNode> load_tree(const World& before, const World& after,
                                const std::map<PoolId, PoolWeight>& weights,
                                const std::vector<double>& received,
                                const std::set<int32_t>& replaced);

/// Orders of doing what `changes` ask for, the given one first. Those that no map allows drop out
/// later, when they are tried.
std::vector<Way> ways_of(const OsdMap& map, std::span<const Change> changes);

} // namespace cloudlet::rados
