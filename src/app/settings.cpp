#include "settings.h"

#include <charconv>
#include <filesystem>

#include <fmt/format.h>

#include "cloudlet/codec/digest.h"
#include "cloudlet/codec/yaml.h"
#include "cloudlet/io/file.h"
#include "machine.h"

namespace cloudlet::app {
namespace {

/// One row for each setting: its name in the file, its flag, how it is read, how it is remembered.
struct Row {
    const char* name;
    const char* flag;
    Result<> (*read)(Settings&, const std::string&);
    std::string (*write)(const Settings&);
    bool remembered;
    bool fixed; // cannot change once the cloud exists
};

tl::unexpected<Error> bad_value(std::string_view name, std::string_view value,
                                std::string_view wanted) {
    return fail(Code::invalid, fmt::format("{}: \"{}\" is not {}", name, value, wanted));
}

bool is_dns_label(std::string_view text) {
    if (text.empty() || text.size() > 63 || text.front() == '-' || text.back() == '-') return false;
    return text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") ==
           std::string_view::npos;
}

bool is_dns_name(std::string_view text) {
    while (true) {
        size_t dot = text.find('.');
        if (!is_dns_label(text.substr(0, dot))) return false;
        if (dot == std::string_view::npos) return true;
        text.remove_prefix(dot + 1);
    }
}

Result<> read_node_name(Settings& s, const std::string& v) {
    if (!is_dns_name(v)) return bad_value("nodeName", v, "a DNS name in lower case");
    s.node_name = v;
    return {};
}
Result<> read_node_ip(Settings& s, const std::string& v) {
    if (!linux::parse_ipv4(v)) return bad_value("nodeIP", v, "an IPv4 address");
    s.node_ip = v;
    return {};
}
Result<> read_listen(Settings& s, const std::string& v) {
    if (!linux::parse_ipv4(v)) return bad_value("listen", v, "an IPv4 address");
    s.listen = v;
    return {};
}
Result<> read_port(Settings& s, const std::string& v) {
    auto [end, error] = std::from_chars(v.data(), v.data() + v.size(), s.port);
    if (error != std::errc() || end != v.data() + v.size() || s.port == 0)
        return bad_value("port", v, "a number from 1 to 65535");
    return {};
}
Result<> read_pod_cidr(Settings& s, const std::string& v) {
    auto block = linux::parse_ipv4_block(v);
    if (!block || block->prefix > 24)
        return bad_value("podCIDR", v, "an IPv4 network of /24 or larger, as 10.244.0.0/16");
    s.pod_cidr = v;
    return {};
}
Result<> read_service_cidr(Settings& s, const std::string& v) {
    auto block = linux::parse_ipv4_block(v);
    if (!block || block->prefix > 24)
        return bad_value("serviceCIDR", v, "an IPv4 network of /24 or larger, as 10.96.0.0/16");
    s.service_cidr = v;
    return {};
}
Result<> read_cluster_domain(Settings& s, const std::string& v) {
    if (!is_dns_name(v)) return bad_value("clusterDomain", v, "a DNS name in lower case");
    s.cluster_domain = v;
    return {};
}
Result<> read_log_level(Settings& s, const std::string& v) {
    if (v != "debug" && v != "info" && v != "warning" && v != "error")
        return bad_value("logLevel", v, "debug, info, warning or error");
    s.log_level = v;
    return {};
}

constexpr Row rows[] = {
    {"nodeName", "--node-name", read_node_name, [](const Settings& s) { return s.node_name; }, true,
     true},
    {"nodeIP", "--node-ip", read_node_ip, [](const Settings& s) { return s.node_ip; }, false,
     false}, // found anew at each start: machines move
    {"listen", "--listen", read_listen, [](const Settings& s) { return s.listen; }, true, false},
    {"port", "--port", read_port, [](const Settings& s) { return std::to_string(s.port); }, true,
     false},
    {"podCIDR", "--pod-cidr", read_pod_cidr, [](const Settings& s) { return s.pod_cidr; }, true,
     true},
    {"serviceCIDR", "--service-cidr", read_service_cidr,
     [](const Settings& s) { return s.service_cidr; }, true, true},
    {"clusterDomain", "--cluster-domain", read_cluster_domain,
     [](const Settings& s) { return s.cluster_domain; }, true, true},
    {"logLevel", "--log-level", read_log_level, [](const Settings& s) { return s.log_level; }, true,
     false},
};

const Row* row_named(std::string_view name) {
    for (const auto& row : rows)
        if (row.name == name) return &row;
    return nullptr;
}

std::string known_names() {
    std::string names;
    for (const auto& row : rows) names += (names.empty() ? "" : ", ") + std::string(row.name);
    return names;
}

Result<> apply_given(Settings& settings, const GivenSettings& given) {
    for (const auto& [name, value] : given) {
        const Row* row = row_named(name);
        if (!row)
            return fail(Code::invalid, fmt::format("there is no setting \"{}\"; there are {}", name,
                                                   known_names()));
        TRY(row->read(settings, value));
    }
    return {};
}

GivenSettings remembered(const Settings& settings) {
    GivenSettings memory;
    auto text = io::read_file(settings.marker());
    if (!text) return memory;
    auto json = codec::parse_json(*text);
    if (!json) return memory;
    for (const auto& [name, value] : (*json)["settings"].members())
        if (row_named(name)) memory.emplace(name, std::string(value.as_string()));
    return memory;
}

Result<> refuse_changed_networks(const GivenSettings& memory, const Settings& settings) {
    for (const auto& row : rows) {
        auto former = memory.find(row.name);
        if (!row.fixed || former == memory.end() || row.write(settings) == former->second) continue;
        return fail(Code::conflict,
                    fmt::format("{} is {} in this cloud and cannot become {}: remove the cloud "
                                "first (cloudlet down "
                                "--purge --root {}) or choose another root",
                                row.name, former->second, row.write(settings), settings.root));
    }
    return {};
}

} // namespace

Result<std::string> Settings::service_address(uint32_t n) const {
    auto block = TRY(linux::parse_ipv4_block(service_cidr));
    return linux::Ipv4{block.base.value + n}.to_string();
}

Result<network::NetworkOptions> Settings::network_options() const {
    network::NetworkOptions options;
    options.instance_id = instance;
    options.cluster_block = TRY(linux::parse_ipv4_block(pod_cidr));
    options.pod_block = {options.cluster_block.base, 24};
    options.service_block = TRY(linux::parse_ipv4_block(service_cidr));
    options.dns_service = TRY(linux::parse_ipv4(TRY(service_address(10))));
    return options;
}

Result<Settings> settings_for_root(const std::string& root) {
    if (root.empty()) return fail(Code::invalid, "--root is empty; it names the cloud's folder");
    Settings settings;
    // What exists is followed through its links; what does not exist yet is taken as it is written.
    // So the name, and the instance that follows from it, is the same before and after its making.
    std::error_code failed;
    auto path = std::filesystem::absolute(root, failed);
    if (!failed) path = std::filesystem::weakly_canonical(path, failed);
    if (failed) return fail(Code::invalid, fmt::format("{}: {}", root, failed.message()));
    settings.root = path.string();
    while (settings.root.size() > 1 && settings.root.back() == '/') settings.root.pop_back();
    if (settings.root == "/")
        return fail(Code::invalid, "--root / would be the whole machine; name a folder");
    if (io::exists(settings.root) && !io::is_directory(settings.root))
        return fail(Code::invalid, settings.root + " is no folder; choose another with --root");
    settings.instance = codec::sha256_hex(settings.root).substr(0, 6);
    return settings;
}

Result<GivenSettings> read_config_file(const std::string& path) {
    auto text = TRY(with_context(io::read_file(path), "configuration"));
    auto documents = TRY(with_context(codec::parse_yaml(text), path));
    GivenSettings given;
    for (const auto& document : documents) {
        if (!document.duplicate_keys.empty())
            return fail(Code::invalid,
                        fmt::format("{}: \"{}\" stands twice", path, document.duplicate_keys[0]));
        if (!document.value.is_object() && !document.value.is_null())
            return fail(Code::invalid,
                        path + ": a configuration is a list of \"name: value\" lines");
        for (const auto& [name, value] : document.value.members()) {
            if (!row_named(name))
                return fail(Code::invalid,
                            fmt::format("{}: there is no setting \"{}\"; there are {}", path, name,
                                        known_names()));
            given[name] = value.is_string() ? std::string(value.as_string()) : value.dump();
        }
    }
    return given;
}

Result<Settings> settings_of_cloud(const std::string& root) {
    auto settings = TRY(settings_for_root(root));
    TRY(apply_given(settings, remembered(settings)));
    return settings;
}

Result<Settings> resolve_settings(const std::string& root, const GivenSettings& flags,
                                  const std::optional<std::string>& config_file) {
    auto settings = TRY(settings_for_root(root));
    settings.node_name = host_name();
    auto memory = remembered(settings);
    TRY(apply_given(settings, memory));
    std::string file = config_file.value_or(settings.root + "/config.yaml");
    if (config_file || io::exists(file))
        TRY(with_context(apply_given(settings, TRY(read_config_file(file))), file));
    TRY(apply_given(settings, flags));
    TRY(refuse_changed_networks(memory, settings));
    auto network = TRY(settings.network_options());
    if (settings.node_ip.empty())
        settings.node_ip = find_node_address(network.gateway().to_string());
    return settings;
}

std::vector<std::string> flags_of(const Settings& settings) {
    std::vector<std::string> flags = {"--root", settings.root};
    for (const auto& row : rows) flags.insert(flags.end(), {row.flag, row.write(settings)});
    return flags;
}

Result<> remember_settings(const Settings& settings) {
    auto values = codec::Json::object();
    for (const auto& row : rows)
        if (row.remembered) values.set(row.name, row.write(settings));
    auto marker =
        codec::Json::object({{"instance", settings.instance}, {"settings", std::move(values)}});
    return io::write_file_atomic(settings.marker(), marker.dump_pretty() + "\n", 0600);
}

} // namespace cloudlet::app
