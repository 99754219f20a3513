#include "cloudlet/runtime/spec.h"

#include <limits>

#include <fmt/format.h>

#include "cloudlet/io/file.h"
#include "default_devices.h"

namespace cloudlet::runtime {
namespace {

using codec::Json;

auto wrong(std::string_view where, std::string_view what) {
    return fail(Code::invalid, fmt::format("config.json: {} {}", where, what));
}

Result<std::string> text(const Json& value, std::string_view where) {
    if (value.is_null()) return std::string();
    if (!value.is_string()) return wrong(where, "must be a string");
    std::string out(value.as_string());
    if (out.find('\0') != std::string::npos) return wrong(where, "must not contain a NUL");
    return out;
}

Result<std::vector<std::string>> texts(const Json& value, std::string_view where) {
    std::vector<std::string> out;
    if (value.is_null()) return out;
    if (!value.is_array()) return wrong(where, "must be a list of strings");
    for (size_t i = 0; i < value.size(); i++) {
        if (!value[i].is_string())
            return wrong(fmt::format("{}[{}]", where, i), "must be a string");
        out.push_back(TRY(text(value[i], fmt::format("{}[{}]", where, i))));
    }
    return out;
}

Result<int64_t> integer(const Json& value, std::string_view where, int64_t low, int64_t high) {
    if (!value.is_int() || value.as_int(low) < low || value.as_int(low) > high)
        return wrong(where, fmt::format("must be an integer from {} to {}", low, high));
    return value.as_int();
}

Result<uint32_t> u32(const Json& value, std::string_view where) {
    if (value.is_null()) return 0u;
    return static_cast<uint32_t>(
        TRY(integer(value, where, 0, std::numeric_limits<uint32_t>::max())));
}

Result<std::vector<std::pair<std::string, std::string>>> string_map(const Json& value,
                                                                    std::string_view where) {
    std::vector<std::pair<std::string, std::string>> out;
    if (value.is_null()) return out;
    if (!value.is_object()) return wrong(where, "must be an object of strings");
    for (const auto& member : value.members()) {
        if (!member.value.is_string())
            return wrong(fmt::format("{}.{}", where, member.key), "must be a string");
        out.emplace_back(member.key, member.value.as_string());
    }
    return out;
}

Result<User> parse_user(const Json& json) {
    User user;
    user.uid = TRY(u32(json["uid"], "process.user.uid"));
    user.gid = TRY(u32(json["gid"], "process.user.gid"));
    if (!json["umask"].is_null())
        user.umask = TRY(u32(json["umask"], "process.user.umask")) & 0777u;
    for (const Json& group : json["additionalGids"].items())
        user.additional_gids.push_back(TRY(u32(group, "process.user.additionalGids")));
    return user;
}

Result<Capabilities> parse_capabilities(const Json& json) {
    Capabilities out;
    const std::pair<const char*, linux::CapabilitySet*> sets[] = {{"bounding", &out.bounding},
                                                                  {"effective", &out.effective},
                                                                  {"permitted", &out.permitted},
                                                                  {"inheritable", &out.inheritable},
                                                                  {"ambient", &out.ambient}};
    for (const auto& [name, set] : sets) {
        const std::string where = fmt::format("process.capabilities.{}", name);
        const auto names = TRY(texts(json[name], where));
        *set = TRY(with_context(linux::CapabilitySet::from_names(names), where));
    }
    return out;
}

Result<std::vector<Rlimit>> parse_rlimits(const Json& json) {
    std::vector<Rlimit> out;
    const auto bound = [](const Json& value) { // -1 and 2^64-1 both mean "no limit"
        return value.is_int() && value.as_int(-1) >= 0 ? static_cast<uint64_t>(value.as_int())
                                                       : ~uint64_t{0};
    };
    for (const Json& item : json.items()) {
        Rlimit limit;
        limit.type = TRY(text(item["type"], "process.rlimits.type"));
        if (!item["soft"].is_number() || !item["hard"].is_number())
            return wrong("process.rlimits", fmt::format("needs soft and hard for {}", limit.type));
        limit.soft = bound(item["soft"]);
        limit.hard = bound(item["hard"]);
        if (limit.soft > limit.hard)
            return wrong("process.rlimits", fmt::format("{}: soft is above hard", limit.type));
        out.push_back(std::move(limit));
    }
    return out;
}

Result<std::vector<Mount>> parse_mounts(const Json& json) {
    std::vector<Mount> out;
    for (size_t i = 0; i < json.size(); i++) {
        const std::string where = fmt::format("mounts[{}]", i);
        Mount mount;
        mount.destination = TRY(text(json[i]["destination"], where + ".destination"));
        if (mount.destination.empty() || mount.destination[0] != '/')
            return wrong(where + ".destination", "must be an absolute path");
        mount.type = TRY(text(json[i]["type"], where + ".type"));
        mount.source = TRY(text(json[i]["source"], where + ".source"));
        mount.options = TRY(texts(json[i]["options"], where + ".options"));
        if (!json[i]["uidMappings"].is_null() || !json[i]["gidMappings"].is_null())
            return fail(Code::unsupported,
                        fmt::format("config.json: {}: id-mapped mounts are not supported", where));
        out.push_back(std::move(mount));
    }
    return out;
}

Result<std::vector<Namespace>> parse_namespaces(const Json& json) {
    std::vector<Namespace> out;
    for (const Json& item : json.items()) {
        const std::string kind = TRY(text(item["type"], "linux.namespaces.type"));
        Namespace ns{
            TRY(with_context(linux::parse_namespace_kind(kind), "config.json: linux.namespaces")),
            TRY(text(item["path"], "linux.namespaces.path"))};
        if (ns.kind == linux::NamespaceKind::user)
            return fail(Code::unsupported, "config.json: user namespaces are not supported; remove "
                                           "\"user\" from linux.namespaces");
        for (const Namespace& earlier : out)
            if (earlier.kind == ns.kind)
                return wrong("linux.namespaces", fmt::format("names \"{}\" twice", kind));
        out.push_back(std::move(ns));
    }
    return out;
}

Result<std::vector<Device>> parse_devices(const Json& json) {
    std::vector<Device> out;
    for (const Json& item : json.items()) {
        Device device;
        const std::string type = TRY(text(item["type"], "linux.devices.type"));
        device.path = TRY(text(item["path"], "linux.devices.path"));
        if (type != "c" && type != "u" && type != "b" && type != "p")
            return wrong("linux.devices.type", fmt::format("\"{}\" is none of c, u, b, p", type));
        if (device.path.empty() || device.path[0] != '/')
            return wrong("linux.devices.path", "must be an absolute path");
        device.type = type == "u" ? 'c' : type[0];
        device.major = TRY(u32(item["major"], "linux.devices.major"));
        device.minor = TRY(u32(item["minor"], "linux.devices.minor"));
        if (!item["fileMode"].is_null())
            device.mode = TRY(u32(item["fileMode"], "linux.devices.fileMode")) & 07777u;
        device.uid = TRY(u32(item["uid"], "linux.devices.uid"));
        device.gid = TRY(u32(item["gid"], "linux.devices.gid"));
        out.push_back(std::move(device));
    }
    return out;
}

Result<std::vector<linux::DeviceRule>> parse_device_rules(const Json& json) {
    std::vector<linux::DeviceRule> out;
    for (const Json& item : json.items()) {
        linux::DeviceRule rule;
        const std::string type = TRY(text(item["type"], "linux.resources.devices.type"));
        const std::string access = TRY(text(item["access"], "linux.resources.devices.access"));
        if (type != "" && type != "a" && type != "b" && type != "c")
            return wrong("linux.resources.devices.type",
                         fmt::format("\"{}\" is none of a, b, c", type));
        if (access.find_first_not_of("rwm") != std::string::npos)
            return wrong("linux.resources.devices.access",
                         fmt::format("\"{}\" is not made of r, w, m", access));
        rule.allow = item["allow"].as_bool();
        rule.type = type.empty() ? 'a' : type[0];
        rule.major = item["major"].as_int(-1);
        rule.minor = item["minor"].as_int(-1);
        if (!access.empty()) rule.access = access;
        out.push_back(rule);
    }
    for (const linux::DeviceRule& rule : default_device_rules()) out.push_back(rule);
    return out;
}

Result<linux::ResourceLimits> parse_resources(const Json& json) {
    linux::ResourceLimits out;
    constexpr int64_t most = std::numeric_limits<int64_t>::max();
    const auto read = [&](std::initializer_list<std::string_view> path, auto& field,
                          int64_t low) -> Result<> {
        const Json& value = json.at(path);
        if (value.is_null()) return {};
        std::string where = "linux.resources";
        for (const auto part : path) where.append(".").append(part);
        field = TRY(integer(value, where, low, most));
        return {};
    };
    TRY(read({"cpu", "shares"}, out.cpu_shares, 0));
    TRY(read({"cpu", "quota"}, out.cpu_quota_us, -1));
    TRY(read({"cpu", "period"}, out.cpu_period_us, 0));
    TRY(read({"memory", "limit"}, out.memory_bytes, -1));
    TRY(read({"memory", "swap"}, out.memory_swap_bytes, -1));
    TRY(read({"memory", "reservation"}, out.memory_reservation_bytes, -1));
    TRY(read({"pids", "limit"}, out.pids, -1));
    if (out.cpu_shares == 0u) out.cpu_shares.reset();
    if (out.cpu_period_us == 0u) out.cpu_period_us.reset();
    out.cpuset_cpus = TRY(text(json.at({"cpu", "cpus"}), "linux.resources.cpu.cpus"));
    out.cpuset_mems = TRY(text(json.at({"cpu", "mems"}), "linux.resources.cpu.mems"));
    if (!json["devices"].is_null()) out.devices = TRY(parse_device_rules(json["devices"]));
    return out;
}

Result<linux::SeccompAction> parse_action(const Json& json) {
    using linux::SeccompAction;
    static const std::pair<std::string_view, SeccompAction> names[] = {
        {"SCMP_ACT_ALLOW", SeccompAction::allow},
        {"SCMP_ACT_ERRNO", SeccompAction::error},
        {"SCMP_ACT_TRAP", SeccompAction::trap},
        {"SCMP_ACT_KILL", SeccompAction::kill_thread},
        {"SCMP_ACT_KILL_THREAD", SeccompAction::kill_thread},
        {"SCMP_ACT_KILL_PROCESS", SeccompAction::kill_process},
        {"SCMP_ACT_TRACE", SeccompAction::trace},
        {"SCMP_ACT_LOG", SeccompAction::log}};
    const std::string_view name = json.as_string();
    for (const auto& [known, action] : names)
        if (known == name) return action;
    if (name == "SCMP_ACT_NOTIFY")
        return fail(Code::unsupported,
                    "config.json: linux.seccomp: SCMP_ACT_NOTIFY is not supported");
    return wrong("linux.seccomp", fmt::format("action \"{}\" is unknown", name));
}

Result<linux::SeccompArgument> parse_argument(const Json& json) {
    using Compare = linux::SeccompArgument::Compare;
    static const std::pair<std::string_view, Compare> names[] = {
        {"SCMP_CMP_NE", Compare::not_equal},          {"SCMP_CMP_LT", Compare::less},
        {"SCMP_CMP_LE", Compare::less_equal},         {"SCMP_CMP_EQ", Compare::equal},
        {"SCMP_CMP_GE", Compare::greater_equal},      {"SCMP_CMP_GT", Compare::greater},
        {"SCMP_CMP_MASKED_EQ", Compare::masked_equal}};
    linux::SeccompArgument out;
    out.index = static_cast<unsigned>(
        TRY(integer(json["index"], "linux.seccomp.syscalls.args.index", 0, 5)));
    out.value = static_cast<uint64_t>(json["value"].as_int());
    out.value_two = static_cast<uint64_t>(json["valueTwo"].as_int());
    for (const auto& [known, compare] : names) {
        if (known != json["op"].as_string()) continue;
        out.compare = compare;
        return out;
    }
    return wrong("linux.seccomp.syscalls.args.op",
                 fmt::format("\"{}\" is unknown", json["op"].as_string()));
}

Result<std::optional<linux::SeccompProfile>> parse_seccomp(const Json& json) {
    if (json.is_null()) return std::nullopt;
    linux::SeccompProfile out;
    out.default_action = TRY(parse_action(json["defaultAction"]));
    if (!json["defaultErrnoRet"].is_null())
        out.default_errno = TRY(u32(json["defaultErrnoRet"], "linux.seccomp.defaultErrnoRet"));
    out.architectures = TRY(texts(json["architectures"], "linux.seccomp.architectures"));
    out.flags = TRY(texts(json["flags"], "linux.seccomp.flags"));
    for (const Json& item : json["syscalls"].items()) {
        linux::SeccompRule rule;
        rule.names = TRY(texts(item["names"], "linux.seccomp.syscalls.names"));
        rule.action = TRY(parse_action(item["action"]));
        if (!item["errnoRet"].is_null())
            rule.errno_value = TRY(u32(item["errnoRet"], "linux.seccomp.syscalls.errnoRet"));
        for (const Json& argument : item["args"].items())
            rule.arguments.push_back(TRY(parse_argument(argument)));
        out.rules.push_back(std::move(rule));
    }
    return out;
}

// Engines write out fields that they do not use: null, false, 0, "" and what holds nothing else.
bool says_something(const Json& value) {
    if (value.is_null()) return false;
    if (value.is_bool()) return value.as_bool();
    if (value.is_number()) return !value.is_int() || value.as_int(1) != 0;
    if (value.is_string()) return !value.as_string().empty();
    if (value.is_array()) return !value.empty();
    for (const auto& member : value.members())
        if (says_something(member.value)) return true;
    return false;
}

const Json& at_path(const Json& config, std::string_view path) {
    const Json* value = &config;
    for (size_t at = 0; at <= path.size();) {
        const size_t dot = std::min(path.find('.', at), path.size());
        value = &(*value)[path.substr(at, dot - at)];
        at = dot + 1;
    }
    return *value;
}

// OCI runtime-spec 1.2; fields that no engine sets unless it is asked for them.
constexpr std::string_view kNotDone[] = {
    "process.scheduler",
    "process.ioPriority",
    "process.execCPUAffinity",
    "process.apparmorProfile",
    "process.selinuxLabel",
    "linux.mountLabel",
    "linux.timeOffsets",
    "linux.intelRdt",
    "linux.netDevices",
    "linux.resources.blockIO",
    "linux.resources.hugepageLimits",
    "linux.resources.network",
    "linux.resources.rdma",
    "linux.resources.unified",
    "linux.resources.cpu.realtimeRuntime",
    "linux.resources.cpu.realtimePeriod",
    "linux.resources.cpu.burst",
    "linux.resources.cpu.idle",
    "linux.resources.memory.kernel",
    "linux.resources.memory.kernelTCP",
    "linux.resources.memory.swappiness",
    "linux.resources.memory.disableOOMKiller",
};

// What the specification has and we do not: named, so that nobody believes it was done.
Result<> refuse_unsupported(const Json& config) {
    for (const auto& member : config["hooks"].members())
        if (!member.value.empty())
            return fail(
                Code::unsupported,
                fmt::format("config.json: hooks.{} is not supported; remove it", member.key));
    const Json& linux_part = config["linux"];
    if (!linux_part["uidMappings"].empty() || !linux_part["gidMappings"].empty())
        return fail(Code::unsupported,
                    "config.json: user namespaces are not supported; remove linux.uidMappings");
    for (const std::string_view path : kNotDone)
        if (says_something(at_path(config, path)))
            return fail(Code::unsupported,
                        fmt::format("config.json: {} is not supported; remove it", path));
    const std::string_view domain = linux_part["personality"]["domain"].as_string();
    if (!domain.empty() && domain != "LINUX")
        return fail(
            Code::unsupported,
            fmt::format("config.json: linux.personality.domain {} is not supported", domain));
    return {};
}

Result<> parse_linux(const Json& json, Spec& spec) {
    spec.namespaces = TRY(parse_namespaces(json["namespaces"]));
    spec.devices = TRY(parse_devices(json["devices"]));
    spec.resources = TRY(parse_resources(json["resources"]));
    spec.cgroups_path = TRY(text(json["cgroupsPath"], "linux.cgroupsPath"));
    if (spec.cgroups_path.find(':') != std::string::npos)
        return fail(Code::unsupported, "config.json: linux.cgroupsPath in systemd form "
                                       "(slice:prefix:name) is not supported; give a path");
    spec.masked_paths = TRY(texts(json["maskedPaths"], "linux.maskedPaths"));
    spec.read_only_paths = TRY(texts(json["readonlyPaths"], "linux.readonlyPaths"));
    spec.sysctl = TRY(string_map(json["sysctl"], "linux.sysctl"));
    spec.seccomp = TRY(parse_seccomp(json["seccomp"]));
    spec.rootfs_propagation = TRY(text(json["rootfsPropagation"], "linux.rootfsPropagation"));
    return {};
}

} // namespace

const Namespace* Spec::find_namespace(linux::NamespaceKind kind) const {
    for (const Namespace& ns : namespaces)
        if (ns.kind == kind) return &ns;
    return nullptr;
}

bool Spec::has_namespace(linux::NamespaceKind kind) const {
    return find_namespace(kind) != nullptr;
}

Result<Process> parse_process(const Json& json) {
    Process out;
    out.terminal = json["terminal"].as_bool();
    const auto size = [&](const char* key) {
        return static_cast<uint16_t>(
            std::clamp<int64_t>(json.at({"consoleSize", key}).as_int(), 0, 65535));
    };
    out.console_rows = size("height");
    out.console_columns = size("width");
    out.user = TRY(parse_user(json["user"]));
    out.args = TRY(texts(json["args"], "process.args"));
    if (out.args.empty()) return wrong("process.args", "must name a program");
    out.env = TRY(texts(json["env"], "process.env"));
    out.cwd = TRY(text(json["cwd"], "process.cwd"));
    if (out.cwd.empty() || out.cwd[0] != '/')
        return wrong("process.cwd", "must be an absolute path");
    out.capabilities = TRY(parse_capabilities(json["capabilities"]));
    out.rlimits = TRY(parse_rlimits(json["rlimits"]));
    out.no_new_privileges = json["noNewPrivileges"].as_bool();
    if (!json["oomScoreAdj"].is_null())
        out.oom_score_adj =
            static_cast<int>(TRY(integer(json["oomScoreAdj"], "process.oomScoreAdj", -1000, 1000)));
    return out;
}

Result<Spec> parse_spec(const Json& config) {
    if (!config.is_object()) return fail(Code::invalid, "config.json: must be an object");
    Spec spec;
    spec.version = TRY(text(config["ociVersion"], "ociVersion"));
    if (!spec.version.starts_with("1."))
        return wrong("ociVersion", fmt::format("\"{}\" is not 1.x", spec.version));
    TRY(refuse_unsupported(config));
    if (!config["process"].is_object()) return wrong("process", "is missing");
    spec.process = TRY(parse_process(config["process"]));
    spec.root_path = TRY(text(config.at({"root", "path"}), "root.path"));
    if (spec.root_path.empty()) return wrong("root.path", "is missing");
    spec.root_read_only = config.at({"root", "readonly"}).as_bool();
    spec.hostname = TRY(text(config["hostname"], "hostname"));
    spec.domainname = TRY(text(config["domainname"], "domainname"));
    spec.mounts = TRY(parse_mounts(config["mounts"]));
    spec.annotations = TRY(string_map(config["annotations"], "annotations"));
    TRY(parse_linux(config["linux"], spec));
    return spec;
}

Result<Spec> load_spec(const std::string& bundle) {
    const std::string path = bundle + "/config.json";
    auto bytes = io::read_file(path, 16 << 20);
    if (!bytes) return with_context(Result<Spec>(tl::unexpected(bytes.error())), "read the bundle");
    const Json config = TRY(with_context(codec::parse_json(*bytes), path));
    return parse_spec(config);
}

} // namespace cloudlet::runtime
