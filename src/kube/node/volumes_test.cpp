#include "volumes.h"

#include <gtest/gtest.h>

#include <sys/stat.h>
#include <unistd.h>

#include "cloudlet/base/bytes.h"
#include "cloudlet/io/file.h"
#include "cloudlet/linux/mount.h"

namespace cloudlet::kube::node {
namespace {

api::Object object(const std::string& json) {
    auto parsed = codec::parse_json(json);
    EXPECT_TRUE(parsed) << (parsed ? "" : parsed.error().to_string());
    return api::Object(parsed ? std::move(*parsed) : codec::Json());
}

std::string text(const std::string& path) { return io::read_file(path).value_or("(none)"); }

unsigned mode(const std::string& path) {
    struct stat info {};
    return ::stat(path.c_str(), &info) == 0 ? info.st_mode & 07777 : 0;
}

/// A root folder with volumes; sources come from the test.
class VolumesTest : public testing::Test {
protected:
    VolumesTest()
        : root(io::make_temporary_directory("/tmp/cloudlet-volumes-").value()),
          volumes(root,
                  {.config_map = [this](auto&, auto& name) { return find("configmap", name); },
                   .secret = [this](auto&, auto& name) { return find("secret", name); },
                   .token = [this](auto&, auto& audience, int64_t) -> Result<std::string> {
                       ++tokens;
                       return "token for " + audience;
                   }}) {
        EXPECT_TRUE(volumes.open());
    }
    ~VolumesTest() override {
        EXPECT_TRUE(volumes.remove_all());
        const auto table = linux::read_mount_table().value();
        for (const auto& mount : table)
            EXPECT_FALSE(mount.mount_point.starts_with(root)) << mount.mount_point;
        EXPECT_TRUE(io::remove_tree(root));
    }

    Result<api::Object> find(const std::string& kind, const std::string& name) {
        auto found = objects.find(kind + "/" + name);
        if (found == objects.end())
            return fail(Code::not_found, kind + " \"" + name + "\" not found");
        return found->second;
    }

    api::Object pod(const std::string& list, const std::string& mounts = "[]",
                    const std::string& more = "") {
        return object(
            R"({"metadata":{"name":"p","namespace":"ns","uid":"u1","labels":{"a":"1","b":"2"}},
            "spec":{"volumes":)" +
            list + R"(,"containers":[{"name":"c","volumeMounts":)" + mounts + "}]" + more + "}}");
    }

    std::string at(const std::string& path) const { return root + "/memory/u1/" + path; }

    std::map<std::string, api::Object> objects;
    int tokens = 0;
    std::string root;
    Volumes volumes;
    PodFacts facts{.pod_ip = "10.0.0.1", .host_ip = "192.0.2.1", .node_name = "n"};
};

TEST_F(VolumesTest, AConfigMapIsAFolderThatChangesAllAtOnce) {
    objects["configmap/conf"] =
        object(R"({"data":{"a":"one","b":"two"},"binaryData":{"bin":"AAE="}})");
    const auto p = pod(R"([{"name":"v","configMap":{"name":"conf","defaultMode":256}}])");
    ASSERT_TRUE(volumes.prepare(p, facts));
    EXPECT_EQ(text(at("v/a")), "one");
    EXPECT_EQ(text(at("v/bin")), std::string("\0\1", 2));
    EXPECT_EQ(mode(at("v/a")), 0400u);
    EXPECT_FALSE(*volumes.refresh(p, facts)) << "nothing changed, nothing is written";

    objects["configmap/conf"] = object(R"({"data":{"a":"new","c":"three"}})");
    EXPECT_TRUE(*volumes.refresh(p, facts));
    EXPECT_EQ(text(at("v/a")), "new");
    EXPECT_EQ(text(at("v/c")), "three");
    EXPECT_FALSE(io::exists(at("v/b")));
    EXPECT_EQ(io::list_directory(at("v"))->size(), 4u) << "one payload, ..data, a and c";
}

TEST_F(VolumesTest, ItemsChooseKeysPathsAndModes) {
    objects["secret/sec"] = object(R"({"data":{"user":")" + to_base64("me") + R"(","pass":")" +
                                   to_base64("hush") + R"("}})");
    ASSERT_TRUE(
        volumes.prepare(pod(R"([{"name":"v","secret":{"secretName":"sec","items":[{"key":"pass",
            "path":"deep/er/p","mode":384}]}}])"),
                        facts));
    EXPECT_EQ(text(at("v/deep/er/p")), "hush");
    EXPECT_EQ(mode(at("v/deep/er/p")), 0600u);
    EXPECT_FALSE(io::exists(at("v/user")));
}

