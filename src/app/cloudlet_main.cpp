// The program: reads the command line and calls the verb. Every verb takes --root; those that print
// something to read take -o json.

#include <algorithm>
#include <cstdio>
#include <functional>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "commands.h"
#include "daemon.h"
#include "storage_commands.h"
#include "tool_commands.h"

namespace cloudlet::app {
namespace {

using Verb = std::function<int()>;

/// Prints an error as one line; the exit status of it.
int exit_status(const Result<>& result) {
    if (result) return 0;
    end_progress();
    fmt::print(stderr, "cloudlet: {}\n", result.error().to_string());
    return 1;
}

struct Line {
    CommonOptions common;
    UpOptions up;
    DownOptions down;
    ImageOptions image;
    LogsOptions logs;
    StoragePlanOptions plan;
    std::string node_name, node_ip, listen, port, pod_cidr, service_cidr, cluster_domain, log_level,
        config;
    int ready_fd = -1;
    bool with_token = false;
    Verb verb;
};

CLI::App* add_verb(CLI::App& program, Line& line, const std::string& name, const std::string& text,
                   Verb verb, bool readable = true) {
    auto* command = program.add_subcommand(name, text);
    command->add_option("--root", line.common.root, "the cloud's folder")->capture_default_str();
    if (readable)
        command->add_option("-o,--output", line.common.output, "json, for programs")
            ->check(CLI::IsMember({"json"}));
    command->callback([&line, verb = std::move(verb)] { line.verb = verb; });
    return command;
}

void collect_settings(Line& line) {
    const std::pair<const char*, const std::string&> given[] = {
        {"nodeName", line.node_name},
        {"nodeIP", line.node_ip},
        {"listen", line.listen},
        {"port", line.port},
        {"podCIDR", line.pod_cidr},
        {"serviceCIDR", line.service_cidr},
        {"clusterDomain", line.cluster_domain},
        {"logLevel", line.log_level}};
    for (const auto& [name, value] : given)
        if (!value.empty()) line.up.settings[name] = value;
    if (!line.config.empty()) line.up.config_file = line.config;
}

void add_settings(CLI::App* command, Line& line) {
    command->add_option("--config", line.config,
                        "a YAML file of settings (default: config.yaml in the root)");
    command->add_option("--node-name", line.node_name,
                        "this machine's name as a node (default: the host name)");
    command->add_option("--node-ip", line.node_ip,
                        "its address (default: that of the default route)");
    command->add_option("--listen", line.listen, "address of the API (default: 0.0.0.0)");
    command->add_option("--port", line.port, "port of the API (default: 6443)");
    command->add_option("--pod-cidr", line.pod_cidr, "the pods' network (default: 10.244.0.0/16)");
    command->add_option("--service-cidr", line.service_cidr,
                        "the Services' network (default: 10.96.0.0/16)");
    command->add_option("--cluster-domain", line.cluster_domain,
                        "the DNS domain (default: cluster.local)");
    command->add_option("--log-level", line.log_level,
                        "debug, info, warning or error (default: info)");
}

int daemon_verb(Line& line) {
    collect_settings(line);
    auto settings = resolve_settings(line.common.root, line.up.settings, line.up.config_file);
    if (!settings) return exit_status(tl::unexpected(settings.error()));
    return run_daemon(*settings, line.ready_fd);
}

void add_lifecycle(CLI::App& program, Line& line) {
    auto* start =
        add_verb(program, line, "up", "Start the cloud; returns when the node is Ready", [&line] {
            collect_settings(line);
            return exit_status(up(line.common, line.up));
        });
    add_settings(start, line);
    auto* stop = add_verb(
        program, line, "down", "Stop the cloud and its containers",
        [&line] { return exit_status(down(line.common, line.down)); }, false);
    stop->add_flag("--purge", line.down.purge,
                   "also remove everything it made: the machine is as it was");
    stop->add_option("--grace", line.down.grace_seconds,
                     "most seconds a container has to end by itself")
        ->check(CLI::Range(0, 3600))
        ->capture_default_str();
    auto* daemon = add_verb(
        program, line, "daemon", "Run in the foreground (what up starts; for a service manager)",
        [&line] { return daemon_verb(line); }, false);
    daemon->add_option("--ready-fd", line.ready_fd, "descriptor that is told \"ready\"")->group("");
    add_settings(daemon, line);
}

void add_queries(CLI::App& program, Line& line) {
    add_verb(program, line, "status", "Show how the cloud is",
             [&line] { return exit_status(status(line.common)); });
    add_verb(program, line, "version", "Show the versions",
             [&line] { return exit_status(version_command(line.common)); });
    auto* config = add_verb(
        program, line, "kubeconfig", "Print a kubeconfig for kubectl",
        [&line] { return exit_status(kubeconfig(line.common, line.with_token)); }, false);
    config->add_flag("--token", line.with_token, "with a bearer token instead of a certificate");
    auto* show = add_verb(
        program, line, "logs", "Print a pod's log, or the daemon's",
        [&line] { return exit_status(logs(line.common, line.logs)); }, false);
    show->add_option("POD", line.logs.pod, "the pod; none: the daemon itself");
    show->add_option("-n,--namespace", line.logs.ns, "the pod's namespace")->capture_default_str();
    show->add_option("-c,--container", line.logs.container, "which of its containers");
    show->add_flag("-f,--follow", line.logs.follow, "go on as it grows");
    show->add_flag("-p,--previous", line.logs.previous, "of the run before the last restart");
    show->add_option("--tail", line.logs.tail, "only the last lines")
        ->check(CLI::Range(0, 1 << 30));
}

void add_image_verb(CLI::App& image, Line& line, const std::string& action,
                    const std::string& text) {
    auto* command = add_verb(image, line, action, text, [&line, action] {
        line.image.action = action;
        return exit_status(image_command(line.common, line.image));
    });
    if (action != "ls") command->add_option("ARGUMENTS", line.image.arguments);
    if (action == "rm")
        command->add_flag("-f,--force", line.image.force,
                          "also when it is in use or has more names");
    if (action != "import") return;
    command->add_option("--entrypoint", line.image.entrypoint, "the program that containers run")
        ->expected(1);
    command->add_option("--cmd", line.image.command, "its arguments; repeatable")->expected(1);
    command->add_option("--env", line.image.env, "NAME=value; repeatable")->expected(1);
    command->add_option("--workdir", line.image.working_dir, "where it runs");
    command->add_option("--user", line.image.user, "as whom it runs");
}

void add_images(CLI::App& program, Line& line) {
    auto* image = program.add_subcommand("image", "Load, import, pull, list and remove images");
    image->require_subcommand(1);
    image->add_option("--root", line.common.root, "the cloud's folder")->capture_default_str();
    add_image_verb(*image, line, "load", "Load FILE, an archive of docker save or an OCI layout");
    add_image_verb(*image, line, "import",
                   "Make an image from FILE, the tar of a root file system [NAME]");
    add_image_verb(*image, line, "pull", "Fetch NAME from a registry");
    add_image_verb(*image, line, "ls", "List images");
    add_image_verb(*image, line, "rm", "Remove NAME...");
}

void add_storage(CLI::App& program, Line& line) {
    auto* storage = program.add_subcommand("storage", "Plan changes to a storage cluster");
    storage->require_subcommand(1);
    auto* plan = storage->add_subcommand("plan", "Show what changes to an OSD map would move");
    plan->add_option("MAP", line.plan.map, "the OSD map (ceph osd getmap -o MAP)")->required();
    plan->add_option("CHANGE", line.plan.changes, "what to change; see below")->required();
    plan->add_option("-o,--output", line.plan.output, "table, json or svg")
        ->check(CLI::IsMember({"table", "json", "svg"}))
        ->capture_default_str();
    plan->add_option("--svg", line.plan.svg,
                     "also write the picture of the hierarchy to this file");
    plan->add_option("--pool-bytes", line.plan.pool_bytes,
                     "NAME=SIZE: what a pool stores, before replication; repeatable")
        ->expected(1);
    plan->add_option("--pg-bytes", line.plan.pg_bytes, "what each PG stores, on an average");
    plan->add_flag("--mark-up-in", line.plan.mark_up_in,
                   "take every OSD as up and in (for maps of osdmaptool --createsimple)");
    plan->footer(storage_plan_help);
    plan->callback(
        [&line] { line.verb = [&line] { return exit_status(storage_plan(line.plan)); }; });
}

/// One line that names the help of the verb that was meant.
int usage_error(const CLI::App& program, std::string what) {
    std::string verb = "cloudlet";
    const CLI::App* meant = &program;
    while (!meant->get_subcommands().empty()) {
        meant = meant->get_subcommands().front();
        verb += " " + meant->get_name();
    }
    std::replace(what.begin(), what.end(), '\n', ' ');
    fmt::print(stderr, "cloudlet: {}: see {} --help\n", what, verb);
    return 2;
}

int run(int argc, char** argv) {
    CLI::App program{"A whole private cloud in one program."};
    program.name("cloudlet");
    program.require_subcommand(1);
    Line line;
    program.add_option("--root", line.common.root, "the cloud's folder")->capture_default_str();
    add_lifecycle(program, line);
    add_queries(program, line);
    add_images(program, line);
    add_storage(program, line);
    program.footer("Ceph's tools, with Ceph's options: cloudlet crushtool, cloudlet osdmaptool");
    if (argc < 2) {
        fmt::print(stderr, "{}", program.help());
        return 2;
    }
    try {
        program.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        if (error.get_exit_code() == 0) return program.exit(error); // --help
        return usage_error(program, error.what());
    }
    return line.verb ? line.verb() : 2;
}

} // namespace
} // namespace cloudlet::app

int main(int argc, char** argv) {
    // Before the options of our own verbs are even described: a tool starts in no time.
    if (auto status = cloudlet::app::run_tool(argc, argv)) return *status;
    return cloudlet::app::run(argc, argv);
}
