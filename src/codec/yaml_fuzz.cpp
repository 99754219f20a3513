#include <cstdint>

#include "cloudlet/base/check.h"
#include "cloudlet/codec/yaml.h"

// libfyaml 0.7.12 loses a buffer when a quoted text ends in an error.
extern "C" const char* __lsan_default_suppressions() { return "leak:libfyaml"; }

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace cloudlet;
    codec::JsonLimits limits{.max_depth = 64, .max_bytes = 1 << 20};
    auto documents = codec::parse_yaml({reinterpret_cast<const char*>(data), size}, limits);
    if (!documents) return 0;
    for (const auto& document : *documents) {
        auto again = codec::parse_yaml_document(codec::dump_yaml(document.value));
        check(again && *again == document.value, "dumped YAML does not read back the same");
    }
    return 0;
}
