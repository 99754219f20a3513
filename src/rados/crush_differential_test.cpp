// Every mapping of random maps must equal that of Ceph's crushtool (Debian's ceph-base).
#include <charconv>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <random>

#include <unistd.h>

#include "cloudlet/base/random.h"
#include "cloudlet/io/process.h"
#include "cloudlet/rados/crush_codec.h"
#include "cloudlet/rados/crush_mapper.h"
#include "crush_random_map.h"

namespace cloudlet::rados {
namespace {

using Mapping = std::vector<int32_t>;

class CrushDifferential : public testing::Test {
protected:
    CrushDifferential() {
        std::string pattern = testing::TempDir() + "crush.XXXXXX";
        folder_ = mkdtemp(pattern.data());
    }
    ~CrushDifferential() override { std::filesystem::remove_all(folder_); }

    std::string path(std::string_view name) const { return fmt::format("{}/{}", folder_, name); }

    void write(std::string_view name, const std::string& bytes) const {
        std::ofstream(path(name), std::ios::binary) << bytes;
    }
    std::string read(std::string_view name) const {
        std::ifstream in(path(name), std::ios::binary);
        return {std::istreambuf_iterator<char>(in), {}};
    }

    std::string crushtool(std::vector<std::string> arguments) const {
        arguments.insert(arguments.begin(), "crushtool");
        auto output = io::run(arguments, std::chrono::seconds(120));
        EXPECT_TRUE(output) << "crushtool does not run; install ceph-base";
        EXPECT_TRUE(output && output->exit_status.ok())
            << fmt::format("{}", fmt::join(arguments, " ")) << "\n"
            << (output ? output->err : "");
        return output ? output->out + output->err : "";
    }

    std::string folder_;
};

// "CRUSH rule 0 x 17 [1,2147483647,3]", in order of rule and x.
std::vector<Mapping> parse_mappings(std::string_view text) {
    std::vector<Mapping> mappings;
    while (!text.empty()) {
        std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(text.size(), line.size() + 1));
        if (!line.starts_with("CRUSH rule")) continue;
        Mapping& mapping = mappings.emplace_back();
        line.remove_prefix(line.find('[') + 1);
        while (!line.empty() && line[0] != ']') {
            int32_t item = 0;
            auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), item);
            mapping.push_back(item);
            line.remove_prefix(static_cast<size_t>(end - line.data()));
            if (line.starts_with(',')) line.remove_prefix(1);
        }
    }
    return mappings;
}

constexpr uint32_t inputs_per_map = 128;

struct Case {
    CrushMap map;
    std::vector<uint32_t> reweights;
    int32_t result_max;
    uint32_t first_x;
};

Case random_case(uint64_t seed) {
    Random random(seed);
    Case made = {.map = random_crush_map(random),
                 .reweights = {},
                 .result_max = static_cast<int32_t>(1 + random.below(7)),
                 .first_x = static_cast<uint32_t>(random.below(1u << 30))};
    made.reweights = random_reweights(random, made.map);
    // crushtool takes a device that no bucket holds for out.
    for (int32_t device = 0; device < made.map.max_devices; ++device) {
        bool present = made.map.parent_of(device).has_value();
        if (!present) made.reweights[static_cast<size_t>(device)] = 0;
    }
    return made;
}

std::vector<std::string> test_arguments(const std::string& path, const Case& given) {
    std::vector<std::string> arguments = {
        "-i",        path,
        "--test",    "--show-mappings",
        "--num-rep", std::to_string(given.result_max),
        "--min-x",   std::to_string(given.first_x),
        "--max-x",   std::to_string(given.first_x + inputs_per_map - 1)};
    for (size_t i = 0; i < given.reweights.size(); ++i) {
        if (given.reweights[i] == crush_weight_one) continue;
        arguments.insert(arguments.end(), {"--weight", std::to_string(i),
                                           fmt::format("{:.9g}", given.reweights[i] / 65536.0)});
    }
    return arguments;
}

TEST_F(CrushDifferential, maps_as_crushtool_does) {
    uint64_t wanted = seeds_to_run(50'000), done = 0;
    uint64_t seed = std::random_device{}();
    if (const char* given = std::getenv("CLOUDLET_SEED")) seed = std::strtoull(given, nullptr, 10);
    CrushWorkspace work;
    for (; done < wanted; ++seed) {
        SCOPED_TRACE(fmt::format("CLOUDLET_SEED={}", seed));
        Case given = random_case(seed);
        write("map", encode_crush_map(given.map));
        auto theirs = parse_mappings(crushtool(test_arguments(path("map"), given)));
        auto mapper = CrushMapper::prepare(given.map);
        ASSERT_TRUE(mapper) << mapper.error().to_string();
        std::vector<uint32_t> inputs(inputs_per_map);
        std::iota(inputs.begin(), inputs.end(), given.first_x);
        ASSERT_EQ(theirs.size(), given.map.rules.size() * inputs.size());
        CrushResults together;
        for (size_t rule = 0; rule < given.map.rules.size(); ++rule) {
            CrushQuery query = {static_cast<int32_t>(rule), given.result_max, given.reweights, 0};
            mapper->map_many(work, query, inputs, together);
            for (size_t i = 0; i < inputs.size(); ++i) {
                auto ours = mapper->map(work, query, inputs[i]);
                const Mapping& expected = theirs[rule * inputs.size() + i];
                ASSERT_THAT(ours, testing::ElementsAreArray(expected)) << rule << " " << inputs[i];
                ASSERT_THAT(together[i], testing::ElementsAreArray(expected))
                    << "together: " << rule << " " << inputs[i];
            }
            done += inputs.size();
        }
    }
}

} // namespace
} // namespace cloudlet::rados
