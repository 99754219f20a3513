#pragma once
// What `cloudlet down` does once the daemon has ended: containers, network and mounts of the
// instance are taken away. It works from what is on disk and in the kernel, so it also cleans up
// after a daemon that was killed.

#include <functional>
#include <string>

#include "cloudlet/base/clock.h"
#include "cloudlet/base/result.h"
#include "settings.h"

namespace cloudlet::app {

/// Told what is being done, for a progress line.
using Report = std::function<void(const std::string&)>;

/// Stops containers (SIGTERM; SIGKILL after their pod's grace, at most `grace`), then removes
/// sandboxes, links, rules and mounts. Objects, images and volumes stay. Error: conflict when a
/// daemon runs. Idempotent.
Result<> stop_everything(const Settings& settings, Duration grace, const Report& report);

/// After stop_everything(): removes the cloud's folders. Error: conflict when the root does not
/// look like a cloud's (then nothing is removed).
Result<> purge_files(const Settings& settings);

} // namespace cloudlet::app
