#pragma once
// The CSV files of `crushtool --test --output-csv`, one set for each rule.

#include <string>
#include <vector>

#include "cloudlet/base/result.h"
#include "cloudlet/rados/crush_map.h"
#include "crushtool_options.h"

namespace cloudlet::rados {

/// What one rule did with one number of replicas.
struct CrushCsvData {
    std::vector<uint32_t> weights;              // 16.16, by device
    std::vector<float> shares;                  // of the weight, by device
    std::vector<float> expected;                // placements, by device
    std::vector<uint32_t> stored;               // placements, by device
    std::vector<std::vector<uint32_t>> batches; // stored in each batch, by device
    std::string placements;                     // lines "x,osd,osd,..."
};

/// Writes "NAME-RULE-absolute_weights.csv" and so on into the current folder.
Result<void> write_crush_csv(const CrushCsvData& data, const std::string& rule,
                             const CrushTestOptions& options);

} // namespace cloudlet::rados
