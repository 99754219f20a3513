#include "cloudlet/linux/namespace.h"

#include <sched.h>
#include <unistd.h>

#include <fmt/format.h>

#include "cloudlet/io/file.h"
#include "cloudlet/linux/mount.h"

namespace cloudlet::linux {
namespace {

class NamespaceTest : public ::testing::Test {
protected:
    void SetUp() override {
        folder_ = io::make_temporary_directory("/tmp/namespace-test-").value();
    }
    void TearDown() override {
        for (const char* name : {"/net", "/uts", "/ipc"})
            EXPECT_TRUE(remove_pinned_namespace(folder_ + name));
        EXPECT_TRUE(io::remove_tree(folder_));
    }
    std::string folder_;
};

TEST_F(NamespaceTest, PinnedNamespacesLiveWithoutAProcessUntilTheyAreRemoved) {
    const uint64_t ours = namespace_id("/proc/self/ns/net").value();
    ASSERT_TRUE(make_pinned_namespaces({{NamespaceKind::network, folder_ + "/net"},
                                        {NamespaceKind::ipc, folder_ + "/ipc"},
                                        {NamespaceKind::uts, folder_ + "/uts"}},
                                       "pod"));
    EXPECT_TRUE(is_namespace(folder_ + "/net"));
    EXPECT_NE(namespace_id(folder_ + "/net").value(), ours);
    EXPECT_EQ(namespace_id("/proc/self/ns/net").value(), ours); // this thread stayed where it was
    ASSERT_TRUE(remove_pinned_namespace(folder_ + "/net"));
    EXPECT_FALSE(io::exists(folder_ + "/net"));
    EXPECT_TRUE(remove_pinned_namespace(folder_ + "/net"));
}

TEST_F(NamespaceTest, WorkInANamespaceSeesItAndItsErrorComesBack) {
    ASSERT_TRUE(make_pinned_namespaces({{NamespaceKind::uts, folder_ + "/uts"}}, "inside"));
    const auto uts = open_namespace(folder_ + "/uts", NamespaceKind::uts);
    ASSERT_TRUE(uts);
    std::string name;
    ASSERT_TRUE(run_in_namespaces({uts->get()}, [&]() -> Result<> {
        char text[65] = {};
        gethostname(text, sizeof text - 1);
        name = text;
        return {};
    }));
    EXPECT_EQ(name, "inside");
    const auto failed =
        run_in_namespaces({uts->get()}, []() -> Result<> { return fail(Code::conflict, "no"); });
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().code, Code::conflict);
}

TEST_F(NamespaceTest, OpenRefusesPlainFilesAndOtherKinds) {
    ASSERT_TRUE(io::write_file_atomic(folder_ + "/plain", ""));
    EXPECT_EQ(open_namespace(folder_ + "/plain", NamespaceKind::network).error().code,
              Code::invalid);
    EXPECT_EQ(open_namespace("/proc/self/ns/uts", NamespaceKind::network).error().code,
              Code::invalid);
    EXPECT_EQ(open_namespace(folder_ + "/absent", NamespaceKind::network).error().code,
              Code::not_found);
    EXPECT_FALSE(is_namespace(folder_ + "/plain"));
}

TEST_F(NamespaceTest, WhenOnePinFailsNoneIsLeft) {
    const auto made = make_pinned_namespaces({{NamespaceKind::network, folder_ + "/net"},
                                              {NamespaceKind::uts, folder_ + "/absent/uts"}});
    EXPECT_FALSE(made);
    EXPECT_FALSE(io::exists(folder_ + "/net"));
    EXPECT_EQ(make_pinned_namespace(NamespaceKind::pid, folder_ + "/net").error().code,
              Code::invalid);
}

TEST_F(NamespaceTest, APathIsPinnedOnce) {
    ASSERT_TRUE(make_pinned_namespace(NamespaceKind::network, folder_ + "/net"));
    EXPECT_EQ(make_pinned_namespace(NamespaceKind::network, folder_ + "/net").error().code,
              Code::already_exists);
    EXPECT_TRUE(is_namespace(folder_ + "/net"));
}

} // namespace
} // namespace cloudlet::linux
