#include "sim/oracles.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cloudlet/rados/placement.h"
#include "pg/object_id.h"
#include "sim/test_director.h"

namespace cloudlet::rados::sim {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;

/// The first pool has several PGs.
ClusterPlan some_plan() {
    for (uint64_t seed = 1;; ++seed) {
        ClusterPlan plan = plan_cluster(Random(seed));
        if (plan.base->pool(1)->pg_num > 1) return plan;
    }
}

/// A cluster that has come up, with nothing in it.
class Empty {
public:
    Empty() : plan_(some_plan()), cluster(7, plan_, nobody_, story_) {
        while (first_unclean(cluster) && cluster.engine().now().time_since_epoch() < seconds(300))
            cluster.engine().step();
        EXPECT_FALSE(first_unclean(cluster));
    }
    /// All acting copies of a PG come to hold it, which reads of other names do not show.
    void put(const std::string& name, PgId pg, const std::string& data) {
        const Pool& pool = *cluster.newest()->map().pool(1);
        const ObjectId id = to_object_id({.hash = object_hash(pool, {.name = name}), .name = name});
        for (int32_t osd : cluster.newest()->acting(pg).osds)
            EXPECT_TRUE(cluster.disk(static_cast<size_t>(osd))
                            .contents()
                            .submit(Transaction{}.write(pg, id, 0, data), 0));
    }
    PgId home_of(const std::string& name) { return cluster.newest()->pg_of(1, {.name = name}); }
    std::string wrong(const History& history) {
        EXPECT_FALSE(must_have_equal_copies(cluster));
        auto violation = must_be_explained(cluster, history);
        return violation ? violation->sentence : "";
    }

private:
    Nobody nobody_;
    Story story_;
    ClusterPlan plan_;

public:
    Cluster cluster;
};

History wrote(const std::string& object, const std::string& data) {
    History history;
    const size_t call = history.called(0, 1, object, {op::WriteFull{share(data)}}, {});
    history.returned(call, {.user_version = 1}, {});
    return history;
}

TEST(Oracles, explain_what_lies_on_disks_by_what_was_asked) {
    Empty world;
    EXPECT_EQ(world.wrong({}), "");
    world.put("o", world.home_of("o"), "ab");
    EXPECT_EQ(world.wrong(wrote("1/o", "ab")), "");
    EXPECT_THAT(world.wrong(wrote("1/o", "xy")), HasSubstr("holds at the end"));
    EXPECT_THAT(world.wrong({}), HasSubstr("\"1/o\"")) << "nobody has written it";
}

TEST(Oracles, miss_what_was_written_and_is_on_no_disk) {
    Empty world;
    EXPECT_THAT(world.wrong(wrote("1/o", "ab")), HasSubstr("\"1/o\" holds at the end:\n  missing"));
}

TEST(Oracles, find_an_object_where_its_name_does_not_belong) {
    Empty world;
    const PgId home = world.home_of("o");
    for (PgId pg : world.cluster.pgs()) {
        if (pg == home || pg.pool != 1) continue;
        world.put("o", pg, "ab");
        EXPECT_THAT(world.wrong(wrote("1/o", "ab")), HasSubstr("does not belong there"));
        return;
    }
    FAIL() << "the pool has one PG only";
}

} // namespace
} // namespace cloudlet::rados::sim
