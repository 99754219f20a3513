#include "control_api.h"

#include <fmt/format.h>

#include "cloudlet/image/name.h"

namespace cloudlet::app {
namespace {

using codec::Json;

Json error_json(const Error& error) {
    return Json::object({{"code", name_of(error.code)}, {"message", error.to_string()}});
}

std::vector<std::string> strings(const Json& list) {
    std::vector<std::string> words;
    for (const auto& word : list.items()) words.emplace_back(word.as_string());
    return words;
}

Json json_of(const std::vector<std::string>& words) {
    auto list = Json::array();
    for (const auto& word : words) list.push_back(word);
    return list;
}

image::ImageConfig config_from(const Json& json) {
    image::ImageConfig config;
    config.entrypoint = strings(json["entrypoint"]);
    config.command = strings(json["command"]);
    config.env = strings(json["env"]);
    config.working_dir = json["workingDir"].as_string();
    config.user = json["user"].as_string();
    return config;
}

Json list_of(const std::vector<image::Image>& images) {
    auto list = Json::array();
    for (const auto& image : images) list.push_back(to_json(image));
    return Json::object({{"images", std::move(list)}});
}

Result<std::string> required(const Json& body, std::string_view name) {
    auto text = body[name].as_string();
    if (text.empty()) return fail(Code::invalid, fmt::format("the request lacks \"{}\"", name));
    return std::string(text);
}

net::Response json_response(int status, const Json& body) {
    net::Response response;
    response.status = status;
    response.headers.set("Content-Type", "application/json");
    response.body = body.dump();
    return response;
}

} // namespace

int http_status(Code code) {
    switch (code) {
    case Code::invalid: return 400;
    case Code::unauthenticated: return 401;
    case Code::forbidden: return 403;
    case Code::not_found: return 404;
    case Code::already_exists:
    case Code::conflict: return 409;
    case Code::expired: return 410;
    case Code::too_large: return 413;
    case Code::unsupported: return 415;
    case Code::exhausted: return 507;
    case Code::unavailable:
    case Code::cancelled: return 503;
    case Code::timeout: return 504;
    case Code::io:
    case Code::internal: return 500;
    }
    return 500;
}

Json to_json(const image::Image& image) {
    auto names = Json::array();
    for (const auto& name : image.names) names.push_back(image::familiar_name(name));
    return Json::object({{"id", image.id},
                         {"digest", image.digest},
                         {"names", std::move(names)},
                         {"size", image.size},
                         {"layers", image.layers.size()},
                         {"created", format_time(image.created)},
                         {"entrypoint", json_of(image.config.entrypoint)},
                         {"command", json_of(image.config.command)}});
}

ControlApi::ControlApi(ControlParts parts) : parts_(std::move(parts)), pool_("control", 2, 64) {}

ControlApi::~ControlApi() { stop(); }

void ControlApi::stop() { pool_.stop(); }

bool ControlApi::owns(const net::Request& request) const {
    return request.peer.control_socket && request.path.starts_with(control_prefix);
}

void ControlApi::handle(std::shared_ptr<net::Exchange> exchange) {
    bool taken = pool_.submit([this, exchange] { exchange->respond(answer(exchange->request())); });
    if (!taken)
        exchange->respond(json_response(
            503, error_json({Code::unavailable, "too many requests wait; try again", {}, 0})));
}

net::Response ControlApi::answer(const net::Request& request) {
    if (request.method == "GET" && request.path == "/cloudlet/v1/kubeconfig") {
        net::Response response;
        response.headers.set("Content-Type", "application/yaml");
        response.body = parts_.kubeconfig(request.query.get_bool("token"));
        return response;
    }
    auto result = route(request);
    if (result) return json_response(200, *result);
    return json_response(http_status(result.error().code), error_json(result.error()));
}

Result<Json> ControlApi::route(const net::Request& request) {
    std::string what = request.path.substr(std::string_view(control_prefix).size());
    if (request.method == "GET" && what == "status") return parts_.status();
    if (request.method == "GET" && what == "images") return list_of(parts_.images.list());
    if (request.method == "POST" && what == "stop") {
        parts_.stop();
        return Json::object();
    }
    if (request.method == "DELETE" && what == "images") {
        std::string name(request.query.get("name"));
        bool force = request.query.get_bool("force");
        auto image = TRY(parts_.images.find(name));
        if (!force && image.names.size() <= 1 && parts_.image_in_use(image.id))
            return fail(
                Code::conflict,
                fmt::format(
                    "image {} is used by a container: delete its pods first, or use --force",
                    name));
        auto report = TRY(parts_.images.remove(name, force));
        auto collected = TRY(parts_.images.collect_garbage());
        auto untagged = Json::array();
        for (const auto& tag : report.untagged) untagged.push_back(image::familiar_name(tag));
        return Json::object({{"untagged", std::move(untagged)},
                             {"removed", report.removed_id},
                             {"freedBytes", report.freed_bytes + collected.freed_bytes}});
    }
    if (request.method == "POST" && what.starts_with("images/"))
        return change_images(what.substr(7), TRY(codec::parse_json(request.body)));
    return fail(Code::not_found,
                fmt::format("{} {} is not something this daemon answers; are the versions of the "
                            "command and the daemon the same?",
                            request.method, request.path));
}

Result<Json> ControlApi::change_images(const std::string& action, const Json& body) {
    if (action == "load") return list_of(TRY(parts_.images.load(TRY(required(body, "path")))));
    if (action == "import")
        return list_of(
            {TRY(parts_.images.import(TRY(required(body, "path")), TRY(required(body, "name")),
                                      config_from(body["config"])))});
    if (action == "pull")
        return list_of({TRY(parts_.images.pull(TRY(required(body, "reference"))))});
    return fail(Code::not_found, fmt::format("there is no image action \"{}\"", action));
}

} // namespace cloudlet::app
