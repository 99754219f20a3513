#include "cloudlet/rados/object_op.h"

#include <algorithm>

namespace cloudlet::rados {

namespace {

constexpr size_t first_change = 10; // op::Create
static_assert(std::is_same_v<std::variant_alternative_t<first_change, ObjectOp>, op::Create>);

std::string_view bytes_of(const SharedBytes& data) {
    return data ? std::string_view(*data) : std::string_view();
}

template <typename Op>
constexpr bool frees = std::is_same_v<Op, op::Remove> || std::is_same_v<Op, op::RemoveXattr> ||
                       std::is_same_v<Op, op::RemoveOmapKeys> || std::is_same_v<Op, op::ClearOmap>;

} // namespace

namespace op {
bool WriteFull::operator==(const WriteFull& other) const {
    return bytes_of(data) == bytes_of(other.data);
}
bool Write::operator==(const Write& other) const {
    return offset == other.offset && bytes_of(data) == bytes_of(other.data);
}
bool Append::operator==(const Append& other) const {
    return bytes_of(data) == bytes_of(other.data);
}
} // namespace op

bool reads(const ObjectOps& ops) {
    return std::ranges::any_of(ops, [](const ObjectOp& o) { return o.index() < first_change; });
}

bool changes(const ObjectOps& ops) {
    return std::ranges::any_of(ops, [](const ObjectOp& o) { return o.index() >= first_change; });
}

uint64_t data_bytes(const ObjectOps& ops) {
    uint64_t bytes = 0;
    for (const ObjectOp& o : ops)
        std::visit(
            [&](const auto& one) {
                if constexpr (requires { one.data->size(); }) bytes += bytes_of(one.data).size();
                if constexpr (requires { one.values.begin(); })
                    for (const auto& [key, value] : one.values) bytes += key.size() + value.size();
            },
            o);
    return bytes;
}

bool only_frees(const ObjectOps& ops) {
    return std::ranges::all_of(ops, [](const ObjectOp& o) {
        return o.index() < first_change ||
               std::visit([]<typename Op>(const Op&) { return frees<Op>; }, o);
    });
}

} // namespace cloudlet::rados
