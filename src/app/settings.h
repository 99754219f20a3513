#pragma once
// What a cloud is made with: defaults, then what was remembered from its first start, then the
// configuration file, then the command line. The result is written back beside the state, so that
// `cloudlet up` after a reboot needs no flags.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cloudlet/base/result.h"
#include "cloudlet/codec/json.h"
#include "cloudlet/network/options.h"

namespace cloudlet::app {

inline constexpr const char* default_root = "/var/lib/cloudlet";

/// Settings that a file or a flag gives, by their names in the file ("nodeName" -> "edge-1").
using GivenSettings = std::map<std::string, std::string>;

struct Settings {
    std::string root = default_root;
    std::string
        instance; // six hex digits of the root's path; names sockets, links, tables, cgroups

    std::string node_name;          // nodeName; default: the host name
    std::string node_ip;            // nodeIP; default: the address of the default route's link
    std::string listen = "0.0.0.0"; // listen
    uint16_t port = 6443;           // port
    std::string pod_cidr = "10.244.0.0/16";       // podCIDR
    std::string service_cidr = "10.96.0.0/16";    // serviceCIDR
    std::string cluster_domain = "cluster.local"; // clusterDomain
    std::string log_level = "info";               // logLevel

    /// Where a client on this machine reaches the API.
    std::string api_address() const { return listen == "0.0.0.0" ? "127.0.0.1" : listen; }
    std::string run_dir() const { return "/run/cloudlet/" + instance; }
    std::string control_socket() const { return run_dir() + "/control.sock"; }
    std::string log_file() const { return root + "/log/cloudlet.log"; }
    std::string marker() const { return root + "/cloudlet.json"; }
    std::string lock_file() const { return root + "/lock"; }

    /// The service network's n-th address: 1 is the API, 10 is DNS. Error: invalid serviceCIDR.
    Result<std::string> service_address(uint32_t n) const;
    /// The network room's options. This machine's pods take the first /24 of podCIDR.
    Result<network::NetworkOptions> network_options() const;
};

/// The root's absolute path without links, and the instance that follows from it.
/// Error: invalid for a path that cannot be a folder.
Result<Settings> settings_for_root(const std::string& root);

/// The settings that the cloud on this root was last started with, whatever its configuration file
/// says by now. Error: invalid.
Result<Settings> settings_of_cloud(const std::string& root);

/// Reads the file (default: <root>/config.yaml when it exists). Error: not_found, or invalid with
/// the place; an unknown name is refused with the list of those that exist.
Result<GivenSettings> read_config_file(const std::string& path);

/// Layers flags over file over memory over defaults, and checks every value. Error: invalid;
/// conflict when a network of an existing cloud would change.
Result<Settings> resolve_settings(const std::string& root, const GivenSettings& flags,
                                  const std::optional<std::string>& config_file);

/// The words of a command line that gives exactly these settings, whatever any file says.
std::vector<std::string> flags_of(const Settings& settings);

/// Remembers the settings (and marks the folder as a cloud's).
Result<> remember_settings(const Settings& settings);

} // namespace cloudlet::app
