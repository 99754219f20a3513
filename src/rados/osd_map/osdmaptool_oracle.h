#pragma once
// Runs Ceph's osdmaptool (Debian's ceph-base) and ours over the same files.

#include <chrono>
#include <filesystem>
#include <fstream>

#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include "cloudlet/io/file.h"
#include "cloudlet/io/process.h"
#include "cloudlet/rados/osd_map_codec.h"
#include "cloudlet/rados/osdmaptool.h"
#include "test_seeds.h"

namespace cloudlet::rados {

struct ToolRun {
    std::string out, err;
    int status = 0;
};

class OsdmaptoolDifferential : public testing::Test {
protected:
    OsdmaptoolDifferential()
        : folder_(*io::make_temporary_directory(testing::TempDir() + "osdmap.")) {}
    ~OsdmaptoolDifferential() override { std::filesystem::remove_all(folder_); }

    std::string path(std::string_view name) const { return fmt::format("{}/{}", folder_, name); }

    static ToolRun theirs(std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), "osdmaptool");
        auto output = io::run(arguments, std::chrono::seconds(60));
        if (!output) {
            ADD_FAILURE() << "osdmaptool does not run; install ceph-base";
            return {};
        }
        return {output->out, output->err, output->exit_status.code};
    }

    static ToolRun ours(const std::vector<std::string>& arguments) {
        ToolRun run;
        ToolStreams streams{.out = [&](std::string_view text) { run.out += text; },
                            .err = [&](std::string_view text) { run.err += text; }};
        run.status = osdmaptool(arguments, streams);
        return run;
    }

    /// The same output and exit status; what is said on the error stream is ours to choose.
    static void expect_same(const std::vector<std::string>& arguments) {
        SCOPED_TRACE(fmt::format("osdmaptool {}", fmt::join(arguments, " ")));
        ToolRun ceph = theirs(arguments), cloudlet = ours(arguments);
        EXPECT_EQ(cloudlet.out, ceph.out) << ceph.err;
        EXPECT_EQ(cloudlet.status, ceph.status) << ceph.err << cloudlet.err;
    }

    void write(const std::string& name, const OsdMap& map) const {
        // No fsync: the file lives for one run of the tool.
        std::ofstream(path(name), std::ios::binary) << encode_osd_map(map);
    }

    std::string folder_;
};

} // namespace cloudlet::rados
