// state, list, kill and delete.

#include <signal.h>
#include <sys/stat.h>

#include <cstdio>

#include <fmt/format.h>

#include "arguments.h"
#include "cloudlet/codec/json.h"
#include "cloudlet/linux/cgroup.h"
#include "commands.h"
#include "state.h"

namespace cloudlet::runtime {
namespace {

void print(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stdout); }

codec::Json describe(const ContainerState& state, Status status) {
    codec::Json json = codec::Json::object();
    json.set("ociVersion", "1.0.2").set("id", state.id);
    json.set("pid", status == Status::stopped ? 0 : state.process.pid);
    json.set("status", name_of(status)).set("bundle", state.bundle).set("rootfs", state.root_path);
    json.set("created", state.created).set("owner", "root");
    return json;
}

Result<StateFolder> one_container(const Global& global, const Words& words) {
    if (words.size() != 1) return fail(Code::invalid, "give exactly one container id");
    TRY(check_id(words[0]));
    return StateFolder(global.root, words[0]);
}

std::string table(const std::vector<std::pair<ContainerState, Status>>& containers) {
    size_t width = 2, bundle_width = 6;
    for (const auto& [state, status] : containers) {
        width = std::max(width, state.id.size());
        bundle_width = std::max(bundle_width, state.bundle.size());
    }
    const auto line = [&](std::string_view id, std::string_view pid, std::string_view status,
                          std::string_view bundle, std::string_view created,
                          std::string_view owner) {
        return fmt::format("{:<{}}   {:<9}   {:<8}   {:<{}}   {:<27}   {}\n", id, width, pid,
                           status, bundle, bundle_width, created, owner);
    };
    std::string out = line("ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER");
    for (const auto& [state, status] : containers)
        out += line(state.id, fmt::format("{}", status == Status::stopped ? 0 : state.process.pid),
                    name_of(status), state.bundle, state.created, "root");
    return out;
}

} // namespace

Result<int> command_state(const Global& global, const Words& argv) {
    const StateFolder folder = TRY(one_container(global, argv));
    const ContainerState state = TRY(folder.load());
    print(describe(state, folder.status(state)).dump_pretty(2) + "\n");
    return 0;
}

Result<int> command_list(const Global& global, const Words& argv) {
    const Arguments arguments = TRY(parse_arguments(argv, {{"quiet", "q", true}, {"format", "f"}}));
    if (!arguments.words.empty()) return fail(Code::invalid, "list takes no container id");
    const std::string format = arguments.get("format", "table");
    if (format != "table" && format != "json")
        return fail(Code::invalid, fmt::format("--format {} is neither table nor json", format));
    std::vector<std::pair<ContainerState, Status>> containers;
    for (const std::string& id : TRY(list_ids(global.root))) {
        const StateFolder folder(global.root, id);
        const auto state = folder.load();
        if (state)
            containers.emplace_back(*state, folder.status(*state)); // others are not made yet
    }
    if (arguments.has("quiet")) {
        for (const auto& [state, status] : containers) print(state.id + "\n");
    } else if (format == "json") {
        codec::Json all = codec::Json::array();
        for (const auto& [state, status] : containers) all.push_back(describe(state, status));
        print(all.dump() + "\n");
    } else {
        print(table(containers));
    }
    return 0;
}

Result<int> command_kill(const Global& global, const Words& argv) {
    const Arguments arguments = TRY(parse_arguments(argv, {{"all", "a", true}}));
    if (arguments.words.empty() || arguments.words.size() > 2)
        return fail(Code::invalid, "give a container id and maybe a signal");
    const int signal =
        TRY(linux::parse_signal(arguments.words.size() == 2 ? arguments.words[1] : "TERM"));
    const StateFolder folder = TRY(one_container(global, {arguments.words[0]}));
    const ContainerState state = TRY(folder.load());
    if (arguments.has("all")) {
        const auto host = TRY(linux::CgroupHost::probe());
        for (const int pid : TRY(host.open(state.cgroup_path).members())) ::kill(pid, signal);
        return 0;
    }
    const auto process = linux::open_identified(state.process);
    if (!process)
        return fail(Code::conflict,
                    fmt::format("cannot kill container \"{}\": it is not running", state.id));
    TRY(linux::send_signal(process->get(), signal));
    return 0;
}

Result<int> command_delete(const Global& global, const Words& argv) {
    const Arguments arguments = TRY(parse_arguments(argv, {{"force", "f", true}}));
    const StateFolder folder = TRY(one_container(global, arguments.words));
    const auto state = folder.load();
    if (!state) {
        if (folder
                .is_abandoned()) { // a killed `create` left no state, or a power failure a torn one
            TRY(folder.destroy({}));
            return 0;
        }
        if (arguments.has("force") && state.error().code == Code::not_found) return 0;
        return tl::unexpected(state.error());
    }
    const Status status = folder.status(*state);
    if ((status == Status::running || status == Status::creating) && !arguments.has("force"))
        return fail(
            Code::conflict,
            fmt::format("cannot delete container \"{}\": it is {}; stop it first, or use --force",
                        state->id, name_of(status)));
    TRY(folder.destroy(*state));
    return 0;
}

} // namespace cloudlet::runtime
