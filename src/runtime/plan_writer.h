#pragma once
// Puts a plan's bytes together: operations in order, then strings and lists behind them.

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cloudlet/base/result.h"
#include "launch/plan_format.h"

namespace cloudlet::runtime {

class PlanWriter {
public:
    PlanWriter();

    cl_plan_header& header() { return header_; }

    /// Appends an operation; Op is one of the cl_op_... structs, its `op` field is filled in here.
    template <typename Op>
    void add(cl_op_kind kind, Op op) {
        op.op.kind = kind;
        op.op.size = sizeof(Op);
        static_assert(sizeof(Op) % 8 == 0);
        operations_.append(reinterpret_cast<const char*>(&op), sizeof(Op));
        header_.op_count++;
    }
    void add_bare(cl_op_kind kind);
    void add_number(cl_op_kind kind, int64_t number);
    void add_one(cl_op_kind kind, uint32_t ref, uint64_t number = 0);

    /// References for operations. Equal strings are stored once.
    uint32_t string(std::string_view text);
    uint32_t optional_string(std::string_view text) { return text.empty() ? 0 : string(text); }
    uint32_t list(const std::vector<std::string>& items);
    uint32_t numbers(const std::vector<uint32_t>& items);
    uint32_t blob(std::string_view bytes); // aligned to 8

    /// The finished plan. Error: Code::too_large.
    Result<std::string> finish();

private:
    // While operations are still added, references count from the start of the data. finish()
    // cannot patch them afterwards, so the data is placed first: right behind the header.
    void align(size_t boundary);
    uint32_t here() const { return static_cast<uint32_t>(sizeof(cl_plan_header) + data_.size()); }

    cl_plan_header header_{};
    std::string operations_;
    std::string data_;
    std::unordered_map<std::string, uint32_t> known_;
};

} // namespace cloudlet::runtime
