#pragma once
// CRUSH maps as text: the language of `crushtool -c` and `-d`, which people edit and review.
//
//     tunable choose_total_tries 50
//     device 0 osd.0 class ssd
//     type 1 host
//     host a { id -1  alg straw2  hash 0  item osd.0 weight 1.000 }
//     rule fast { id 0  type replicated  min_size 1  max_size 10
//                 step take a class ssd  step choose firstn 0 type osd  step emit }
//     choose_args 3 { { bucket_id -1  weight_set [ [ 0.5 ] ] } }
//
// The order is tunables, devices and types; buckets, children before parents; rules; choose_args.
// What a text compiles to is byte for byte what Ceph 16.2's crushtool makes of it, except that
// duplicates and numbers that do not fit are refused where crushtool drops or wraps them silently.
// Pure, thread-safe.

#include <string>
#include <string_view>

#include "cloudlet/base/result.h"
#include "cloudlet/rados/crush_map.h"

namespace cloudlet::rados {

/// Reads a text. `file` names it in messages. Error: Code::invalid, "FILE:LINE: what is wrong; what
/// to do".
Result<CrushMap> compile_crush_text(std::string_view text, std::string_view file);

/// Writes a map as text, as `crushtool -d` does. Weights are rounded to three digits, so that a
/// finer weight does not compile back to the same bytes.
std::string decompile_crush_map(const CrushMap& map);

} // namespace cloudlet::rados
