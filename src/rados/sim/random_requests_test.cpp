#include "sim/random_requests.h"

#include <set>

#include <gtest/gtest.h>

namespace cloudlet::rados::sim {
namespace {

TEST(RandomRequests, AreOfEveryKindAndOfMostlySmallUniquePayloads) {
    Random random(1);
    RandomRequests requests("c1");
    std::set<size_t> kinds;
    std::set<std::string> payloads;
    size_t writes = 0, large = 0, compound = 0;
    for (int i = 0; i < 2000; ++i) {
        ObjectOps ops = requests.random_ops(random, 5);
        ASSERT_FALSE(ops.empty());
        compound += ops.size() > 1 && changes(ops) ? 1 : 0;
        for (const ObjectOp& op : ops) {
            kinds.insert(op.index());
            const auto* write = std::get_if<op::Write>(&op);
            if (!write) continue;
            ++writes;
            large += write->data->size() > 4096 ? 1 : 0;
            EXPECT_GE(write->data->size(), 8u);
            EXPECT_TRUE(payloads.insert(*write->data).second) << "written twice";
        }
    }
    EXPECT_GE(kinds.size(), std::variant_size_v<ObjectOp> - 1) << "all but CompareData";
    EXPECT_GT(large, 0u);
    EXPECT_LT(large, writes / 10);
    EXPECT_GT(compound, 200u);
}

} // namespace
} // namespace cloudlet::rados::sim
