#pragma once
// What a rule demands of a set of OSDs, so that an exception from CRUSH can keep to it.

#include <map>
#include <set>
#include <span>
#include <vector>

#include "cloudlet/rados/crush_map.h"

namespace cloudlet::rados {

class RuleShape {
public:
    /// `rule` may be -1 or missing: such a shape allows no OSD.
    RuleShape(const CrushMap& crush, int32_t rule, int32_t pool_size);

    /// Each device that the rule can choose, and its part of the weight below the rule's takes; NaN
    /// where nothing below a take has weight.
    const std::map<int32_t, double>& shares() const { return shares_; }

    /// Whether a set keeps to the rule as Ceph checks an exception: at most one device in each
    /// bucket of a chooseleaf's type, no more buckets of a choose's type than it chooses, and each
    /// below the bucket whose part of the set it is: the first so many devices belong to the first
    /// take, and so on (a hole is below none).
    bool allows(std::span<const int32_t> osds) const;

    /// Whether `to` may stand for `from` in a set: it is below the same takes, the failure domains
    /// of all steps are kept, and every bucket that a choose step chose on the way stays the same.
    bool may_replace(std::span<const int32_t> osds, int32_t from, int32_t to) const;

private:
    struct Choice {
        int32_t type;
        size_t count; // buckets that a set may be spread over
        bool leaf;    // with one device in each
    };
    /// What the steps from a take to its emit give.
    struct Part {
        int32_t root = 0;
        int64_t devices = 1; // product of what the steps choose; none when one chooses none
    };
    int32_t ancestor(int32_t device, size_t choice) const;
    void add_devices(const CrushMap& crush, int32_t take);
    bool spreads(std::span<const int32_t> osds, size_t choice) const;
    bool keeps_to_parts(std::span<const int32_t> osds) const;

    std::vector<Choice> choices_;
    std::vector<Part> parts_;                      // one for each emit
    std::map<int32_t, std::set<int32_t>> devices_; // by take
    std::map<int32_t, double> shares_;
    std::map<int32_t, std::vector<int32_t>> ancestors_; // by device, one for each choice
};

} // namespace cloudlet::rados
