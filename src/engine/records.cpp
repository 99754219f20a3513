#include "records.h"

#include <fcntl.h>
#include <unistd.h>

#include "cloudlet/base/id.h"
#include "cloudlet/io/file.h"

namespace cloudlet::engine {

using codec::Json;

namespace {

Json strings(const std::vector<std::string>& list) {
    Json json = Json::array();
    for (const auto& item : list) json.push_back(item);
    return json;
}

std::vector<std::string> read_strings(const Json& json) {
    std::vector<std::string> list;
    for (const auto& item : json.items()) list.emplace_back(item.as_string());
    return list;
}

Json text_map(const std::map<std::string, std::string>& map) {
    Json json = Json::object();
    for (const auto& [key, value] : map) json.set(key, value);
    return json;
}

std::map<std::string, std::string> read_text_map(const Json& json) {
    std::map<std::string, std::string> map;
    for (const auto& [key, value] : json.members()) map.emplace(key, value.as_string());
    return map;
}

std::string text(const Json& json) { return std::string(json.as_string()); }

Json limits_json(const Limits& limits) {
    return Json::object({{"memory", limits.memory_bytes},
                         {"quota", limits.cpu_quota_us},
                         {"period", limits.cpu_period_us},
                         {"shares", limits.cpu_shares},
                         {"pids", limits.pids}});
}

Limits read_limits(const Json& json) {
    return {.memory_bytes = json["memory"].as_int(),
            .cpu_quota_us = json["quota"].as_int(),
            .cpu_period_us = json["period"].as_int(),
            .cpu_shares = json["shares"].as_int(),
            .pids = json["pids"].as_int()};
}

Json time_json(WallTime time) { return static_cast<int64_t>(time.time_since_epoch().count()); }

WallTime read_time(const Json& json) { return WallTime{Duration{json.as_int()}}; }

} // namespace

Json to_json(const SandboxRecord& record) {
    const SandboxConfig& c = record.config;
    Json ports = Json::array();
    for (const auto& port : c.host_ports)
        ports.push_back(Json::object({{"protocol", port.protocol},
                                      {"hostIP", port.host_ip},
                                      {"hostPort", port.host_port},
                                      {"containerPort", port.container_port}}));
    Json json = Json::object({{"id", c.id},
                              {"name", c.name},
                              {"ns", c.ns},
                              {"hostname", c.hostname},
                              {"hostNetwork", c.host_network},
                              {"hostIPC", c.host_ipc},
                              {"hostPID", c.host_pid}});
    json.set("hostPorts", std::move(ports))
        .set("resolvConf", c.resolv_conf)
        .set("extraHosts", c.extra_hosts);
    json.set("fqdn", c.fqdn).set("limits", limits_json(c.limits)).set("shmBytes", c.shm_bytes);
    json.set("sysctls", text_map(c.sysctls)).set("labels", text_map(c.labels));
    json.set("ip", record.ip)
        .set("gateway", record.gateway)
        .set("createdAt", time_json(record.created_at));
    return json;
}

Result<SandboxRecord> parse_sandbox_record(const Json& json) {
    SandboxRecord record;
    SandboxConfig& c = record.config;
    c.id = text(json["id"]);
    if (c.id.empty()) return fail(Code::invalid, "sandbox record without an id");
    c.name = text(json["name"]);
    c.ns = text(json["ns"]);
    c.hostname = text(json["hostname"]);
    c.host_network = json["hostNetwork"].as_bool();
    c.host_ipc = json["hostIPC"].as_bool();
    c.host_pid = json["hostPID"].as_bool();
    for (const auto& port : json["hostPorts"].items())
        c.host_ports.push_back({text(port["protocol"]), text(port["hostIP"]),
                                static_cast<uint16_t>(port["hostPort"].as_int()),
                                static_cast<uint16_t>(port["containerPort"].as_int())});
    c.resolv_conf = text(json["resolvConf"]);
    c.extra_hosts = text(json["extraHosts"]);
    c.fqdn = text(json["fqdn"]);
    c.limits = read_limits(json["limits"]);
    c.shm_bytes = json["shmBytes"].as_int();
    c.sysctls = read_text_map(json["sysctls"]);
    c.labels = read_text_map(json["labels"]);
    record.ip = text(json["ip"]);
    record.gateway = text(json["gateway"]);
    record.created_at = read_time(json["createdAt"]);
    return record;
}

Json to_json(const ContainerRecord& record) {
    const ContainerConfig& c = record.config;
    Json mounts = Json::array();
    for (const auto& mount : c.mounts)
        mounts.push_back(Json::object({{"source", mount.source},
                                       {"destination", mount.destination},
                                       {"readOnly", mount.read_only},
                                       {"propagation", mount.propagation}}));
    Json groups = Json::array();
    for (int64_t group : c.supplementary_groups) groups.push_back(group);
    Json json = Json::object({{"id", c.id},
                              {"name", c.name},
                              {"sandbox", c.sandbox},
                              {"image", c.image},
                              {"command", strings(c.command)},
                              {"args", strings(c.args)},
                              {"env", strings(c.env)},
                              {"workingDir", c.working_dir},
                              {"user", c.user}});
    json.set("groups", std::move(groups)).set("mounts", std::move(mounts));
    json.set("capabilitiesAdd", strings(c.capabilities_add))
        .set("capabilitiesDrop", strings(c.capabilities_drop));
    json.set("privileged", c.privileged).set("readOnlyRootfs", c.read_only_rootfs);
    json.set("noNewPrivileges", c.no_new_privileges)
        .set("seccomp", c.seccomp)
        .set("maskPaths", c.mask_paths);
    json.set("limits", limits_json(c.limits)).set("oomScoreAdj", c.oom_score_adj);
    json.set("terminal", c.terminal).set("stdinOpen", c.stdin_open).set("logPath", c.log_path);
    json.set("logMaxBytes", c.log_max_bytes).set("logMaxFiles", c.log_max_files);
    json.set("stopSignal", c.stop_signal).set("labels", text_map(c.labels));
    json.set("createdAt", time_json(record.created_at));
    return json;
}

Result<ContainerRecord> parse_container_record(const Json& json) {
    ContainerRecord record;
    ContainerConfig& c = record.config;
    c.id = text(json["id"]);
    if (c.id.empty()) return fail(Code::invalid, "container record without an id");
    c.name = text(json["name"]);
    c.sandbox = text(json["sandbox"]);
    c.image = text(json["image"]);
    c.command = read_strings(json["command"]);
    c.args = read_strings(json["args"]);
    c.env = read_strings(json["env"]);
    c.working_dir = text(json["workingDir"]);
    c.user = text(json["user"]);
    for (const auto& group : json["groups"].items())
        c.supplementary_groups.push_back(group.as_int());
    for (const auto& mount : json["mounts"].items())
        c.mounts.push_back({text(mount["source"]), text(mount["destination"]),
                            mount["readOnly"].as_bool(), text(mount["propagation"])});
    c.capabilities_add = read_strings(json["capabilitiesAdd"]);
    c.capabilities_drop = read_strings(json["capabilitiesDrop"]);
    c.privileged = json["privileged"].as_bool();
    c.read_only_rootfs = json["readOnlyRootfs"].as_bool();
    c.no_new_privileges = json["noNewPrivileges"].as_bool();
    c.seccomp = json["seccomp"].as_bool(true);
    c.mask_paths = json["maskPaths"].as_bool(true);
    c.limits = read_limits(json["limits"]);
    c.oom_score_adj = json["oomScoreAdj"].as_int();
    c.terminal = json["terminal"].as_bool();
    c.stdin_open = json["stdinOpen"].as_bool();
    c.log_path = text(json["logPath"]);
    c.log_max_bytes = json["logMaxBytes"].as_int();
    c.log_max_files = static_cast<int>(json["logMaxFiles"].as_int());
    c.stop_signal = text(json["stopSignal"]);
    c.labels = read_text_map(json["labels"]);
    record.created_at = read_time(json["createdAt"]);
    return record;
}

Result<> write_record(const std::string& directory, const Json& json) {
    const std::string body = json.dump();
    char head[24];
    const int length = snprintf(head, sizeof head, "%08x %zu\n", fnv1a32(body), body.size());
    const std::string temporary = directory + "/record.new";
    {
        const io::UniqueFd fd = TRY(io::open_file(temporary, O_WRONLY | O_CREAT | O_TRUNC, 0600));
        TRY(io::write_all(fd.get(), std::string(head, static_cast<size_t>(length)) + body));
    }
    if (::rename(temporary.c_str(), (directory + "/record").c_str()) != 0)
        return fail_errno("rename " + temporary);
    return {};
}

Result<Json> read_record(const std::string& directory) {
    const std::string bytes = TRY(io::read_file(directory + "/record", 4 << 20));
    unsigned digest = 0;
    size_t size = 0;
    const size_t head = bytes.find('\n');
    if (head == std::string::npos || sscanf(bytes.c_str(), "%8x %zu", &digest, &size) != 2 ||
        bytes.size() - head - 1 != size ||
        fnv1a32(std::string_view(bytes).substr(head + 1)) != digest)
        return fail(Code::not_found, directory + "/record is torn");
    return codec::parse_json(std::string_view(bytes).substr(head + 1));
}

} // namespace cloudlet::engine
