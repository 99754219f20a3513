#include "crush_csv.h"

#include <algorithm>

#include <fmt/format.h>

#include "cloudlet/io/file.h"
#include "cloudlet/rados/crush_edit.h"

namespace cloudlet::rados {
namespace {

template <typename Row>
std::string rows(std::string header, size_t count, Row row) {
    for (size_t i = 0; i < count; ++i) header += row(i);
    return header;
}

std::string batch_table(const CrushCsvData& data, std::string_view what) {
    auto active = static_cast<size_t>(std::count_if(data.weights.begin(), data.weights.end(),
                                                    [](auto w) { return w >= crush_weight_one; }));
    std::string header = "Batch Round";
    for (size_t i = 0; i < active; ++i) header += fmt::format(", Objects {} on OSD{}", what, i);
    return rows(header + "\n", data.batches.size(), [&](size_t batch) {
        std::string line = std::to_string(batch);
        for (uint32_t stored : data.batches[batch]) line += fmt::format(",{}", stored);
        return line + "\n";
    });
}

} // namespace

Result<void> write_crush_csv(const CrushCsvData& data, const std::string& rule,
                             const CrushTestOptions& options) {
    auto write = [&](std::string_view table, std::string_view content) {
        return io::write_file_atomic(fmt::format("{}{}-{}.csv", options.csv_name, rule, table),
                                     content);
    };
    auto share = [&](size_t i) { return fmt::format("{},{:g}\n", i, data.shares[i]); };
    auto use = [&](size_t i) {
        return fmt::format("{},{},{:g}\n", i, data.stored[i], data.expected[i]);
    };
    const std::string none;
    const std::string share_header = "Device ID, Proportional Weight\n";
    const std::string use_header =
        "Device ID, Number of Objects Stored, Number of Objects Expected\n";
    size_t devices = data.weights.size();
    TRY(write("absolute_weights", rows("Device ID, Absolute Weight\n", devices, [&](size_t i) {
                  return fmt::format("{},{:g}\n", i, crush_weight_to_float(data.weights[i]));
              })));
    TRY(write("proportional_weights_all", rows(share_header, devices, share)));
    TRY(write("proportional_weights", rows(share_header, devices, [&](size_t i) {
                  return data.weights[i] > 0 ? share(i) : none;
              })));
    TRY(write("device_utilization_all", rows(use_header, devices, use)));
    TRY(write("device_utilization", rows(use_header, devices, [&](size_t i) {
                  return data.expected[i] > 0 && data.stored[i] > 0 ? use(i) : none;
              })));
    std::string header = "Input";
    for (int32_t i = 0; i < options.max_rep; ++i) header += fmt::format(", OSD{}", i);
    TRY(write("placement_information", header + "\n" + data.placements));
    if (options.batches <= 1) return {};
    TRY(write("batch_device_utilization_all", batch_table(data, "Stored")));
    // crushtool writes what was stored into this file too; those who read it count on its form.
    return write("batch_device_expected_utilization_all", batch_table(data, "Expected"));
}

} // namespace cloudlet::rados
