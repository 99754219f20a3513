#include "control_client.h"

#include <fmt/format.h>

#include "control_api.h"

namespace cloudlet::app {
namespace {

constexpr auto slow_command = std::chrono::minutes(30); // loading a large image

tl::unexpected<Error> no_daemon(const Settings& settings, const Error& why) {
    if (why.os_errno == EACCES || why.os_errno == EPERM)
        return fail(Code::forbidden,
                    fmt::format("the cloud on {} answers root alone: use sudo", settings.root));
    std::string flag = settings.root == default_root ? "" : " --root " + settings.root;
    return fail(Code::unavailable, fmt::format("no cloud runs on {}: start it with cloudlet up{}",
                                               settings.root, flag));
}

tl::unexpected<Error> unanswered(const Settings& settings, const Error& error) {
    const bool nobody = error.code == Code::unavailable || error.code == Code::forbidden;
    return nobody ? no_daemon(settings, error) : tl::unexpected(error);
}

Code code_of(std::string_view name, int status) {
    for (int i = 0; i <= static_cast<int>(Code::internal); ++i)
        if (name_of(static_cast<Code>(i)) == name) return static_cast<Code>(i);
    return status == 404 ? Code::not_found : Code::internal;
}

tl::unexpected<Error> refusal(const net::Response& response) {
    auto body = codec::parse_json(response.body);
    std::string message(body ? (*body)["message"].as_string() : std::string_view());
    if (message.empty())
        message = fmt::format("the daemon answered {} {}", response.status, response.body);
    return fail(code_of(body ? (*body)["code"].as_string() : "", response.status), message);
}

} // namespace

net::ClientOptions ControlClient::options() const {
    net::ClientOptions options;
    options.unix_path = settings_.control_socket();
    options.deadline = slow_command;
    return options;
}

Result<codec::Json> ControlClient::send(const std::string& method, const std::string& path,
                                        const codec::Json& body) const {
    net::Request request;
    request.method = method;
    if (!body.is_null()) {
        request.headers.set("Content-Type", "application/json");
        request.body = body.dump();
    }
    auto response = net::http_request(options(), "http://cloudlet" + path, request);
    if (!response) return unanswered(settings_, response.error());
    if (response->status >= 300) return refusal(*response);
    return codec::parse_json(response->body);
}

Result<std::string> ControlClient::text(const std::string& path) const {
    auto response = net::http_request(options(), "http://cloudlet" + path);
    if (!response) return unanswered(settings_, response.error());
    if (response->status >= 300) return refusal(*response);
    return response->body;
}

Result<> ControlClient::stream(const std::string& path,
                               const net::ClientConnection::OnChunk& on_chunk) const {
    net::Response head;
    bool answered = false;
    auto streamed = net::http_stream(
        options(), "http://cloudlet" + path, {},
        [&](const net::Response& answer) {
            head = answer;
            head.body.clear(); // it comes piece by piece
            return answered = true;
        },
        [&](std::string_view bytes) {
            if (head.status < 300) return on_chunk(bytes);
            head.body += bytes;
            return true;
        });
    if (!streamed && !answered) return unanswered(settings_, streamed.error());
    if (head.status >= 300) return refusal(head);
    return streamed;
}

} // namespace cloudlet::app
