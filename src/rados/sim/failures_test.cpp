// How long a cluster takes to notice what has failed, and what it must not take for a failure
// (storage.md, S5).

#include <gtest/gtest.h>

#include "sim/cluster.h"
#include "sim/test_director.h"

namespace cloudlet::rados::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// Four OSDs on a host each, and all are up.
class Four {
public:
    explicit Four(bool cluster_network = false)
        : plan_(plan(cluster_network)), cluster(1, plan_, nobody_, story_) {
        run_until([&] { return all_up(); });
        run(seconds(1));
    }
    bool all_up() {
        return std::ranges::all_of(osds_, [&](size_t osd) { return is_up(osd); });
    }
    bool is_up(size_t osd) { return cluster.newest()->map().is_up(static_cast<int32_t>(osd)); }
    NodeId node(size_t osd) { return cluster.osd_node(osd); }
    Network& network() { return cluster.engine().network(); }
    MonotonicTime now() { return cluster.engine().now(); }
    void run(Duration span) {
        const MonotonicTime end = now() + span;
        run_until([&] { return cluster.engine().queue().next_time() > end; });
    }
    /// For how long that took.
    template <typename Done>
    Duration run_until(Done done) {
        const MonotonicTime begun = now();
        while (!done() && now() < begun + seconds(120)) cluster.engine().step();
        EXPECT_TRUE(done());
        return now() - begun;
    }
    void cut_off(size_t osd, Wire wire) {
        for (size_t other : osds_)
            if (other != osd) {
                network().cut(node(osd), node(other), wire);
                network().cut(node(other), node(osd), wire);
            }
    }

private:
    static ClusterPlan plan(bool cluster_network) {
        ClusterPlan plan = plain_cluster(4, 0);
        plan.cluster_network = cluster_network;
        return plan;
    }
    Nobody nobody_;
    Story story_;
    ClusterPlan plan_;
    static constexpr std::array<size_t, 4> osds_ = {0, 1, 2, 3};

public:
    Cluster cluster;
};

TEST(Failure, of_a_process_is_known_at_once_if_its_host_answers) {
    Four four;
    four.cluster.stop(four.node(2), Cluster::End::alone);
    EXPECT_LT(four.run_until([&] { return !four.is_up(2); }), Duration(milliseconds(100)));
    EXPECT_TRUE(four.cluster.injustice().empty());
}

TEST(Failure, of_a_host_is_known_after_the_grace_and_before_25_seconds) {
    Four four;
    four.cluster.stop(four.node(2), Cluster::End::with_host);
    const Duration took = four.run_until([&] { return !four.is_up(2); });
    EXPECT_GT(took, Duration(seconds(13))) << "20 s from the last answer, which is 6.5 s old";
    EXPECT_LT(took, Duration(seconds(25)));
}

TEST(Failure, of_one_network_is_a_failure_though_the_other_one_carries_answers) {
    for (Wire wire : {Wire::public_network, Wire::cluster_network}) {
        Four four(true);
        four.cut_off(2, wire);
        EXPECT_LT(four.run_until([&] { return !four.is_up(2); }), Duration(seconds(25)));
        for (size_t other : {0u, 1u, 3u}) EXPECT_TRUE(four.is_up(other)) << "one host's word";
        EXPECT_TRUE(four.cluster.injustice().empty());
    }
}

TEST(Failure, is_not_what_comes_ten_seconds_late) {
    Four four;
    four.network().set_weather({.lost = 0, .late = 1, .late_by = seconds(10)});
    four.run(seconds(110));
    EXPECT_TRUE(four.all_up());
    EXPECT_EQ(four.cluster.injustice(), "");
}

} // namespace
} // namespace cloudlet::rados::sim
