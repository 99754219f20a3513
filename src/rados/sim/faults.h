#pragma once
// What goes wrong in a simulated cluster: processes, power, links, clocks and disks. A fault comes
// from the dice, lasts a while, and is undone; heal() undoes all.
//
// Some faults destroy data: a bit that rots, a disk that is replaced. Nobody promises anything when
// the last copy is destroyed, so there is a budget: one such loss at a time, and only while every
// copy of what it hits is known to be whole, by looking at all disks. One thread.

#include <array>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "cloudlet/base/random.h"
#include "sim/cluster.h"

namespace cloudlet::rados::sim {

class Faults {
public:
    Faults(Cluster& cluster, Random random) : cluster_(cluster), random_(random) {}

    /// One more, whatever the dice say; what the budget forbids does not come.
    void strike();
    /// Event::recover came for this fault.
    void recover(uint32_t number);
    /// All that can end ends, and everything that may live is started.
    void heal();
    /// The disk of an OSD that is being backfilled becomes full.
    void fill_who_is_filled() { count_ += fill_disk(); }
    /// The disk of one of these OSDs becomes so full that not even recovery may write to it.
    void fill_one_of(const std::vector<int32_t>& osds);
    /// Something rotted and is not repaired yet: nothing else may go wrong meanwhile.
    bool must_wait();
    /// One object of one copy rots, if the cluster is whole; gives what it is.
    std::optional<std::string> rot_something();
    /// A replaced disk whose OSD waits until the monitors know that its old one is lost.
    bool is_replacing() const { return replacing_.has_value(); }

    size_t count() const { return count_; }

private:
    enum class Kind : uint8_t {
        crash,
        crash_within,
        power_loss,
        cut_one_way,
        cut_both_ways,
        split,
        deaf_to_store,
        storm,
        slow_disk,
        failed_sync,
        full_disk,
        rot,
        new_disk,
        wall_jump,
        island,
        blackout,
        quarrel,
        cut_network,
        damaged_record,
        count,
    };
    using Links = std::vector<std::pair<NodeId, NodeId>>;
    struct Lasting { // until it ends
        Kind kind = Kind::count;
        NodeId node = 0;
        Links links = {};
        std::optional<Wire> wire = {}; // of the links; nothing: all
        std::vector<size_t> slow = {}; // OSDs whose disks are
        bool over = false;
    };

    bool strike(Kind kind);
    bool crash_within();
    bool lose_power();
    bool cut(Kind kind);
    bool split();
    bool make_deaf_to_store();
    bool storm();
    bool slow_disk();
    bool fail_sync();
    bool fill_disk();
    void fill(size_t osd, uint64_t room);
    bool rot();
    bool replace_disk();
    void go_on_replacing();
    bool jump_wall();
    bool make_island();
    void talk_across(NodeId client, const std::vector<bool>& alone, Duration from, Duration until);
    bool black_out();
    void cut_power(const Lasting& fault);
    bool quarrel();
    bool cut_network();
    void set_links(const Lasting& fault, bool open);
    bool damage_record();
    bool is_filled_again() const;
    bool is_calm() const;

    void last(Lasting fault);
    void last(Lasting fault, Duration least, Duration most);
    void last_for(Lasting fault, Duration span);
    void end(Lasting& fault);
    NodeId any_node();
    std::optional<size_t> any_living_osd();
    /// Nothing that was destroyed is still not made good.
    bool may_destroy();
    Duration some_time();
    void announce(std::string_view what, NodeId node);

    Cluster& cluster_;
    Random random_;
    std::vector<Lasting> lasting_;
    std::optional<size_t> replacing_; // an OSD
    std::optional<PgId> rotten_;      // not repaired yet
    std::optional<size_t> forgetful_; // an OSD that cannot read its record of what is rotten_
    size_t storms_ = 0, count_ = 0;
};

} // namespace cloudlet::rados::sim
