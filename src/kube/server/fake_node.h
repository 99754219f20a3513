#pragma once
// Test helper: a node whose containers have two lines of log and know three commands: "echo" says
// its arguments, "cat" repeats its input, "exit N" ends with N.

#include "test_world.h"

namespace cloudlet::kube::server::testing {

class FakeNode final : public NodeConnector {
public:
    void logs(const ContainerTarget& target, const LogOptions& options,
              std::shared_ptr<LogSink> sink) override {
        if (target.container != "main" || target.node != "n1")
            return sink->fail({Code::internal, "wrong container", {}, 0});
        if (options.previous)
            return sink->fail({Code::not_found, "no previous run of main", {}, 0});
        if (options.tail_lines.value_or(2) >= 2) sink->write("first\n");
        if (options.tail_lines.value_or(2) >= 1) sink->write("second\n");
        sink->finish();
    }

    void exec(const ContainerTarget&, const ExecOptions& options,
              std::shared_ptr<ExecStreams> streams) override {
        const std::string& command = options.command.front();
        ExecHandlers handlers;
        if (command == "cat") {
            handlers.on_stdin = [streams](std::string_view bytes) {
                streams->write_stdout(std::string(bytes));
            };
            handlers.on_stdin_end = [streams] { streams->exit(0); };
        }
        if (command == "size")
            handlers.on_resize = [streams](uint16_t columns, uint16_t rows) {
                streams->write_stdout(std::to_string(columns) + "x" + std::to_string(rows));
                streams->exit(0);
            };
        streams->set_handlers(std::move(handlers));
        if (command == "echo") {
            std::string line = "command:";
            for (const std::string& word : options.command) line += " " + word;
            streams->write_stdout(line + "\n");
            streams->exit(0);
        }
        if (command == "exit") streams->exit(std::stoi(options.command.at(1)));
        if (command == "none") streams->fail({Code::not_found, "no such program", {}, 0});
    }
};

inline void bind(World& world, const std::string& name) {
    must(world.client().post(
        resources::pods, {"default", name}, "binding",
        Json::object({{"target", Json::object({{"kind", "Node"}, {"name", "n1"}})}})));
}

} // namespace cloudlet::kube::server::testing
