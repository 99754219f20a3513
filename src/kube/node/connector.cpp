#include "connector.h"

#include <algorithm>

#include <fmt/format.h>

#include "cloudlet/io/file.h"
#include "exec_stream.h"

namespace cloudlet::kube::node {

/// The run whose log is meant: the newest, or the one before it. The files are the record.
Result<int> Connector::choose_attempt(const ContainerTarget& target, bool previous) const {
    const std::string folder =
        context_.log_folder(target.ns, target.pod, target.uid) + "/" + target.container;
    std::vector<int> attempts;
    for (const auto& name : io::list_directory(folder).value_or(std::vector<std::string>{}))
        if (name.ends_with(".log")) attempts.push_back(atoi(name.c_str()));
    std::sort(attempts.begin(), attempts.end());
    const auto worker = find_(target.uid);
    if (previous) { // the last run that has ended
        if (!attempts.empty() && worker && worker->is_running(target.container, attempts.back()))
            attempts.pop_back();
        if (!attempts.empty()) return attempts.back();
        return fail(Code::invalid,
                    fmt::format("previous terminated container \"{}\" in pod \"{}\" not found",
                                target.container, target.pod));
    }
    if (!attempts.empty()) return attempts.back();
    const std::string reason = worker ? worker->waiting_reason(target.container) : "";
    return fail(Code::invalid, fmt::format("container \"{}\" in pod \"{}\" is waiting to start: {}",
                                           target.container, target.pod,
                                           reason.empty() ? "ContainerCreating" : reason));
}

void Connector::logs(const ContainerTarget& target, const LogOptions& options,
                     std::shared_ptr<LogSink> sink) {
    auto attempt = choose_attempt(target, options.previous);
    if (!attempt) return sink->fail(attempt.error());
    const std::string path =
        fmt::format("{}/{}/{}.log", context_.log_folder(target.ns, target.pod, target.uid),
                    target.container, *attempt);
    auto is_live = [find = find_, target, number = *attempt] {
        const auto worker = find(target.uid);
        return worker && worker->is_running(target.container, number);
    };
    auto stream = LogStream::start(context_.parts.loop, context_.pool, path, options,
                                   std::move(sink), is_live);
    if (!options.follow) return;
    std::lock_guard lock(mutex_);
    std::erase_if(followers_, [](const auto& entry) { return entry.second->over(); });
    followers_.emplace(target.uid, std::move(stream));
}

void Connector::pod_changed(const std::string& uid) {
    std::vector<std::shared_ptr<LogStream>> streams;
    {
        std::lock_guard lock(mutex_);
        const auto [begin, end] = followers_.equal_range(uid);
        for (auto it = begin; it != end; ++it) streams.push_back(it->second);
        std::erase_if(followers_, [](const auto& entry) { return entry.second->over(); });
    }
    for (const auto& stream : streams) stream->wake();
}

void Connector::exec(const ContainerTarget& target, const ExecOptions& options,
                     std::shared_ptr<ExecStreams> streams) {
    const auto worker = find_(target.uid);
    const auto id = worker ? worker->running_id(target.container) : std::nullopt;
    if (!id)
        return streams->fail({.code = Code::invalid,
                              .message = fmt::format("container {} in pod {} is not running",
                                                     target.container, target.pod),
                              .context = {}});
    const bool queued = context_.pool.submit([this, id = *id, options, streams] {
        auto exec = context_.parts.engine.exec(id, {.command = options.command,
                                                    .env = {},
                                                    .working_dir = {},
                                                    .user = {},
                                                    .terminal = options.tty,
                                                    .with_stdin = options.stdin_open});
        if (!exec) return streams->fail(exec.error());
        stream_exec(context_.parts.loop, std::move(*exec), streams);
    });
    if (!queued)
        streams->fail(
            {.code = Code::unavailable, .message = "the node is busy; try again", .context = {}});
}

} // namespace cloudlet::kube::node