TEST_F(VolumesTest, WhatIsMissingIsNamedUnlessOptional) {
    auto error = volumes.prepare(pod(R"([{"name":"v","configMap":{"name":"gone"}}])"), facts)
                     .error()
                     .to_string();
    EXPECT_EQ(error, "MountVolume.SetUp failed for volume \"v\": configmap \"gone\" not found");
    EXPECT_TRUE(volumes.prepare(
        pod(R"([{"name":"v","configMap":{"name":"gone","optional":true}}])"), facts));
    objects["configmap/conf"] = object(R"({"data":{"a":"one"}})");
    EXPECT_FALSE(volumes.prepare(
        pod(R"([{"name":"w","configMap":{"name":"conf","items":[{"key":"zz","path":"z"}]}}])"),
        facts));
}

TEST_F(VolumesTest, HostilePathsAreRefused) {
    objects["configmap/conf"] = object(R"({"data":{"a":"one"}})");
    for (const char* path : {"../up", "/abs", "a/../../b", "a//b", "..data"}) {
        const auto p =
            pod(R"([{"name":"v","configMap":{"name":"conf","items":[{"key":"a","path":")" +
                std::string(path) + R"("}]}}])");
        EXPECT_FALSE(volumes.prepare(p, facts)) << path;
    }
    EXPECT_FALSE(io::exists(root + "/memory/u1/up"));
}

TEST_F(VolumesTest, ProjectedVolumesGatherSources) {
    objects["configmap/kube-root-ca.crt"] = object(R"({"data":{"ca.crt":"PEM"}})");
    const auto p = pod(R"([{"name":"v","projected":{"sources":[
        {"serviceAccountToken":{"path":"token","expirationSeconds":3607}},
        {"configMap":{"name":"kube-root-ca.crt","items":[{"key":"ca.crt","path":"ca.crt"}]}},
        {"downwardAPI":{"items":[{"path":"namespace","fieldRef":{"fieldPath":"metadata.namespace"}},
                                 {"path":"labels",
            "fieldRef":{"fieldPath":"metadata.labels"}}]}}]}}])");
    ASSERT_TRUE(volumes.prepare(p, facts));
    EXPECT_EQ(text(at("v/token")), "token for ");
    EXPECT_EQ(text(at("v/ca.crt")), "PEM");
    EXPECT_EQ(text(at("v/namespace")), "ns");
    EXPECT_EQ(text(at("v/labels")), "a=\"1\"\nb=\"2\"");
}

TEST_F(VolumesTest, ATokenIsKeptUntilMostOfItsLifeIsOver) {
    const int64_t now =
        std::chrono::duration_cast<std::chrono::seconds>(system_clock().wall().time_since_epoch())
            .count();
    auto token = [&](int64_t issued, int64_t expires) {
        return "h." +
               to_base64url("{\"iat\":" + std::to_string(issued) +
                            ",\"exp\":" + std::to_string(expires) + "}") +
               ".s";
    };
    const auto p =
        pod(R"([{"name":"v","projected":{"sources":[{"serviceAccountToken":{"path":"t"}}]}}])");
    const Payload fresh{{"t", {token(now - 100, now + 3500), 0644}}};
    ASSERT_TRUE(write_payload(at("v"), fresh, std::nullopt, system_clock().wall()));
    ASSERT_TRUE(volumes.refresh(p, facts));
    EXPECT_EQ(tokens, 0);
    const Payload old{{"t", {token(now - 3000, now + 600), 0644}}};
    ASSERT_TRUE(write_payload(at("v"), old, std::nullopt, system_clock().wall()));
    ASSERT_TRUE(volumes.refresh(p, facts));
    EXPECT_EQ(tokens, 1);
}

