#include "cloudlet/image/name.h"

namespace cloudlet::image {
namespace {

const std::string hex64 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

TEST(ImageName, IsNormalizedAsDockerDoes) {
    const std::vector<std::pair<std::string, std::string>> table = {
        {"nginx", "docker.io/library/nginx:latest"},
        {"nginx:1.25", "docker.io/library/nginx:1.25"},
        {"library/nginx", "docker.io/library/nginx:latest"},
        {"user/app", "docker.io/user/app:latest"},
        {"docker.io/nginx", "docker.io/library/nginx:latest"},
        {"index.docker.io/nginx", "docker.io/library/nginx:latest"},
        {"docker.io/user/app:v1", "docker.io/user/app:v1"},
        {"localhost/x", "localhost/x:latest"},
        {"localhost:5000/x", "localhost:5000/x:latest"},
        {"localhost:5000/a/b/c:t", "localhost:5000/a/b/c:t"},
        {"127.0.0.1:5000/x", "127.0.0.1:5000/x:latest"},
        {"[::1]:5000/x", "[::1]:5000/x:latest"},
        {"registry.example.com/team/app:1.0-rc.1", "registry.example.com/team/app:1.0-rc.1"},
        {"Host/app", "Host/app:latest"}, // upper case: a host, as no repository has it
        {"a__b/c--d.e_f", "docker.io/a__b/c--d.e_f:latest"},
        {"nginx@sha256:" + hex64, "docker.io/library/nginx@sha256:" + hex64},
        {"nginx:1@sha256:" + hex64, "docker.io/library/nginx:1@sha256:" + hex64},
        {"localhost:5000",
         "docker.io/library/localhost:5000"}, // no slash: a tag, as Docker reads it
        {"x:TAG_1.2-3", "docker.io/library/x:TAG_1.2-3"},
    };
    for (const auto& [text, normal] : table) {
        auto name = normalize_name(text);
        ASSERT_TRUE(name) << text << ": " << name.error().to_string();
        EXPECT_EQ(*name, normal) << text;
        EXPECT_EQ(*normalize_name(*name), normal) << "normal names stay as they are";
    }
}

TEST(ImageName, MalformedNamesAreRefusedWithTheRule) {
    for (std::string text : {"",
                             ":",
                             "Nginx",
                             "a//b",
                             "/a",
                             "a/",
                             "a:",
                             "a:-x",
                             "a:.x",
                             "-a",
                             "a-",
                             "a..b",
                             "a___b",
                             "a._b",
                             "a b",
                             "a@",
                             "a@sha256:12",
                             "a@md5:0123456789abcdef0123456789abcdef",
                             "ex_ample.com:5000/x",
                             "-h.com/x",
                             "h.com:/x",
                             "h.com:port/x",
                             "[::1/x",
                             "../etc",
                             "a/../b",
                             "a/./b",
                             "\xc3\xa9"})
        EXPECT_FALSE(parse_name(text)) << text;
    EXPECT_FALSE(parse_name(hex64));
    EXPECT_FALSE(parse_name(std::string(256, 'a')));
    EXPECT_FALSE(parse_name("a:" + std::string(129, 't')));
    EXPECT_EQ(parse_name("Nginx").error().message,
              "\"Nginx\" is no image name: the repository must be lower case");
}

TEST(ImageName, TheFamiliarFormIsWhatPeopleType) {
    EXPECT_EQ(familiar_name("docker.io/library/nginx:latest"), "nginx:latest");
    EXPECT_EQ(familiar_name("docker.io/user/app:v1"), "user/app:v1");
    EXPECT_EQ(familiar_name("localhost:5000/x:latest"), "localhost:5000/x:latest");
    EXPECT_EQ(familiar_name("docker.io/library/nginx@sha256:" + hex64), "nginx@sha256:" + hex64);
    EXPECT_EQ(familiar_name("<none>"), "<none>");
}

TEST(ImageName, IdsAreToldFromNames) {
    EXPECT_TRUE(is_full_id(hex64));
    EXPECT_TRUE(is_full_id("sha256:" + hex64));
    EXPECT_FALSE(is_full_id("nginx"));
    EXPECT_FALSE(is_full_id(hex64 + "0"));
}

} // namespace
} // namespace cloudlet::image
