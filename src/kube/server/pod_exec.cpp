// exec, as it begins and ends: the request's options, and the Status on the error channel.

#include <fmt/format.h>

#include "cloudlet/io/worker_pool.h"
#include "cloudlet/net/websocket.h"
#include "pod_streams.h"

namespace cloudlet::kube::server {

namespace {

Outcome<ExecOptions> read_exec_options(const net::Query& query) {
    ExecOptions options;
    for (std::string_view word : query.all("command")) options.command.emplace_back(word);
    options.stdin_open = query.get_bool("stdin");
    options.stdout_open = query.get_bool("stdout");
    options.tty = query.get_bool("tty");
    options.stderr_open = query.get_bool("stderr") && !options.tty;
    if (options.command.empty())
        return refuse(bad_request("you must specify at least one command for the container"));
    if (!options.stdin_open && !options.stdout_open && !options.stderr_open)
        return refuse(bad_request("you must specify at least one of stdin, stdout, stderr"));
    return options;
}

} // namespace

Json exit_status(int status) {
    if (status == 0) return Json::object({{"metadata", Json::object()}, {"status", "Success"}});
    Json cause = Json::object({{"reason", "ExitCode"}, {"message", std::to_string(status)}});
    Json result = Json::object({{"metadata", Json::object()}, {"status", "Failure"}});
    result.set("message", fmt::format("command terminated with exit code {}", status));
    result.set("reason", "NonZeroExitCode");
    return result.set("details", Json::object({{"causes", Json::array({std::move(cause)})}}));
}

void start_on_worker(Core& core, NodeConnector& connector, const ContainerTarget& target,
                     const ExecOptions& options, std::shared_ptr<ExecStreams> streams) {
    const bool started = core.options.pool->submit(
        [&connector, target, options, streams] { connector.exec(target, options, streams); });
    if (!started) streams->fail({Code::unavailable, "the server is busy; try again", {}, 0});
}

Outcome<> serve_exec(Core& core, const std::shared_ptr<net::Exchange>& exchange,
                     const Target& target) {
    const net::Request& request = exchange->request();
    const ExecOptions options = NEED(read_exec_options(request.query));
    const ContainerTarget container = NEED(find_container(core, target, request.query));
    if (container.node.empty())
        return refuse(
            bad_request(fmt::format("pod {} does not have a host assigned", target.name)));
    NodeConnector* connector = core.connector.load();
    if (!connector) return refuse(unavailable("the node agent is not running yet; try again"));
    if (net::is_websocket_request(request))
        return exec_over_websocket(core, *connector, exchange, container, options);
    if (request.headers.has_token("Upgrade", "SPDY/3.1"))
        return exec_over_spdy(core, *connector, exchange, container, options);
    return refuse(bad_request("Upgrade request required: exec speaks WebSocket or SPDY/3.1"));
}

} // namespace cloudlet::kube::server
