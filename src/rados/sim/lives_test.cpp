#include "sim/lives.h"

#include <gtest/gtest.h>

#include "test_docs.h"

namespace cloudlet::rados::sim {
namespace {

TEST(Lives, are_told_in_the_documentation_as_they_are) {
    for (std::string_view life : lives()) {
        const std::string told = tell_life(life).value();
        expect_in_docs("storage.md", "life " + std::string(life), "```\n" + told + "```\n");
    }
}

TEST(Lives, are_the_same_whenever_they_are_told) {
    for (std::string_view life : lives()) EXPECT_EQ(tell_life(life), tell_life(life));
    EXPECT_EQ(tell_life("of_riley"), std::nullopt);
}

} // namespace
} // namespace cloudlet::rados::sim
