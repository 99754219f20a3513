// The check of a plan never reads outside it, whatever the bytes are. Input that is not a plan gets
// the header of one, so that mutations reach the operations.

#include <cstring>
#include <vector>

#include "cloudlet/base/check.h"
#include "launch/launch.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < sizeof(cl_plan_header)) return 0;
    std::vector<uint64_t> aligned(size / 8 + 1);
    std::memcpy(aligned.data(), data, size);
    auto* header = reinterpret_cast<cl_plan_header*>(aligned.data());
    header->magic = CL_PLAN_MAGIC;
    header->version = CL_PLAN_VERSION;
    header->size = static_cast<uint32_t>(size);
    reinterpret_cast<char*>(aligned.data())[size - 1] = 0;
    cl_plan plan{};
    if (cl_plan_check(&plan, aligned.data(), size) != 0) return 0;
    // What passed may be read: every folder of the launcher's list ends inside the plan.
    for (uint32_t i = 0; i < cl_plan_count(&plan, header->v1_folders); i++)
        cloudlet::check(std::strlen(cl_plan_item(&plan, header->v1_folders, i)) < size,
                        "a string ends inside");
    return 0;
}
