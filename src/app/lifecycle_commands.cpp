#include "commands.h"

#include <algorithm>
#include <fcntl.h>
#include <unistd.h>

#include <fmt/format.h>

#include "cloudlet/io/fd.h"
#include "cloudlet/io/file.h"
#include "cloudlet/io/process.h"
#include "control_client.h"
#include "machine.h"
#include "teardown.h"

namespace cloudlet::app {
namespace {

Result<> need_root(std::string_view verb) {
    if (geteuid() == 0) return {};
    return fail(
        Code::forbidden,
        fmt::format(
            "cloudlet {} makes namespaces, links and cgroups, which needs root: sudo cloudlet {}",
            verb, verb));
}

std::string root_flag(const Settings& settings) {
    return settings.root == default_root ? "" : " --root " + settings.root;
}

/// The daemon as a child in a session of its own; it says one line on a pipe when it is ready.
Result<std::string> start_daemon(const Settings& settings) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC)) return fail_errno("pipe");
    io::UniqueFd reader(ends[0]), writer(ends[1]);
    io::SpawnOptions options;
    options.argv = {"cloudlet", "daemon", "--ready-fd", "3"};
    for (auto& word : flags_of(settings)) options.argv.push_back(std::move(word));
    options.executable = "/proc/self/exe";
    options.fds = {{writer.get(), 3}};
    options.cwd = "/";
    options.new_session = true;
    auto child = TRY(with_context(io::spawn(options), "start the daemon"));
    writer.reset();
    std::string said;
    char buffer[4096];
    for (;;) {
        ssize_t got = read(reader.get(), buffer, sizeof buffer);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        said.append(buffer, static_cast<size_t>(got));
    }
    if (said.starts_with("ready")) return said;
    while (!said.empty() && said.back() == '\n') said.pop_back();
    if (said.starts_with("error: ")) return fail(Code::unavailable, said.substr(7));
    return fail(Code::internal,
                "the daemon ended without a word; its log is " + settings.log_file());
}

/// A first start that failed leaves no half of a cloud: what was in its folder before stays.
void undo_start(const Settings& settings, const Result<std::vector<std::string>>& before) {
    if (auto lock = io::FileLock::acquire(settings.lock_file());
        !lock && lock.error().code == Code::conflict)
        return; // the cloud is another daemon's
    (void)stop_everything(settings, Duration{0}, [](const std::string&) {});
    (void)io::remove_tree(settings.run_dir());
    rmdir("/run/cloudlet"); // only when no other instance uses it
    if (!before) {
        (void)io::remove_tree(settings.root);
        return;
    }
    for (const auto& name : io::list_directory(settings.root).value_or(*before))
        if (std::find(before->begin(), before->end(), name) == before->end())
            (void)io::remove_tree(settings.root + "/" + name);
}

Result<> make_and_start(const Settings& settings) {
    TRY(with_context(
        io::make_directories(settings.root),
        "the cloud needs this folder; choose another with --root, or make it writable"));
    if (access(settings.root.c_str(), W_OK) != 0) {
        Result<> refused = fail_errno("write into " + settings.root);
        return with_context(refused,
                            "the cloud's folder must be writable; choose another with --root");
    }
    TRY(start_daemon(settings));
    return {};
}

Result<> begin_cloud(const Settings& settings) {
    const bool is_new = !io::exists(settings.marker());
    const auto before = io::list_directory(settings.root);
    show_progress("starting the cloud");
    auto started = make_and_start(settings);
    // A word from the daemon says it all; without one its log is all there is to look at.
    if (!started && is_new && started.error().code != Code::internal) undo_start(settings, before);
    end_progress();
    return started;
}

} // namespace

void show_progress(const std::string& what) {
    if (isatty(STDERR_FILENO)) fmt::print(stderr, "\r\033[K{} ...", what), fflush(stderr);
}

void end_progress() {
    if (isatty(STDERR_FILENO)) fmt::print(stderr, "\r\033[K"), fflush(stderr);
}

Result<> up(const CommonOptions& common, const UpOptions& options) {
    TRY(need_root("up"));
    auto begin = system_clock().monotonic();
    auto settings = TRY(resolve_settings(common.root, options.settings, options.config_file));
    auto running = ControlClient(settings).get("/cloudlet/v1/status");
    if (running) {
        if (common.output == "json")
            fmt::print("{}\n", running->dump_pretty());
        else
            fmt::print("The cloud on {} runs already (pid {}).\n", settings.root,
                       (*running)["pid"].as_int());
        return {};
    }
    TRY(require_free_port(settings.listen, settings.port));
    TRY(begin_cloud(settings));
    std::chrono::duration<double> took = system_clock().monotonic() - begin;
    if (common.output == "json") {
        fmt::print("{}\n", TRY(ControlClient(settings).get("/cloudlet/v1/status")).dump_pretty());
        return {};
    }
    fmt::print("The cloud is ready: node {}, {:.2f} s.\n"
               "Reach it:  cloudlet kubeconfig{} > cloud.yaml; export KUBECONFIG=$PWD/cloud.yaml; "
               "kubectl get nodes\n"
               "Stop it:   cloudlet down{}\n",
               settings.node_name, took.count(), root_flag(settings), root_flag(settings));
    return {};
}

Result<> down(const CommonOptions& common, const DownOptions& options) {
    TRY(need_root("down"));
    auto settings = TRY(settings_of_cloud(common.root));
    if (!io::exists(settings.marker())) {
        if (io::exists(settings.root) && options.purge) return purge_files(settings);
        fmt::print("There is no cloud on {}.\n", settings.root);
        return {};
    }
    ControlClient daemon(settings);
    if (auto running = daemon.get("/cloudlet/v1/status")) {
        show_progress("stopping the daemon");
        int pid = static_cast<int>((*running)["pid"].as_int());
        TRY(daemon.post("/cloudlet/v1/stop", codec::Json::object()));
        TRY(with_context(wait_for_end(pid, std::chrono::seconds(30)), "the daemon"));
    }
    auto stopped =
        stop_everything(settings, std::chrono::seconds(options.grace_seconds), show_progress);
    if (stopped && options.purge) {
        show_progress("removing files");
        stopped = purge_files(settings);
    }
    end_progress();
    TRY(std::move(stopped));
    if (options.purge)
        fmt::print("The cloud on {} is gone; the machine is as it was.\n", settings.root);
    else
        fmt::print("The cloud on {} is stopped; cloudlet up{} starts it again.\n", settings.root,
                   root_flag(settings));
    return {};
}

} // namespace cloudlet::app
