#pragma once
// For tests: Ceph's crushtool (Debian's ceph-base) as the oracle, and loops over random maps.

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>

#include <gtest/gtest.h>

#include "cloudlet/base/random.h"
#include "cloudlet/io/process.h"
#include "cloudlet/rados/crush_codec.h"
#include "crush_random_map.h"

namespace cloudlet::rados {

/// A test that asks Ceph's crushtool, in a folder of its own.
class CrushOracle : public testing::Test {
protected:
    CrushOracle() {
        std::string pattern = testing::TempDir() + "crush.XXXXXX";
        folder_ = mkdtemp(pattern.data());
        // A crash of the tool is found out; its report must not stay on the machine.
        setenv("CEPH_ARGS", ("--crash_dir=" + path("none")).c_str(), 1);
    }
    ~CrushOracle() override {
        unsetenv("CEPH_ARGS");
        std::filesystem::remove_all(folder_);
    }

    std::string path(std::string_view name) const { return fmt::format("{}/{}", folder_, name); }

    void write(std::string_view name, const std::string& bytes) const {
        std::ofstream(path(name), std::ios::binary) << bytes;
    }
    std::string read(std::string_view name) const {
        std::ifstream in(path(name), std::ios::binary);
        return {std::istreambuf_iterator<char>(in), {}};
    }

    io::Output run_crushtool(std::vector<std::string> arguments) const {
        arguments.insert(arguments.begin(), "crushtool");
        auto output = io::run(arguments, std::chrono::seconds(60));
        EXPECT_TRUE(output) << "crushtool does not run; install ceph-base";
        return output.value_or(io::Output{});
    }

    /// For changes on which crushtool may not end: nothing when it takes longer than 5 s.
    std::optional<io::Output> try_crushtool(std::vector<std::string> arguments) const {
        arguments.insert(arguments.begin(), "crushtool");
        auto output = io::run(arguments, std::chrono::seconds(5));
        if (output) return *output;
        EXPECT_EQ(output.error().code, Code::timeout) << output.error().to_string();
        return std::nullopt;
    }

    /// What it printed; that it succeeds is expected.
    std::string crushtool(const std::vector<std::string>& arguments) const {
        io::Output output = run_crushtool(arguments);
        EXPECT_TRUE(output.exit_status.ok()) << fmt::format("{}", fmt::join(arguments, " ")) << "\n"
                                             << output.err.substr(0, 400);
        return output.out + output.err;
    }

    std::string folder_;
};

/// Runs `check` on random maps, with the seed at hand when it fails.
template <typename Check>
void for_random_maps(uint64_t count, Check check) {
    uint64_t seed = first_seed();
    for (uint64_t i = 0; i < count && !testing::Test::HasFailure(); ++i, ++seed) {
        SCOPED_TRACE(fmt::format("CLOUDLET_SEED={}", seed));
        Random random(seed);
        check(random, random_crush_map(random));
    }
}

/// The highest device that a bucket holds, or -1: crushtool counts the devices anew.
inline int32_t last_device(const CrushMap& map) {
    int32_t last = -1;
    for (const auto& bucket : map.buckets) {
        if (!bucket) continue;
        for (int32_t item : bucket->items) last = std::max(last, item);
    }
    return last;
}

/// Whether a bucket of the map has one of two algorithms that crushtool cannot change soundly: in a
/// uniform bucket it refuses or forgets weights, and trees that grow hold old memory in some nodes.
inline bool has_uniform_or_tree(const CrushMap& map) {
    for (const auto& bucket : map.buckets) {
        if (!bucket) continue;
        if (bucket->alg == BucketAlg::uniform || bucket->alg == BucketAlg::tree) return true;
    }
    return false;
}

} // namespace cloudlet::rados
