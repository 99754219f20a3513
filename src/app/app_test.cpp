#include <algorithm>
#include <unistd.h>

#include "cloudlet/io/file.h"
#include "pki.h"
#include "settings.h"
#include "text_table.h"

namespace cloudlet::app {
namespace {

/// A folder that goes away with the test.
struct Folder {
    std::string path = io::make_temporary_directory("/tmp/cloudlet-app-").value();
    ~Folder() { EXPECT_TRUE(io::remove_tree(path)); }
};

TEST(Settings, FlagsWinOverTheFileAndTheFileOverWhatWasRemembered) {
    Folder root;
    auto first =
        resolve_settings(root.path, {{"port", "7001"}, {"nodeName", "edge-1"}}, std::nullopt);
    ASSERT_TRUE(first) << first.error().to_string();
    ASSERT_TRUE(remember_settings(*first));
    ASSERT_TRUE(io::write_file_atomic(root.path + "/config.yaml", "port: 7002\nlogLevel: debug\n"));
    auto second = resolve_settings(root.path, {}, std::nullopt);
    ASSERT_TRUE(second);
    EXPECT_EQ(second->node_name, "edge-1");
    EXPECT_EQ(second->port, 7002);
    EXPECT_EQ(second->log_level, "debug");
    EXPECT_EQ(resolve_settings(root.path, {{"port", "7003"}}, std::nullopt)->port, 7003);
}

TEST(Settings, RefuseWhatCannotBeWithTheNamesThatExist) {
    Folder root;
    auto refusal = [&](const GivenSettings& given) {
        auto settings = resolve_settings(root.path, given, std::nullopt);
        return settings ? "" : settings.error().to_string();
    };
    EXPECT_THAT(refusal({{"prot", "1"}}), testing::HasSubstr("nodeName, nodeIP, listen, port"));
    for (const GivenSettings& bad : std::vector<GivenSettings>{{{"port", "0"}},
                                                               {{"port", "65536"}},
                                                               {{"port", "80x"}},
                                                               {{"podCIDR", "10.0.0.1/16"}},
                                                               {{"podCIDR", "10.0.0.0/25"}},
                                                               {{"listen", "example"}},
                                                               {{"nodeName", "A_b"}},
                                                               {{"clusterDomain", "-x"}},
                                                               {{"logLevel", "loud"}}})
        EXPECT_NE(refusal(bad), "") << bad.begin()->first << " " << bad.begin()->second;
}

TEST(Settings, ANetworkOfAnExistingCloudStays) {
    Folder root;
    ASSERT_TRUE(remember_settings(*resolve_settings(root.path, {}, std::nullopt)));
    auto moved = resolve_settings(root.path, {{"serviceCIDR", "10.97.0.0/16"}}, std::nullopt);
    ASSERT_FALSE(moved);
    EXPECT_EQ(moved.error().code, Code::conflict);
}

TEST(Settings, TheDaemonGetsTheFlagsAndNotWhatTheFileSaysInstead) {
    Folder root;
    ASSERT_TRUE(io::write_file_atomic(root.path + "/config.yaml", "port: 7002\n"));
    auto typed = resolve_settings(root.path, {{"port", "7003"}}, std::nullopt);
    ASSERT_TRUE(typed);
    const auto words = flags_of(*typed);
    auto port = std::find(words.begin(), words.end(), "--port");
    ASSERT_NE(port, words.end());
    EXPECT_EQ(*(port + 1), "7003");
    EXPECT_EQ(words.size(), 18u) << "the root and eight settings, each with its flag";
}

TEST(Settings, AConfigurationFileThatIsWrongByNowDoesNotKeepACloudFromEnding) {
    Folder root;
    ASSERT_TRUE(remember_settings(*resolve_settings(root.path, {}, std::nullopt)));
    ASSERT_TRUE(io::write_file_atomic(root.path + "/config.yaml", "podCIDR: 10.99.0.0/16\n"));
    EXPECT_FALSE(resolve_settings(root.path, {}, std::nullopt));
    auto settings = settings_of_cloud(root.path);
    ASSERT_TRUE(settings) << settings.error().to_string();
    EXPECT_EQ(settings->pod_cidr, "10.244.0.0/16");
}

TEST(Settings, OneFolderIsOneInstanceHoweverItIsSpelled) {
    Folder root;
    auto plain = settings_for_root(root.path);
    EXPECT_EQ(settings_for_root(root.path + "/")->instance, plain->instance);
    EXPECT_EQ(settings_for_root("/tmp/../" + root.path)->instance, plain->instance);
    EXPECT_NE(settings_for_root(root.path + "/other")->instance, plain->instance);
    std::string link = root.path + "/link";
    ASSERT_EQ(symlink(root.path.c_str(), link.c_str()), 0);
    EXPECT_EQ(settings_for_root(link)->instance, plain->instance);
    EXPECT_EQ(settings_for_root("/none-such")->root, "/none-such");
    const std::string deep = root.path + "/link/a/../b/c"; // neither a nor b exists yet
    auto before = settings_for_root(deep);
    ASSERT_TRUE(before);
    EXPECT_EQ(before->root, root.path + "/b/c");
    ASSERT_TRUE(io::make_directories(before->root));
    EXPECT_EQ(settings_for_root(before->root)->instance, before->instance);
    EXPECT_FALSE(settings_for_root("/"));
    EXPECT_FALSE(settings_for_root(""));
}

TEST(Pki, IsMadeOnceAndRenewedWhenANameOrTimeIsMissing) {
    Folder folder;
    ServerNames names{{"localhost"}, {"127.0.0.1"}};
    auto first = open_pki(folder.path, names);
    ASSERT_TRUE(first) << first.error().to_string();
    auto again = open_pki(folder.path, names);
    ASSERT_TRUE(again);
    EXPECT_EQ(again->server.cert_pem, first->server.cert_pem);
    EXPECT_EQ(again->service_account_key, first->service_account_key);

    names.ip_addresses.push_back("198.18.0.1");
    auto moved = open_pki(folder.path, names);
    ASSERT_TRUE(moved);
    EXPECT_EQ(moved->ca_pem, first->ca_pem);
    EXPECT_NE(moved->server.cert_pem, first->server.cert_pem);
    EXPECT_EQ(moved->admin.cert_pem, first->admin.cert_pem);

    ManualClock later(system_clock().wall() + std::chrono::hours(24 * 340));
    auto renewed = open_pki(folder.path, names, later);
    ASSERT_TRUE(renewed);
    EXPECT_NE(renewed->admin.cert_pem, first->admin.cert_pem);
}

TEST(Pki, AKeyThatAKilledStartHalfWroteIsGoneAfterTheNext) {
    Folder folder;
    std::string half = folder.path + "/.ca.key.tmp-0123456789ab";
    ASSERT_TRUE(io::append_file(half, "-----BEGIN PRIV", 0600));
    ASSERT_TRUE(open_pki(folder.path, {}));
    EXPECT_FALSE(io::exists(half));
}

TEST(Pki, ADamagedAuthorityIsAnErrorAndNotReplaced) {
    Folder folder;
    ASSERT_TRUE(open_pki(folder.path, {}));
    ASSERT_TRUE(io::write_file_atomic(folder.path + "/ca.crt", "damaged"));
    auto refused = open_pki(folder.path, {});
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().to_string(), testing::HasSubstr("restore"));
    EXPECT_EQ(*io::read_file(folder.path + "/ca.crt"), "damaged");
}

TEST(Pki, AnAuthorityWithoutItsKeyIsAnErrorToo) {
    Folder folder;
    ASSERT_TRUE(open_pki(folder.path, {}));
    ASSERT_TRUE(io::remove_file(folder.path + "/ca.key"));
    EXPECT_FALSE(open_pki(folder.path, {}));
}

TEST(TextTable, AlignsColumnsWithoutTrailingBlanks) {
    EXPECT_EQ(format_table({{"NAME", "SIZE"}, {"a-long-name", "1"}, {"b", ""}}),
              "NAME          SIZE\na-long-name   1\nb\n");
}

TEST(TextTable, SizesHaveThreeDigits) {
    EXPECT_EQ(format_size(0), "0 B");
    EXPECT_EQ(format_size(999), "999 B");
    EXPECT_EQ(format_size(1234), "1.23 kB");
    EXPECT_EQ(format_size(12'345'678), "12.3 MB");
    EXPECT_EQ(format_size(999'600), "1.00 MB");
    EXPECT_EQ(format_size(123'456'789'000), "123 GB");
}

} // namespace
} // namespace cloudlet::app
