#include "tool_commands.h"

#include <cstdio>
#include <string>
#include <string_view>
#include <unistd.h>
#include <utility>
#include <vector>

#include "cloudlet/rados/crushtool.h"
#include "cloudlet/rados/osdmaptool.h"

namespace cloudlet::app {
namespace {

using Tool = int (*)(std::span<const std::string>, const rados::ToolStreams&);

constexpr std::pair<std::string_view, Tool> tools[] = {
    {"crushtool", rados::crushtool},
    {"osdmaptool", rados::osdmaptool},
};

void write_to(FILE* stream, std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stream);
}

} // namespace

std::optional<int> run_tool(int argc, char** argv) {
    if (argc < 1) return std::nullopt;
    std::string_view path = argv[0];
    std::string_view called_as = path.substr(path.rfind('/') + 1);
    std::string_view verb = argc > 1 ? argv[1] : "";
    for (const auto& [name, tool] : tools) {
        bool is_link = called_as == name;
        if (!is_link && verb != name) continue;
        std::vector<std::string> arguments(argv + (is_link ? 1 : 2), argv + argc);
        rados::ToolStreams streams = {[](std::string_view text) { write_to(stdout, text); },
                                      [](std::string_view text) { write_to(stderr, text); },
                                      isatty(STDERR_FILENO) != 0};
        int status = tool(arguments, streams);
        bool written = std::fflush(stdout) == 0;
        return status == 0 && !written ? 1 : status;
    }
    return std::nullopt;
}

} // namespace cloudlet::app
