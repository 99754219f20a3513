#pragma once
// The verbs of the command line. Each returns its exit status: 0, or 1 after one line on standard
// error that says what happened and what to do next.

#include <optional>
#include <string>
#include <vector>

#include "cloudlet/base/result.h"
#include "settings.h"

namespace cloudlet::app {

/// Options that every verb has.
struct CommonOptions {
    std::string root = default_root;
    std::string output; // "" for people, "json"
};

struct UpOptions {
    GivenSettings settings;
    std::optional<std::string> config_file;
};

struct DownOptions {
    bool purge = false;
    int grace_seconds = 10;
};

struct ImageOptions {
    std::string action; // load, import, pull, ls, rm
    std::vector<std::string> arguments;
    std::vector<std::string> entrypoint, command, env;
    std::string working_dir, user;
    bool force = false;
};

struct LogsOptions {
    std::string pod; // empty: the daemon's own log
    std::string ns = "default";
    std::string container;
    bool follow = false;
    bool previous = false;
    int tail = -1; // lines; -1: all
};

Result<> up(const CommonOptions& common, const UpOptions& options);
Result<> down(const CommonOptions& common, const DownOptions& options);
Result<> status(const CommonOptions& common);
Result<> version_command(const CommonOptions& common);
Result<> kubeconfig(const CommonOptions& common, bool with_token);
Result<> image_command(const CommonOptions& common, const ImageOptions& options);
Result<> logs(const CommonOptions& common, const LogsOptions& options);

/// A line that is overwritten by the next, on a terminal only.
void show_progress(const std::string& what);
/// Takes the progress line away.
void end_progress();

} // namespace cloudlet::app