TEST_F(VolumesTest, EmptyDirsOnDiskAndInMemory) {
    ASSERT_TRUE(volumes.prepare(
        pod(R"([{"name":"d","emptyDir":{}},{"name":"m","emptyDir":{"medium":"Memory",
            "sizeLimit":"1Mi"}}])"),
        facts));
    EXPECT_EQ(mode(root + "/pods/u1/volumes/d"), 0777u);
    EXPECT_TRUE(linux::is_mount_point(at("m.tmpfs")).value());
    EXPECT_FALSE(io::write_file_atomic(at("m.tmpfs/big"), std::string(2 << 20, 'x')))
        << "the limit holds";
    ASSERT_TRUE(volumes.remove("u1"));
    EXPECT_FALSE(io::exists(root + "/pods/u1"));
}

TEST_F(VolumesTest, FsGroupOwnsWhatPodsMayWrite) {
    ASSERT_TRUE(volumes.prepare(
        pod(R"([{"name":"d","emptyDir":{}}])", "[]", R"(,"securityContext":{"fsGroup":4242})"),
        facts));
    struct stat info {};
    ASSERT_EQ(::stat((root + "/pods/u1/volumes/d").c_str(), &info), 0);
    EXPECT_EQ(info.st_gid, 4242u);
    EXPECT_EQ(info.st_mode & 07777, 02777u);
}

TEST_F(VolumesTest, HostPathTypesAreChecked) {
    auto prepare = [&](const std::string& path, const std::string& type) {
        return volumes.prepare(
            pod(R"([{"name":"h","hostPath":{"path":")" + path + R"(","type":")" + type + R"("}}])"),
            facts);
    };
    EXPECT_FALSE(prepare(root + "/none", "Directory"));
    EXPECT_TRUE(prepare(root + "/none", "DirectoryOrCreate"));
    EXPECT_TRUE(prepare(root + "/none", "Directory"));
    EXPECT_FALSE(prepare(root + "/none", "File"));
    EXPECT_TRUE(prepare(root + "/file", "FileOrCreate"));
    EXPECT_FALSE(prepare(root + "/file", "Socket"));
    EXPECT_TRUE(prepare("/dev/null", "CharDevice"));
}

TEST_F(VolumesTest, SubPathsNeverLeaveTheirVolume) {
    const auto p =
        pod(R"([{"name":"d","emptyDir":{}}])", R"~([{"name":"d","mountPath":"/x","subPath":"a/b"},
        {"name":"d","mountPath":"/y","subPath":"evil"},{"name":"d","mountPath":"/z",
            "subPathExpr":"$(WHO)"}])~");
    ASSERT_TRUE(volumes.prepare(p, facts));
    const std::string volume = root + "/pods/u1/volumes/d";
    ASSERT_EQ(::symlink("/etc", (volume + "/evil").c_str()), 0);
    const auto mounts = volumes.mounts(p, p.spec()["containers"][0], 0, {"WHO=me"});
    ASSERT_FALSE(mounts) << "/etc does not exist inside of the volume";
    ASSERT_TRUE(io::make_directories(volume + "/etc"));
    const auto inside = volumes.mounts(p, p.spec()["containers"][0], 0, {"WHO=me"});
    ASSERT_TRUE(inside) << inside.error().to_string();
    ASSERT_EQ(inside->size(), 4u);
    ASSERT_TRUE(io::write_file_atomic((*inside)[1].source + "/mark", "here"));
    EXPECT_EQ(text(volume + "/etc/mark"), "here") << "the link was followed within the volume";
    EXPECT_TRUE(io::is_directory(volume + "/a/b"));
    EXPECT_TRUE(io::is_directory(volume + "/me"));
    EXPECT_EQ((*inside)[3].destination, "/dev/termination-log");
}

TEST_F(VolumesTest, UnknownVolumeTypesAreRefusedByName) {
    const auto error =
        volumes.prepare(pod(R"([{"name":"v","nfs":{"server":"x"}}])"), facts).error().to_string();
    EXPECT_NE(error.find("volume type nfs is not supported"), std::string::npos) << error;
}

} // namespace
} // namespace cloudlet::kube::node
