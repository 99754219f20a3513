#pragma once
// What `crushtool --help` and `--help-output` print.

#include <string_view>

namespace cloudlet::rados {

std::string_view crushtool_help();
std::string_view crushtool_csv_help();

} // namespace cloudlet::rados
