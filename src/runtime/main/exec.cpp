// exec: one more process in a running container.

#include <unistd.h>

#include <fmt/format.h>

#include "arguments.h"
#include "cloudlet/codec/json.h"
#include "cloudlet/io/file.h"
#include "cloudlet/runtime/user.h"
#include "commands.h"
#include "launcher.h"
#include "session.h"
#include "state.h"

namespace cloudlet::runtime {
namespace {

const std::vector<OptionName> kOptions = {
    {"process", "p"},           {"tty", "t", true},     {"user", "u"},
    {"additional-gids", "g"},   {"env", "e"},           {"cwd", ""},
    {"detach", "d", true},      {"pid-file", ""},       {"cap", "c"},
    {"no-new-privs", "", true}, {"console-socket", ""}, {"preserve-fds", ""}};

Result<> set_user(const Arguments& arguments, const ContainerState& state, Process& process) {
    if (arguments.has("user")) {
        const ResolvedUser user = TRY(resolve_user(state.root_path, arguments.get("user")));
        process.user = user.to_user();
    }
    for (const std::string& text : arguments.all("additional-gids")) {
        const ResolvedUser group = TRY(resolve_user(state.root_path, "0:" + text));
        process.user.additional_gids.push_back(group.gid);
    }
    return {};
}

// The container's own process with what the options change, or the one from a file.
Result<Process> wanted_process(const Arguments& arguments, const Spec& spec,
                               const ContainerState& state) {
    Process process = spec.process;
    if (arguments.has("process")) {
        const std::string path = arguments.get("process");
        const std::string text = TRY(io::read_file(path, 16 << 20));
        process = TRY(parse_process(TRY(with_context(codec::parse_json(text), path))));
    } else {
        process.args.assign(arguments.words.begin() + 1, arguments.words.end());
        process.terminal = arguments.has("tty");
        process.cwd = arguments.get("cwd", process.cwd);
        for (const std::string& variable : arguments.all("env")) process.env.push_back(variable);
        if (arguments.has("no-new-privs")) process.no_new_privileges = true;
        const auto added = TRY(linux::CapabilitySet::from_names(arguments.all("cap")));
        for (auto* set : {&process.capabilities.bounding, &process.capabilities.effective,
                          &process.capabilities.permitted})
            *set = *set | added;
        TRY(set_user(arguments, state, process));
    }
    if (process.args.empty())
        return fail(Code::invalid, "give a program to execute, or --process FILE");
    if (process.cwd.empty() || process.cwd[0] != '/')
        return fail(Code::invalid, "--cwd must be an absolute path");
    return process;
}

} // namespace

Result<int> command_exec(const Global& global, const Words& argv) {
    const Arguments arguments = TRY(parse_arguments(argv, kOptions));
    if (arguments.words.empty()) return fail(Code::invalid, "give a container id and a program");
    if (arguments.has("console-socket"))
        return fail(Code::unsupported, "--console-socket is not supported");
    if (arguments.has("preserve-fds") && arguments.get("preserve-fds") != "0")
        return fail(Code::unsupported, "--preserve-fds is not supported");
    TRY(check_id(arguments.words[0]));
    const StateFolder folder(global.root, arguments.words[0]);
    const ContainerState state = TRY(folder.load());
    const Status status = folder.status(state);
    if (status != Status::running && status != Status::created)
        return fail(Code::conflict, fmt::format("cannot exec in container \"{}\": it is {}",
                                                state.id, name_of(status)));
    const Spec spec = TRY(load_spec(folder.path()));
    const Process process = TRY(wanted_process(arguments, spec, state));
    const bool detach = arguments.has("detach");
    if (detach && process.terminal)
        return fail(Code::unsupported, "a detached exec has no terminal; leave out -t or -d");
    if (!detach) block_session_signals();

    const Host host = TRY(Host::probe());
    const linux::Cgroup group = host.cgroups.open(state.cgroup_path);
    const io::UniqueFd alive =
        TRY(linux::open_identified(state.process)); // its pid stays its own meanwhile
    const Plan plan =
        TRY(compile_exec_plan(spec, process, host, {state.process.pid, group.files()}));
    auto launched = launch(plan, -1);
    if (!launched) {
        print_error(global, launched.error().error.message);
        return launched.error().exit_code;
    }
    if (arguments.has("pid-file"))
        TRY(replace_file(arguments.get("pid-file"), fmt::format("{}", launched->pid), 0644));
    if (detach) return 0;
    return stay_with(launched->pid, std::move(launched->terminal));
}

} // namespace cloudlet::runtime
