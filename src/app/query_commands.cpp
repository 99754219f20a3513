#include "commands.h"

#include <cstdio>
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "cloudlet/base/clock.h"
#include "cloudlet/io/fd.h"
#include "cloudlet/io/file.h"
#include "cloudlet/net/http_message.h"
#include "control_client.h"
#include "text_table.h"
#include "version.h"

namespace cloudlet::app {
namespace {

using codec::Json;

std::string age_of(const Json& time) {
    auto started = parse_time(time.as_string());
    return started ? format_age(system_clock().wall() - *started) : "?";
}

void print_status(const Json& status) {
    fmt::print(
        "{}", format_table({
                  {"Cloud",
                   fmt::format("{} ({}, up {})", status["ready"].as_bool() ? "ready" : "not ready",
                               status["kubernetesVersion"].as_string(), age_of(status["started"]))},
                  {"API", std::string(status["server"].as_string())},
                  {"Node", fmt::format("{} ({})", status.at({"node", "name"}).as_string(),
                                       status.at({"node", "address"}).as_string())},
                  {"Pods", fmt::format("{} running of {}", status.at({"pods", "running"}).as_int(),
                                       status.at({"pods", "total"}).as_int())},
                  {"Services", std::to_string(status["services"].as_int())},
                  {"Images", std::to_string(status["images"].as_int())},
                  {"Memory", fmt::format("{:.1f} MB in {} processes",
                                         static_cast<double>(status["memoryKiB"].as_int()) / 1024,
                                         status["processes"].as_int())},
                  {"Root", fmt::format("{} (instance {}, pid {})", status["root"].as_string(),
                                       status["instance"].as_string(), status["pid"].as_int())},
              }));
    for (const auto& warning : status["warnings"].items())
        fmt::print("Note: {}\n", warning.as_string());
}

std::string short_id(const Json& image) {
    auto id = image["id"].as_string();
    size_t colon = id.find(':');
    return std::string(id.substr(colon == std::string_view::npos ? 0 : colon + 1, 12));
}

/// Images need not say when they were made; those that do not have the epoch.
std::string created_of(const Json& time) {
    return time.as_string().starts_with("1970-01-01") ? "N/A" : age_of(time) + " ago";
}

void print_images(const Json& answer) {
    std::vector<std::vector<std::string>> rows = {{"IMAGE", "ID", "SIZE", "CREATED"}};
    for (const auto& image : answer["images"].items()) {
        std::vector<std::string> names;
        for (const auto& name : image["names"].items()) names.emplace_back(name.as_string());
        if (names.empty()) names.emplace_back("<none>");
        for (const auto& name : names)
            rows.push_back({name, short_id(image), format_size(image["size"].as_int()),
                            created_of(image["created"])});
    }
    fmt::print("{}", format_table(rows));
}

/// The daemon has its own working directory: it is given absolute paths.
Result<std::string> absolute_file(const std::string& path) {
    char resolved[4096];
    struct stat status {};
    if (stat(path.c_str(), &status) == 0 && S_ISFIFO(status.st_mode)) // no path leads to it
        return fail(Code::invalid, path + " is a pipe; write the archive to a file first");
    if (!realpath(path.c_str(), resolved)) return fail_errno(path);
    if (io::is_directory(resolved))
        return fail(Code::invalid, path + " is a folder; an image comes as one tar archive");
    if (!S_ISREG(status.st_mode))
        return fail(Code::invalid, path + " is no regular file; write the archive to one first");
    return std::string(resolved);
}

Json words(const std::vector<std::string>& list) {
    auto json = Json::array();
    for (const auto& word : list) json.push_back(word);
    return json;
}

Result<Json> import_image(const ControlClient& daemon, const ImageOptions& options) {
    if (options.arguments.empty() || options.arguments.size() > 2)
        return fail(Code::invalid, "usage: cloudlet image import FILE [NAME]");
    std::string path = TRY(absolute_file(options.arguments[0]));
    std::string name = options.arguments.size() == 2 ? options.arguments[1] : "";
    if (name.empty()) { // "web.tar" becomes "web"
        name = path.substr(path.rfind('/') + 1);
        name = name.substr(0, name.find('.'));
    }
    auto config = Json::object({{"entrypoint", words(options.entrypoint)},
                                {"command", words(options.command)},
                                {"env", words(options.env)},
                                {"workingDir", options.working_dir},
                                {"user", options.user}});
    return daemon.post(
        "/cloudlet/v1/images/import",
        Json::object({{"path", path}, {"name", name}, {"config", std::move(config)}}));
}

Result<Json> change_images(const ControlClient& daemon, const ImageOptions& options) {
    if (options.action == "import") return import_image(daemon, options);
    if (options.arguments.size() != 1)
        return fail(Code::invalid, fmt::format("usage: cloudlet image {} {}", options.action,
                                               options.action == "load" ? "FILE" : "NAME"));
    const std::string& what = options.arguments[0];
    if (options.action == "load")
        return daemon.post("/cloudlet/v1/images/load",
                           Json::object({{"path", TRY(absolute_file(what))}}));
    return daemon.post("/cloudlet/v1/images/pull", Json::object({{"reference", what}}));
}

Result<> remove_images(const ControlClient& daemon, const CommonOptions& common,
                       const ImageOptions& options) {
    if (options.arguments.empty()) return fail(Code::invalid, "usage: cloudlet image rm NAME...");
    for (const auto& name : options.arguments) {
        auto report = TRY(daemon.remove(fmt::format("/cloudlet/v1/images?name={}&force={}",
                                                    net::percent_encode(name), options.force)));
        if (common.output == "json") {
            fmt::print("{}\n", report.dump_pretty());
            continue;
        }
        for (const auto& tag : report["untagged"].items())
            fmt::print("Untagged: {}\n", tag.as_string());
        if (!report["removed"].as_string().empty())
            fmt::print("Deleted: {}\n", report["removed"].as_string());
    }
    return {};
}

std::string_view last_lines(std::string_view text, int count) {
    size_t from = text.size();
    if (from && text[from - 1] == '\n') --from;
    while (from > 0 && count > 0) {
        size_t before = text.rfind('\n', from - 1);
        if (--count == 0) return text.substr(before == std::string_view::npos ? 0 : before + 1);
        if (before == std::string_view::npos) return text;
        from = before;
    }
    return count > 0 ? text : text.substr(text.size());
}

bool print_now(std::string_view bytes) {
    return fwrite(bytes.data(), 1, bytes.size(), stdout) == bytes.size() && fflush(stdout) == 0;
}

/// Goes on printing a file as it grows, until nobody reads what is printed.
Result<> follow_file(const io::UniqueFd& file, const std::string& path) {
    io::UniqueFd changes(inotify_init1(IN_CLOEXEC));
    if (!changes || inotify_add_watch(changes.get(), path.c_str(), IN_MODIFY) < 0)
        return fail_errno("watch " + path);
    char buffer[16 << 10];
    for (;;) {
        ssize_t got = 0;
        while ((got = read(file.get(), buffer, sizeof buffer)) > 0)
            if (!print_now({buffer, static_cast<size_t>(got)})) return {};
        if (got < 0) return fail_errno("read " + path);
        if (read(changes.get(), buffer, sizeof buffer) < 0 && errno != EINTR)
            return fail_errno("watch " + path);
    }
}

/// The daemon's log is a file of the root: there even when no daemon is.
Result<> daemon_log(const Settings& settings, const LogsOptions& options) {
    if (options.previous || !options.container.empty())
        return fail(Code::invalid, "--previous and --container are about a pod: name it");
    const std::string path = settings.log_file();
    if (!io::exists(path))
        return fail(Code::not_found, fmt::format("there is no cloud on {} that wrote a log: start "
                                                 "one with cloudlet up, or name its --root",
                                                 settings.root));
    auto file = TRY(io::open_file(path, O_RDONLY));
    auto text = TRY(io::read_all(file.get(), size_t{1} << 30));
    if (!print_now(options.tail < 0 ? text : last_lines(text, options.tail))) return {};
    return options.follow ? follow_file(file, path) : Result<>{};
}

} // namespace

Result<> status(const CommonOptions& common) {
    auto settings = TRY(settings_for_root(common.root));
    auto answer = TRY(ControlClient(settings).get("/cloudlet/v1/status"));
    if (common.output == "json")
        fmt::print("{}\n", answer.dump_pretty());
    else
        print_status(answer);
    return {};
}

Result<> version_command(const CommonOptions& common) {
    if (common.output == "json")
        fmt::print("{}\n", Json::object({{"version", version()},
                                         {"kubernetesVersion", kubernetes_version()}})
                               .dump_pretty());
    else
        fmt::print("cloudlet {} (Kubernetes API {})\n", version(), kubernetes_version());
    return {};
}

Result<> kubeconfig(const CommonOptions& common, bool with_token) {
    auto settings = TRY(settings_for_root(common.root));
    fmt::print("{}", TRY(ControlClient(settings).text(
                         fmt::format("/cloudlet/v1/kubeconfig?token={}", with_token))));
    return {};
}

Result<> image_command(const CommonOptions& common, const ImageOptions& options) {
    auto settings = TRY(settings_for_root(common.root));
    ControlClient daemon(settings);
    if (options.action == "rm") return remove_images(daemon, common, options);
    if (options.action == "ls") {
        auto answer = TRY(daemon.get("/cloudlet/v1/images"));
        if (common.output == "json")
            fmt::print("{}\n", answer.dump_pretty());
        else
            print_images(answer);
        return {};
    }
    show_progress(options.action + "ing the image");
    auto answer = change_images(daemon, options);
    end_progress();
    if (!answer) return tl::unexpected(answer.error());
    if (common.output == "json") {
        fmt::print("{}\n", answer->dump_pretty());
        return {};
    }
    for (const auto& image : (*answer)["images"].items())
        for (const auto& name : image["names"].items())
            fmt::print("{}  {}  {}\n", name.as_string(), short_id(image),
                       format_size(image["size"].as_int()));
    return {};
}

Result<> logs(const CommonOptions& common, const LogsOptions& options) {
    auto settings = TRY(settings_for_root(common.root));
    if (options.pod.empty()) return daemon_log(settings, options);
    std::string path = fmt::format(
        "/api/v1/namespaces/{}/pods/{}/log?follow={}&previous={}", net::percent_encode(options.ns),
        net::percent_encode(options.pod), options.follow, options.previous);
    if (!options.container.empty()) path += "&container=" + net::percent_encode(options.container);
    if (options.tail >= 0) path += fmt::format("&tailLines={}", options.tail);
    return ControlClient(settings).stream(path, print_now);
}

} // namespace cloudlet::app
