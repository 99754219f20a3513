// What the pages say of tests.
#include <regex>
#include <set>

#include "test_docs.h"

namespace cloudlet::rados {
namespace {

TEST(Docs, name_only_tests_that_exist) {
    std::set<std::string> tests;
    const auto& all = *testing::UnitTest::GetInstance();
    for (int i = 0; i < all.total_test_suite_count(); ++i) {
        const auto& suite = *all.GetTestSuite(i);
        for (int j = 0; j < suite.total_test_count(); ++j)
            tests.insert(std::string(suite.name()) + "." + suite.GetTestInfo(j)->name());
    }
    const std::string page = read_docs("storage.md");
    const std::regex test("`([A-Z][A-Za-z]+\\.[A-Za-z_0-9]+)`");
    size_t named = 0;
    for (std::sregex_iterator at(page.begin(), page.end(), test), end; at != end; ++at, ++named)
        EXPECT_TRUE(tests.contains((*at)[1])) << (*at)[1] << " is no test";
    EXPECT_GT(named, 0u);
}

} // namespace
} // namespace cloudlet::rados
