// cloudlet-runtime: an OCI runtime with runc's command line.

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>

#include <fmt/format.h>

#include "arguments.h"
#include "cloudlet/base/clock.h"
#include "cloudlet/codec/json.h"
#include "cloudlet/io/file.h"
#include "cloudlet/linux/seccomp.h"
#include "commands.h"

namespace cloudlet::runtime {
namespace {

constexpr std::string_view kUsage =
    "cloudlet-runtime [--root DIR] [--log FILE] [--log-format text|json] COMMAND\n"
    "  create [-b BUNDLE] [--pid-file FILE] ID      make a container that waits for start\n"
    "  start ID                                     let it run\n"
    "  run [-b BUNDLE] [-d] [--keep] [--pid-file FILE] ID   both, and wait for its end\n"
    "  exec [-t] [-d] [-u USER] [-e NAME=VALUE] [--cwd DIR] [-p FILE] ID PROGRAM [ARGUMENT...]\n"
    "  state ID                                     as JSON\n"
    "  list [-q] [-f table|json]\n"
    "  kill [-a] ID [SIGNAL]\n"
    "  delete [-f] ID\n";

struct Command {
    std::string_view name;
    Result<int> (*function)(const Global&, const Words&);
};
constexpr Command kCommands[] = {{"create", command_create}, {"run", command_run},
                                 {"start", command_start},   {"exec", command_exec},
                                 {"state", command_state},   {"list", command_list},
                                 {"kill", command_kill},     {"delete", command_delete}};

const std::vector<OptionName> kGlobalOptions = {{"root", ""},
                                                {"log", ""},
                                                {"log-format", ""},
                                                {"debug", "", true},
                                                {"systemd-cgroup", "", true},
                                                {"rootless", ""},
                                                {"version", "v", true},
                                                {"help", "h", true}};

Result<int> dispatch(Global& global, const Words& argv) {
    const Arguments arguments = TRY(parse_arguments(argv, kGlobalOptions));
    global.root = arguments.get("root", global.root);
    global.log = arguments.get("log");
    global.log_json = arguments.get("log-format") == "json";
    if (arguments.has("systemd-cgroup"))
        return fail(Code::unsupported,
                    "--systemd-cgroup is not supported; set the cgroup driver to cgroupfs");
    if (arguments.has("version")) {
        fmt::print("cloudlet-runtime version {}\nspec: 1.0.2\n", CLOUDLET_VERSION);
        return 0;
    }
    if (arguments.has("help") || arguments.words.empty()) {
        fmt::print("{}", kUsage);
        return arguments.has("help") ? 0 : 1;
    }
    linux::keep_compiled_seccomp_in(global.root + "/.seccomp"); // no id starts with a dot
    for (const Command& command : kCommands)
        if (command.name == arguments.words[0])
            return command.function(global,
                                    Words(arguments.words.begin() + 1, arguments.words.end()));
    return fail(Code::invalid,
                fmt::format("unknown command \"{}\"; --help lists them", arguments.words[0]));
}

} // namespace

void print_error(const Global& global, const std::string& message) {
    fmt::print(stderr, "cloudlet-runtime: {}\n", message);
    if (global.log.empty()) return;
    const auto now = format_time(system_clock().wall());
    codec::Json line = codec::Json::object();
    line.set("level", "error").set("msg", message).set("time", now);
    const std::string text = global.log_json
                                 ? line.dump()
                                 : fmt::format("time=\"{}\" level=error msg=\"{}\"", now, message);
    const io::UniqueFd file(
        ::open(global.log.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644));
    if (file) static_cast<void>(io::write_all(file.get(), text + "\n"));
}

} // namespace cloudlet::runtime

int main(int argc, char** argv) {
    using namespace cloudlet::runtime;
    Global global;
    const auto status = dispatch(global, Words(argv + 1, argv + argc));
    if (status) return *status;
    print_error(global, status.error().to_string());
    return 1;
}
