// Probes and life-cycle hooks: one handler each (exec, httpGet, tcpSocket, sleep), run without
// holding a thread while it waits.

#include <fmt/format.h>

#include "cloudlet/base/log.h"
#include "commands.h"
#include "pod_spec.h"
#include "pod_worker.h"

namespace cloudlet::kube::node {

using codec::Json;
using namespace std::chrono_literals;

namespace {

std::vector<std::string> command_of(const Json& exec) {
    std::vector<std::string> words;
    for (const auto& word : exec["command"].items()) words.emplace_back(word.as_string());
    return words;
}

/// A port by number or by the name of one of the container's ports; 0 when there is none.
uint16_t port_of(const Json& port, const Json& container) {
    if (port.is_int()) return static_cast<uint16_t>(port.as_int());
    const auto name = port.as_string();
    for (const auto& entry : container["ports"].items())
        if (entry["name"].as_string() == name)
            return static_cast<uint16_t>(entry["containerPort"].as_int());
    return static_cast<uint16_t>(atoi(std::string(name).c_str()));
}

} // namespace

void PodWorker::http_get(const Json& spec, const std::string& container, Duration deadline,
                         HookDone done) {
    const api::Object object = pod();
    const PodFacts known = facts();
    net::ProbeTarget target;
    target.address = spec["host"].as_string(known.pod_ip);
    target.port = port_of(spec["port"], container_spec(object.spec(), container));
    target.path = spec["path"].as_string("/");
    if (!target.path.starts_with("/")) target.path = "/" + target.path;
    target.https = spec["scheme"].as_string() == "HTTPS";
    for (const auto& header : spec["httpHeaders"].items())
        target.headers.add(std::string(header["name"].as_string()),
                           std::string(header["value"].as_string()));
    if (!target.headers.has("User-Agent")) target.headers.add("User-Agent", "kube-probe/1.32");
    context_.parts.loop.post(
        [self = shared_from_this(), target, deadline, done = std::move(done)]() mutable {
            const uint64_t key = ++self->next_handle_;
            auto callback = [self, key, done = std::move(done)](Result<int> status) {
                self->context_.parts.loop.post([self, key] { self->handles_.erase(key); });
                if (!status) return done(tl::unexpected(status.error()));
                if (*status >= 200 && *status < 400) return done({});
                done(fail(Code::unavailable,
                          fmt::format("HTTP probe failed with statuscode: {}", *status)));
            };
            self->handles_[key] = net::async_get(self->context_.parts.loop, std::move(target),
                                                 deadline, std::move(callback));
        });
}

void PodWorker::run_handler(const Json& handler, const std::string& container,
                            const std::string& id, Duration deadline, HookDone done) {
    io::EventLoop& loop = context_.parts.loop;
    if (const Json* exec = handler.find("exec")) {
        return run_command(
            context_.parts.engine, loop, id, command_of(*exec), deadline,
            [done = std::move(done)](Result<CommandResult> result) {
                if (!result) return done(tl::unexpected(result.error()));
                if (result->exit_code == 0) return done({});
                const std::string output = result->output.substr(0, 512);
                done(fail(Code::unavailable,
                          output.empty()
                              ? fmt::format("command ended with status {}", result->exit_code)
                              : output));
            });
    }
    if (const Json* get = handler.find("httpGet"))
        return http_get(*get, container, deadline, std::move(done));
    if (const Json* tcp = handler.find("tcpSocket")) {
        const std::string address(tcp->operator[]("host").as_string(facts().pod_ip));
        const uint16_t port = port_of((*tcp)["port"], container_spec(pod().spec(), container));
        loop.post(
            [self = shared_from_this(), address, port, deadline, done = std::move(done)]() mutable {
                const uint64_t key = ++self->next_handle_;
                auto callback = [self, key, done = std::move(done)](Result<> connected) {
                    self->context_.parts.loop.post([self, key] { self->handles_.erase(key); });
                    done(std::move(connected));
                };
                self->handles_[key] = net::async_connect(self->context_.parts.loop, address, port,
                                                         deadline, std::move(callback));
            });
        return;
    }
    if (const Json* sleep = handler.find("sleep")) {
        const Duration pause =
            std::min<Duration>(std::chrono::seconds((*sleep)["seconds"].as_int()), deadline);
        loop.post([&loop, pause, done = std::move(done)]() mutable {
            loop.after(pause, [done = std::move(done)] { done({}); });
        });
        return;
    }
    loop.post([done = std::move(done)] {
        done(
            fail(Code::unsupported, "only exec, httpGet, tcpSocket and sleep handlers can be run"));
    });
}

void PodWorker::probe(const Action& action) {
    static constexpr const char* fields[] = {"startupProbe", "livenessProbe", "readinessProbe"};
    const Json spec = container_spec(pod().spec(), action.container)[fields[size_t(action.probe)]];
    const Duration deadline =
        std::chrono::seconds(std::max<int64_t>(spec["timeoutSeconds"].as_int(1), 1));
    Completion done{.kind = action.kind,
                    .container = action.container,
                    .attempt = action.attempt,
                    .probe = action.probe};
    if (spec.contains("grpc"))
        return complete(std::move(done)); // refused with a warning when it was written
    run_handler(spec, action.container, action.attempt, deadline,
                [self = shared_from_this(), done = std::move(done)](Result<> ran) mutable {
                    done.ok = ran.has_value();
                    if (!ran) done.message = ran.error().to_string();
                    self->complete_later(std::move(done));
                });
}

void PodWorker::pre_stop(const Action& action) {
    const Json hook = container_spec(pod().spec(), action.container)["lifecycle"]["preStop"];
    const Completion done{
        .kind = action.kind, .container = action.container, .attempt = action.attempt};
    run_handler(hook, action.container, action.attempt, std::max<Duration>(action.budget, 1s),
                [self = shared_from_this(), done](Result<> ran) {
                    if (!ran)
                        self->record(true, "FailedPreStopHook",
                                     "PreStopHook failed: " + ran.error().to_string(),
                                     done.container);
                    self->complete_later(done);
                });
}

void PodWorker::post_start(const Action& action, const std::string& id, HookDone done) {
    const Json hook = container_spec(pod().spec(), action.container)["lifecycle"]["postStart"];
    run_handler(hook, action.container, id, 120s, std::move(done));
}

} // namespace cloudlet::kube::node
