#include "cloudlet/codec/tar.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>

namespace cloudlet::codec {
namespace {

struct Read {
    TarEntry entry;
    std::string content;
};

Result<std::vector<Read>> read_archive(std::string_view bytes) {
    TarReader reader(source_of(bytes));
    std::vector<Read> all;
    for (;;) {
        auto entry = TRY(reader.next());
        if (!entry) return all;
        bool file = entry->type == TarEntry::Type::file;
        all.push_back({*entry, file ? TRY(reader.read_content(64 << 20)) : ""});
    }
}

std::string archive_of(const std::vector<Read>& entries) {
    std::string bytes;
    TarWriter writer(bytes);
    for (const auto& [entry, content] : entries) writer.add(entry, content);
    writer.finish();
    return bytes;
}

// The archive that the system's tar makes of a folder that `script` fills.
std::string system_tar(const std::string& script, const std::string& options) {
    std::string folder = fmt::format("/tmp/cloudlet-tar-test-{}", ::getpid());
    std::filesystem::create_directory(folder);
    std::string command =
        fmt::format("cd {0} && mkdir in && cd in && {{ {1}; }} && tar {2} -cf ../out.tar .", folder,
                    script, options);
    EXPECT_EQ(std::system(command.c_str()), 0) << command;
    std::ifstream file(folder + "/out.tar", std::ios::binary);
    std::string bytes{std::istreambuf_iterator<char>(file), {}};
    std::filesystem::remove_all(folder);
    return bytes;
}

TEST(Tar, EntriesComeBackAsTheyWereWritten) {
    std::vector<Read> entries(7);
    entries[0].entry = {
        .path = "dir/", .type = TarEntry::Type::directory, .mode = 01777, .uid = 1000, .gid = 100};
    entries[1] = {{.path = "dir/file", .mode = 04755, .uid = 3'000'000, .gid = 4'000'000'000u},
                  std::string(100'000, 'x')};
    entries[1].entry.modified = WallTime{std::chrono::nanoseconds{1'700'000'000'123'456'789}};
    entries[1].entry.xattrs = {{"user.a", std::string("b\0=\nc", 5)},
                               {"security.capability", std::string("\1\0\0\2", 4)}};
    entries[2].entry = {.path = std::string(300, 'n') + "/é",
                        .type = TarEntry::Type::symlink,
                        .link_target = std::string(200, 't')};
    entries[3].entry = {
        .path = "hard", .type = TarEntry::Type::hard_link, .link_target = "dir/file"};
    entries[4].entry = {.path = "null",
                        .type = TarEntry::Type::character_device,
                        .device_major = 1,
                        .device_minor = 3};
    entries[5].entry = {.path = "fifo", .type = TarEntry::Type::fifo};
    entries[6] = {{.path = "e\xCC\x81"}, ""}; // decomposed: names are bytes, not normalized
    entries[6].entry.modified = WallTime{std::chrono::nanoseconds{-1'250'000'000}};
    auto back = read_archive(archive_of(entries));
    ASSERT_TRUE(back) << back.error().message;
    ASSERT_EQ(back->size(), entries.size());
    for (size_t i = 0; i < entries.size(); ++i) {
        const auto& [want, content] = entries[i];
        const auto& [got, got_content] = (*back)[i];
        EXPECT_EQ(got.path, want.path);
        EXPECT_EQ(got.type, want.type) << want.path;
        EXPECT_EQ(got.link_target, want.link_target);
        EXPECT_EQ(got.uid, want.uid);
        EXPECT_EQ(got.gid, want.gid);
        EXPECT_EQ(got.modified, want.modified) << want.path;
        EXPECT_EQ(got.device_minor, want.device_minor);
        EXPECT_THAT(got.xattrs, testing::UnorderedElementsAreArray(want.xattrs));
        EXPECT_EQ(got_content, content);
        EXPECT_EQ(got.mode, want.mode) << want.path;
    }
}

TEST(Tar, TheSystemsTarReadsWhatWeWrite) {
    std::string folder = fmt::format("/tmp/cloudlet-tar-out-{}", ::getpid());
    std::filesystem::create_directory(folder);
    std::string bytes =
        archive_of({{{.path = std::string(150, 'a') + "/long"}, "content"}, {{.path = "é"}, "x"}});
    std::ofstream(folder + "/a.tar", std::ios::binary) << bytes;
    EXPECT_EQ(std::system(fmt::format("cd {} && tar xf a.tar 2>&1", folder).c_str()), 0);
    EXPECT_TRUE(std::filesystem::exists(folder + "/" + std::string(150, 'a') + "/long"));
    EXPECT_TRUE(std::filesystem::exists(folder + "/é"));
    std::filesystem::remove_all(folder);
}

TEST(Tar, EveryDialectOfSystemTarIsRead) {
    std::string script =
        "printf hello >file; ln -s file link; ln file hard; mkfifo pipe; mkdir -p $(printf "
        "'d%.0s' $(seq 1 120))/deep; "
        "printf é >$(printf 'd%.0s' $(seq 1 120))/deep/ü; chmod 6755 file";
    for (std::string format : {"--format=gnu", "--format=pax", "--format=posix --sort=name"}) {
        auto entries = read_archive(system_tar(script, format));
        ASSERT_TRUE(entries) << format << entries.error().message;
        std::map<std::string, Read> by_name;
        for (auto& read : *entries) by_name.emplace(read.entry.path, read);
        ASSERT_EQ(by_name.size(), 8u) << format;
        std::string deep = "./" + std::string(120, 'd') + "/deep/ü";
        ASSERT_TRUE(by_name.contains(deep)) << format;
        EXPECT_EQ(by_name[deep].content, "é");
        EXPECT_EQ(by_name["./link"].entry.link_target, "file");
        bool hard_first = by_name["./hard"].content ==
                          "hello"; // tar stores the content with the name it meets first
        EXPECT_EQ(by_name[hard_first ? "./hard" : "./file"].entry.mode, 06755u);
        EXPECT_EQ(by_name[hard_first ? "./file" : "./hard"].entry.type, TarEntry::Type::hard_link);
    }
}

TEST(Tar, SparseFilesKeepTheirHoles) {
    std::string script =
        "truncate -s 4G big; printf middle | dd of=big bs=1 seek=3G conv=notrunc status=none";
    for (std::string format :
         {"--format=gnu", "--format=pax --sparse-version=0.0", "--format=pax --sparse-version=0.1",
          "--format=pax --sparse-version=1.0"}) {
        std::string bytes = system_tar(script, "-S " + format);
        EXPECT_LT(bytes.size(), 100'000u);
        TarReader reader(source_of(bytes));
        std::optional<TarEntry> entry;
        do {
            auto next = reader.next();
            ASSERT_TRUE(next && *next) << format;
            entry = *next;
        } while (entry->type != TarEntry::Type::file);
        EXPECT_EQ(entry->size, uint64_t{4} << 30) << format;
        uint64_t found = 0, total = 0;
        for (auto block = reader.next_block(); block && *block; block = reader.next_block()) {
            total += (*block)->bytes.size();
            size_t at = (*block)->bytes.find("middle");
            if (at != std::string_view::npos) found = (*block)->offset + at;
        }
        EXPECT_EQ(found, uint64_t{3} << 30) << format;
        EXPECT_LT(total, 1u << 20);
        auto content = reader.read_content(1 << 20);
        EXPECT_FALSE(content);
    }
}

TEST(Tar, XattrsOfSystemTarAreRead) {
    auto entries =
        read_archive(system_tar("touch f; setfattr -n user.note -v hi f 2>/dev/null || python3 -c "
                                "'import os; os.setxattr(\"f\", \"user.note\", b\"hi\")'",
                                "--xattrs --xattrs-include='*' --format=pax"));
    ASSERT_TRUE(entries);
    EXPECT_THAT(entries->back().entry.xattrs, testing::Contains(testing::Pair("user.note", "hi")));
}

TEST(Tar, EmptyArchivesHaveNoEntries) {
    EXPECT_EQ(read_archive("")->size(), 0u);
    EXPECT_EQ(read_archive(std::string(1024, '\0'))->size(), 0u);
}

TEST(Tar, DamageIsAnError) {
    std::string good = archive_of({{{.path = "file"}, std::string(5000, 'x')}});
    EXPECT_EQ(read_archive("this is a text and no archive at all").error().code, Code::invalid);
    EXPECT_FALSE(read_archive(good.substr(0, 3000)));
    EXPECT_FALSE(read_archive(good.substr(0, 700)));
    std::string checksum = good;
    checksum[148] ^= 1;
    EXPECT_FALSE(read_archive(checksum));
}

} // namespace
} // namespace cloudlet::codec
