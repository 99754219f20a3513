#include "plan_writer.h"

#include <fmt/format.h>

namespace cloudlet::runtime {

PlanWriter::PlanWriter() {
    header_.magic = CL_PLAN_MAGIC;
    header_.version = CL_PLAN_VERSION;
}

void PlanWriter::add_bare(cl_op_kind kind) {
    struct Bare {
        cl_op op;
    };
    add(kind, Bare{});
}

void PlanWriter::add_number(cl_op_kind kind, int64_t number) {
    cl_op_number op{};
    op.number = number;
    add(kind, op);
}

void PlanWriter::add_one(cl_op_kind kind, uint32_t ref, uint64_t number) {
    cl_op_one op{};
    op.ref = ref;
    op.number = number;
    add(kind, op);
}

void PlanWriter::align(size_t boundary) {
    static_assert(sizeof(cl_plan_header) % 8 == 0);
    data_.resize((data_.size() + boundary - 1) / boundary * boundary);
}

uint32_t PlanWriter::string(std::string_view text) {
    const auto [place, fresh] = known_.try_emplace(std::string(text), here());
    if (fresh) data_.append(text).push_back('\0');
    return place->second;
}

uint32_t PlanWriter::list(const std::vector<std::string>& items) {
    if (items.empty()) return 0;
    std::vector<uint32_t> offsets;
    offsets.reserve(items.size());
    for (const std::string& item : items) offsets.push_back(string(item));
    return numbers(offsets);
}

uint32_t PlanWriter::numbers(const std::vector<uint32_t>& items) {
    align(4);
    const uint32_t at = here();
    const auto count = static_cast<uint32_t>(items.size());
    data_.append(reinterpret_cast<const char*>(&count), sizeof count);
    data_.append(reinterpret_cast<const char*>(items.data()), items.size() * sizeof(uint32_t));
    return at;
}

uint32_t PlanWriter::blob(std::string_view bytes) {
    align(8);
    const uint32_t at = here();
    data_.append(bytes);
    return at;
}

Result<std::string> PlanWriter::finish() {
    align(8);
    header_.first_op = here();
    const size_t size = sizeof header_ + data_.size() + operations_.size() + 1;
    if (size > CL_PLAN_MAX_SIZE)
        return fail(Code::too_large,
                    fmt::format("the container's arguments, environment and mounts need {} bytes, "
                                "more than {}; shorten them",
                                size, CL_PLAN_MAX_SIZE));
    header_.size = static_cast<uint32_t>(size);
    std::string out(reinterpret_cast<const char*>(&header_), sizeof header_);
    out += data_;
    out += operations_;
    out.push_back('\0'); // ends every string, whatever an offset says
    return out;
}

} // namespace cloudlet::runtime
