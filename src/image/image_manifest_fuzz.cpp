// Image documents from strangers: each parser refuses or gives values that write and read back.
#include <cstdint>

#include "cloudlet/base/check.h"
#include "cloudlet/image/name.h"
#include "manifest.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace cloudlet;
    std::string_view text(reinterpret_cast<const char*>(data), size);
    if (auto config = image::parse_config(text)) {
        std::string written = image::write_config(*config);
        auto again = image::parse_config(written);
        check(again && image::write_config(*again) == written,
              "a configuration does not read back the same");
    }
    (void)image::parse_saved_images(text);
    if (auto name = image::normalize_name(text.substr(0, 300)))
        check(image::normalize_name(*name) == *name, "a normal name is not normal");
    auto json = codec::parse_json(text);
    if (!json) return 0;
    if (image::is_index(*json)) {
        if (auto index = image::parse_index(*json)) (void)image::fitting_this_machine(*index);
        return 0;
    }
    if (auto manifest = image::parse_manifest(*json)) {
        auto again = codec::parse_json(image::write_manifest(*manifest));
        check(again && image::parse_manifest(*again).has_value(), "a manifest does not read back");
    }
    return 0;
}
