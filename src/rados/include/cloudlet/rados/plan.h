#pragma once
// What would move: a planner from a map and a list of changes to the data that each step copies.
//
//     auto changes = parse_changes(words("out osd.3 remove osd.3 add osd.16 weight 1 host=b"));
//     auto plan = make_plan(map, *changes, {});
//     plan->ways[0].total.remapped;  // PGs moved by the changes as they were asked for
//     plan->ways[plan->best];        // the order of commands that moves least
//
// The model: data lies where the last map without a holding flag put it ("settled"). A step changes
// the map; when nothing holds data still, every copy that is not yet where the new map wants it is
// copied, and the cluster is settled again before the next step. While norebalance, nobackfill or
// norecover is set nothing is copied, so that several steps cost only the difference between the
// first map and the last. A disk that was replaced is empty, whatever its id: its copies count as
// moved even where no mapping changed.
//
// The planner looks at the up sets (where CRUSH, upmap and the OSDs' states want the data), not at
// temporary entries, which end by themselves. Pure: values in, values out. One call uses one
// thread.

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "cloudlet/base/result.h"
#include "cloudlet/rados/crush_edit.h"
#include "cloudlet/rados/diagnose.h"
#include "cloudlet/rados/osd_map.h"

namespace cloudlet::rados {

enum class ChangeKind {
    out,            // out OSD
    in,             // in OSD
    reweight,       // reweight OSD 0..1
    crush_reweight, // crush-reweight ITEM WEIGHT
    add,            // add OSD weight WEIGHT TYPE=NAME... [class=CLASS]
    remove,         // remove OSD
    replace,        // replace OSD [weight WEIGHT]: a new disk under the same id
    move,           // move ITEM TYPE=NAME...
    rule,           // rule POOL RULE
    tunables,       // tunables PROFILE
    size,           // size POOL COPIES
    pg_num,         // pg_num POOL PGS
    set,            // set FLAG...
    unset,          // unset FLAG..., or every flag that was set before
};

struct Change {
    ChangeKind kind = ChangeKind::out;
    std::string subject;    // "osd.3", a bucket, a pool, a profile, or flags: "noout,norebalance"
    std::string rule;       // of ChangeKind::rule
    double number = -1;     // weight, copies or PGs; -1: not given
    CrushLocation location; // of add and move
    std::string device_class;

    /// In the words of parse_changes().
    std::string to_string() const;
    /// What an operator types for it, with the real `ceph` client.
    std::vector<std::string> commands() const;
    bool operator==(const Change&) const = default;
};

/// Reads changes from words, as a command line has them; a word may hold several ("out osd.3").
/// `ceph`'s own spellings are understood too ("osd crush reweight osd.3 0", "osd pool set rbd size
/// 2"), a bare flag sets it, and ",", ";" and "then" may stand between changes.
/// Error: Code::invalid, names the word and what was expected.
Result<std::vector<Change>> parse_changes(std::span<const std::string> words);
/// What parse_changes() reads, one form a line.
std::string change_grammar();

/// The map after one change. Error: Code::not_found, Code::already_exists or Code::invalid.
Result<OsdMap> apply_change(const OsdMap& map, const Change& change);

/// What a step, or a whole way, copies. Numbers of PGs are of the map after the step.
struct Movement {
    uint32_t remapped = 0; // PGs whose up set changed: another device, or another order
    uint32_t refilled = 0; // PGs that stay, of which a device is a new and empty disk
    uint64_t copies = 0;   // copies (or shards) of PGs that have to be written to a device
    double bytes = 0;
    uint32_t waiting = 0;  // PGs that a flag holds back
    uint32_t degraded = 0; // PGs with a copy less than before, until the data has moved
};

struct PlanStep {
    Change change;
    Movement moves;
    bool held = false; // by a flag
};

/// One order of doing it.
struct Way {
    std::string name;
    std::string remark;
    std::vector<PlanStep> steps;
    Movement total; // sums; waiting is what remains, degraded the highest of all steps
    std::vector<std::string> commands() const;
};

/// What one device, or all devices below a bucket, hold.
struct Load {
    uint64_t copies = 0;
    double bytes = 0;
    double share = 0; // bytes that its weight entitles it to
    double deviation() const { return share > 0 ? bytes / share - 1 : 0; }
};

/// A node of the hierarchy, in order of a walk from the roots; devices included.
struct PlanNode {
    int32_t id = 0;
    uint32_t depth = 0;
    std::string name, type;
    double weight_before = 0, weight_after = 0; // CRUSH weight times reweight; 0: not there
    Load before, after;
    double received = 0; // bytes copied to it, in the way that was asked for
    enum class Fate { stays, added, removed, replaced } fate = Fate::stays;
    bool is_device() const { return id >= 0; }
};

struct Plan {
    Epoch epoch = 0;
    uint32_t devices = 0, hosts = 0, pools = 0, pgs = 0; // of the map before
    bool in_bytes = false;                               // else "bytes" are copies of one PG each
    std::vector<Way> ways;                               // the first is what was asked for
    size_t best = 0; // of the ways: least bytes, then least degraded
    std::vector<PlanNode> nodes;
    std::vector<Finding> findings;       // of the map as it is
    std::vector<Finding> findings_after; // that the changes bring
    std::vector<std::string> notes;
};

struct PlanOptions {
    /// What a pool stores, before replication, by its name; the others count as empty.
    std::map<std::string, double> pool_bytes = {};
    /// Or what one PG stores. When neither is given, each PG counts as 1.
    double pg_bytes = 0;
    /// Code::too_large when a pool's rule may draw more devices than this for one PG: such a map
    /// would be planned without end.
    uint64_t most_tries = 1'000'000;
    /// Told of each step that is done, of all ways together.
    std::function<void(size_t done, size_t of)> progress = {};
};

Result<Plan> make_plan(const OsdMap& map, std::span<const Change> changes,
                       const PlanOptions& options);

/// Tables for a terminal.
std::string plan_text(const Plan& plan);
/// One document, indented.
std::string plan_json(const Plan& plan);
/// A picture of the hierarchy: every bucket a box, every device a row with its load before and
/// after. Colours follow the reader's light or dark theme.
std::string plan_svg(const Plan& plan);

/// "10T", "512 GiB", "3.5TB", "4096": K, M, G, T, P are powers of 1024 as in Ceph, KB... of 1000.
Result<double> parse_bytes(std::string_view text);

} // namespace cloudlet::rados
