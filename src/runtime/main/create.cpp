// create, run and start.

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>

#include <fmt/format.h>

#include "arguments.h"
#include "cloudlet/base/clock.h"
#include "cloudlet/codec/json.h"
#include "cloudlet/io/file.h"
#include "cloudlet/runtime/user.h"
#include "commands.h"
#include "launch/launch.h"
#include "launcher.h"
#include "session.h"
#include "state.h"

namespace cloudlet::runtime {
namespace {

const std::vector<OptionName> kOptions = {{"bundle", "b"},        {"console-socket", ""},
                                          {"pid-file", ""},       {"detach", "d", true},
                                          {"no-pivot", "", true}, {"no-new-keyring", "", true},
                                          {"preserve-fds", ""},   {"keep", "", true}};

struct Request {
    std::string id;
    std::string bundle;
    std::string pid_file;
    bool waits = false;
    bool detach = false;
    bool keep = false; // the state stays after the end of a run
};

Result<Request> parse_request(const Words& argv, bool create) {
    const Arguments arguments = TRY(parse_arguments(argv, kOptions));
    if (arguments.words.size() != 1) return fail(Code::invalid, "give exactly one container id");
    if (arguments.has("console-socket"))
        return fail(Code::unsupported,
                    "--console-socket is not supported; use run in the foreground for a terminal");
    if (arguments.has("no-pivot"))
        return fail(Code::unsupported, "--no-pivot is not supported: it would be unsafe");
    if (arguments.has("preserve-fds") && arguments.get("preserve-fds") != "0")
        return fail(Code::unsupported, "--preserve-fds is not supported");
    Request out{arguments.words[0],        arguments.get("bundle", "."),
                arguments.get("pid-file"), create,
                arguments.has("detach"),   arguments.has("keep")};
    TRY(check_id(out.id));
    char* absolute = realpath(out.bundle.c_str(), nullptr);
    if (absolute == nullptr) return fail_errno(fmt::format("open bundle {}", out.bundle));
    out.bundle = absolute;
    free(absolute);
    return out;
}

Result<io::UniqueFd> listen_for_start(const StateFolder& folder, int folder_fd) {
    io::UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    fmt::format_to_n(address.sun_path, sizeof address.sun_path - 1, "/proc/self/fd/{}/start.sock",
                     folder_fd);
    if (!socket ||
        bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        listen(socket.get(), 4) != 0)
        return fail_errno(fmt::format("listen on {}", folder.start_socket()));
    return socket;
}

// Undoes what was made, unless it is told that all is well.
class Undo {
public:
    Undo(const StateFolder& folder, const ContainerState& state) : folder_(folder), state_(state) {}
    ~Undo() {
        if (armed_) static_cast<void>(folder_.destroy(state_));
    }
    Undo(const Undo&) = delete;
    Undo& operator=(const Undo&) = delete;
    void disarm() { armed_ = false; }

private:
    const StateFolder& folder_;
    const ContainerState& state_;
    bool armed_ = true;
};

void add_home(const ContainerState& state, Process& process) {
    for (const std::string& variable : process.env)
        if (variable.starts_with("HOME=")) return;
    const auto user = resolve_user(state.root_path, fmt::format("{}", process.user.uid));
    process.env.push_back("HOME=" + (user ? user->home : "/"));
}

struct Made {
    Launched launched;
    int failure_code = 0; // not 0: the program could not be executed, and this is the exit status
    std::string failure;
};

// The whole creation: claim the id, record the intent, make the cgroup, launch, record the process.
Result<Made> make_container(const Request& request, const StateFolder& folder,
                            ContainerState& state) {
    Spec spec = TRY(load_spec(request.bundle));
    if (spec.process.terminal && (request.waits || request.detach))
        return fail(
            Code::unsupported,
            "process.terminal needs a console socket here, which is not supported; use run in "
            "the foreground, or set it to false");
    const io::UniqueFd lock = TRY(folder.claim());
    state.id = request.id;
    state.bundle = request.bundle;
    state.root_path =
        spec.root_path.starts_with('/') ? spec.root_path : request.bundle + "/" + spec.root_path;
    state.cgroup_path = spec.cgroups_path.empty()     ? "/cloudlet-" + request.id
                        : spec.cgroups_path[0] == '/' ? spec.cgroups_path
                                                      : "/" + spec.cgroups_path;
    state.created = format_micro_time(system_clock().wall());
    Undo undo(folder, state);
    TRY(folder.save(state));
    const std::string config = TRY(io::read_file(request.bundle + "/config.json", 16 << 20));
    const io::UniqueFd copy =
        TRY(io::open_file(folder.path() + "/config.json", O_WRONLY | O_CREAT | O_TRUNC, 0600));
    TRY(io::write_all(copy.get(), config));
    add_home(state, spec.process);

    const Host host = TRY(Host::probe());
    const linux::Cgroup group = TRY(host.cgroups.create(state.cgroup_path, spec.resources));
    PlanContext context;
    context.bundle = request.bundle;
    context.cgroup = group.files();
    context.cgroup_path = state.cgroup_path;
    context.wait_for_start = request.waits;
    const Plan plan = TRY(compile_plan(spec, host, context));
    for (const std::string& note : plan.notes) print_error({}, "note: " + note);
    io::UniqueFd listener;
    if (request.waits) listener = TRY(listen_for_start(folder, lock.get()));
    auto launched = launch(plan, listener ? listener.get() : -1);
    if (!launched) return Made{{}, launched.error().exit_code, launched.error().error.message};
    // From here on the process is recorded, or it is killed with its cgroup by `undo`.
    auto identity = linux::identify_process(launched->pid);
    state.process = identity ? *identity : linux::ProcessIdentity{launched->pid, 0};
    TRY(folder.save(state));
    if (!request.pid_file.empty())
        TRY(replace_file(request.pid_file, fmt::format("{}", launched->pid), 0644));
    undo.disarm();
    return Made{std::move(*launched), 0, {}};
}

Result<int> make_and_report(const Global& global, const Request& request) {
    const StateFolder folder(global.root, request.id);
    ContainerState state;
    Made made = TRY(make_container(request, folder, state));
    if (made.failure_code != 0) {
        print_error(global, made.failure);
        return made.failure_code;
    }
    if (request.waits || request.detach) return 0;
    const int status = TRY(stay_with(made.launched.pid, std::move(made.launched.terminal)));
    if (!request.keep) TRY(folder.destroy(state));
    return status;
}

} // namespace

Result<int> command_create(const Global& global, const Words& argv) {
    return make_and_report(global, TRY(parse_request(argv, true)));
}

Result<int> command_run(const Global& global, const Words& argv) {
    const Request request = TRY(parse_request(argv, false));
    if (!request.detach) block_session_signals();
    return make_and_report(global, request);
}

Result<int> command_start(const Global& global, const Words& argv) {
    if (argv.size() != 1) return fail(Code::invalid, "give exactly one container id");
    TRY(check_id(argv[0]));
    const StateFolder folder(global.root, argv[0]);
    const ContainerState state = TRY(folder.load());
    const Status status = folder.status(state);
    if (status != Status::created)
        return fail(Code::conflict,
                    fmt::format("cannot start container \"{}\": it is {}, not created", argv[0],
                                name_of(status)));
    const io::UniqueFd directory = TRY(io::open_file(folder.path(), O_PATH | O_DIRECTORY));
    const io::UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    fmt::format_to_n(address.sun_path, sizeof address.sun_path - 1, "/proc/self/fd/{}/start.sock",
                     directory.get());
    if (!socket ||
        connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        return fail_errno(fmt::format("reach the init of container \"{}\"", argv[0]));
    if (cl_launch_send(socket.get(), CL_MSG_START) != 0) return fail_errno("start the container");
    ::unlink(folder.start_socket().c_str());
    cl_message message{};
    int fd = -1;
    const int got = cl_launch_receive(socket.get(), &message, &fd);
    if (fd >= 0) close(fd);
    if (got == 0) return 0; // the program runs: close-on-exec ended the stream
    print_error(global, got == 1 ? message.text : "the container's init sent something unknown");
    return got == 1 ? message.exit_code : 1;
}

} // namespace cloudlet::runtime
