// Other orders of doing what was asked for. What an operator wants is in the changes that do not
// only prepare another: `out osd.3` before `remove osd.3` is a habit, not a wish.

#include <algorithm>

#include <fmt/format.h>

#include "plan_steps.h"

namespace cloudlet::rados {
namespace {

constexpr std::string_view hold = "norebalance,nobackfill";

using Changes = std::vector<Change>;

Change simple(ChangeKind kind, std::string subject, double number = -1) {
    return {kind, std::move(subject), {}, number, {}, {}};
}

bool takes_away(const Change& change) {
    return change.kind == ChangeKind::remove || change.kind == ChangeKind::replace;
}

/// The changes without flags and without what only prepares a removal.
Changes essence_of(std::span<const Change> changes) {
    Changes essence;
    for (size_t i = 0; i < changes.size(); ++i) {
        const Change& change = changes[i];
        if (change.kind == ChangeKind::set || change.kind == ChangeKind::unset) continue;
        bool prepares = change.kind == ChangeKind::out || change.kind == ChangeKind::reweight ||
                        change.kind == ChangeKind::crush_reweight;
        auto later = changes.subspan(i + 1);
        if (prepares && std::any_of(later.begin(), later.end(), [&](const Change& other) {
                return takes_away(other) && other.subject == change.subject;
            }))
            continue;
        essence.push_back(change);
    }
    return essence;
}

/// The change that puts a device back where it stands in the map, as a new one.
Change add_again(const OsdMap& map, const Change& replace) {
    const CrushMap& crush = *map.crush;
    Change add = simple(ChangeKind::add, replace.subject, replace.number);
    int32_t osd = *parse_osd_name(replace.subject);
    add.location = crush.location_of(osd);
    add.device_class = crush.class_name_of_item(osd);
    if (auto parent = crush.parent_of(osd); parent && add.number < 0) {
        const CrushBucket* bucket = crush.bucket(*parent);
        add.number = crush_weight_to_float(bucket->item_weight(*bucket->find(osd)));
    }
    return add;
}

/// `prepare` before each removal; a replacement becomes a removal and an addition.
Changes removals_prepared(const OsdMap& map, const Changes& essence, ChangeKind prepare) {
    Changes changes;
    for (const Change& change : essence) {
        if (!takes_away(change)) {
            changes.push_back(change);
            continue;
        }
        changes.push_back(
            simple(prepare, change.subject, prepare == ChangeKind::crush_reweight ? 0 : -1));
        changes.push_back(simple(ChangeKind::remove, change.subject));
        if (change.kind == ChangeKind::replace) changes.push_back(add_again(map, change));
    }
    return changes;
}

Changes held(Changes changes) {
    changes.insert(changes.begin(), simple(ChangeKind::set, std::string(hold)));
    changes.push_back(simple(ChangeKind::unset, std::string(hold)));
    return changes;
}

/// Everything but the removals under the flags, the removals when their devices are empty.
Changes side_by_side(const Changes& essence) {
    Changes together, last;
    for (const Change& change : essence) {
        bool removal = change.kind == ChangeKind::remove;
        together.push_back(removal ? simple(ChangeKind::crush_reweight, change.subject, 0)
                                   : change);
        if (removal) last.push_back(change);
    }
    together = held(std::move(together));
    together.insert(together.end(), last.begin(), last.end());
    return together;
}

/// Removals and additions paired by host become replacements under the old ids; empty when they do
/// not pair up.
Changes keeping_ids(const OsdMap& map, const Changes& essence) {
    Changes changes;
    std::vector<bool> used(essence.size());
    for (const Change& change : essence) {
        if (change.kind == ChangeKind::add) continue;
        if (change.kind != ChangeKind::remove) {
            changes.push_back(change);
            continue;
        }
        auto location = map.crush->location_of(*parse_osd_name(change.subject));
        size_t pair = 0;
        for (; pair < essence.size() && !location.empty(); ++pair) {
            const auto& there = essence[pair].location;
            if (essence[pair].kind == ChangeKind::add && !used[pair] &&
                std::find(there.begin(), there.end(), location.front()) != there.end())
                break;
        }
        if (location.empty() || pair == essence.size()) return {};
        used[pair] = true;
        Change again = simple(ChangeKind::replace, change.subject, essence[pair].number);
        if (add_again(map, simple(ChangeKind::replace, change.subject)).number == again.number)
            again.number = -1;
        changes.push_back(std::move(again));
    }
    for (size_t i = 0; i < essence.size(); ++i)
        if (essence[i].kind == ChangeKind::add && !used[i]) return {};
    changes.insert(changes.begin(), simple(ChangeKind::set, "noout"));
    changes.push_back(simple(ChangeKind::unset, "noout"));
    return changes;
}

class WayList {
public:
    explicit WayList(std::span<const Change> asked) {
        add("as asked", "", Changes(asked.begin(), asked.end()));
    }

    void add(std::string name, std::string remark, const Changes& changes) {
        if (changes.empty()) return;
        Way way{std::move(name), std::move(remark), {}, {}};
        for (const Change& change : changes) way.steps.push_back({change, {}, false});
        for (Way& known : ways_)
            if (std::ranges::equal(known.steps, way.steps, {}, &PlanStep::change,
                                   &PlanStep::change)) {
                if (known.remark.empty()) known.remark = way.remark;
                if (known.name == "as asked") known.name += ": " + way.name;
                return;
            }
        ways_.push_back(std::move(way));
    }

    std::vector<Way> take() { return std::move(ways_); }

private:
    std::vector<Way> ways_;
};

} // namespace

std::vector<Way> ways_of(const OsdMap& map, std::span<const Change> changes) {
    using enum ChangeKind;
    WayList ways(changes);
    Changes essence = essence_of(changes);
    auto count = [&](ChangeKind kind) {
        return std::count_if(essence.begin(), essence.end(),
                             [&](const Change& change) { return change.kind == kind; });
    };
    auto removals = count(remove), replacements = count(replace);
    bool adds = count(add) + replacements > 0;
    bool others = essence.size() > static_cast<size_t>(removals + replacements);
    if (removals + replacements == 0) {
        if (essence.size() > 1) {
            ways.add("one by one", "the cluster settles after each step", essence);
            ways.add("all under norebalance", "everything is copied once, at the end",
                     held(essence));
        }
        return ways.take();
    }
    std::string tail = adds ? "remove, add" : others ? "remove, the rest" : "remove";
    ways.add("out, " + tail, "the OSD keeps its share of the host's weight until it is removed",
             removals_prepared(map, essence, out));
    ways.add("CRUSH weight 0, " + tail, "no PG is ever short of a copy",
             removals_prepared(map, essence, crush_reweight));
    ways.add(fmt::format("norebalance, CRUSH weight 0, {}, unset", tail),
             "PGs of the old disk lack a copy until the end",
             held(removals_prepared(map, essence, crush_reweight)));
    if (adds && replacements == 0)
        ways.add("norebalance, add, CRUSH weight 0, unset, remove",
                 "needs a slot for both disks; no PG is ever short of a copy",
                 side_by_side(essence));
    if (replacements > 0 || adds)
        ways.add("same id on the new disk",
                 "no mapping changes; PGs of the disk lack a copy until it is full",
                 keeping_ids(map, essence));
    return ways.take();
}

} // namespace cloudlet::rados
