#pragma once
// The commands of cloudlet-runtime. Each returns the program's exit status.

#include <string>
#include <vector>

#include "cloudlet/base/result.h"

namespace cloudlet::runtime {

struct Global {
    std::string root = "/run/cloudlet-runtime";
    std::string log;
    bool log_json = false;
};

using Words = std::vector<std::string>;

Result<int> command_create(const Global& global, const Words& argv);
Result<int> command_run(const Global& global, const Words& argv);
Result<int> command_start(const Global& global, const Words& argv);
Result<int> command_exec(const Global& global, const Words& argv);
Result<int> command_state(const Global& global, const Words& argv);
Result<int> command_list(const Global& global, const Words& argv);
Result<int> command_kill(const Global& global, const Words& argv);
Result<int> command_delete(const Global& global, const Words& argv);

/// Prints "cloudlet-runtime: message" and, with --log, writes it there too.
void print_error(const Global& global, const std::string& message);

} // namespace cloudlet::runtime
