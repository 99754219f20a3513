// Any config.json is either refused with a message or becomes a plan that its reader accepts.

#include <cstring>
#include <vector>

#include "cloudlet/base/check.h"
#include "cloudlet/codec/json.h"
#include "cloudlet/runtime/plan.h"
#include "launch/launch.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace cloudlet;
    static const runtime::Host host = runtime::Host::probe().value();
    const auto json = codec::parse_json({reinterpret_cast<const char*>(data), size});
    if (!json) return 0;
    const auto spec = runtime::parse_spec(*json);
    if (!spec) {
        check(!spec.error().message.empty(), "a refused spec says why");
        return 0;
    }
    runtime::PlanContext context;
    context.bundle = "/bundle";
    const auto plan = runtime::compile_plan(*spec, host, context);
    if (!plan) return 0;
    std::vector<uint64_t> aligned(plan->bytes.size() / 8 + 1);
    std::memcpy(aligned.data(), plan->bytes.data(), plan->bytes.size());
    cl_plan checked{};
    check(cl_plan_check(&checked, aligned.data(), plan->bytes.size()) == 0,
          "a compiled plan passes its check");
    return 0;
}
