// What ConfigMap, Secret, downwardAPI and projected volumes hold. No side effects but a token
// request.

#include <algorithm>

#include <fmt/format.h>

#include "cloudlet/base/bytes.h"
#include "cloudlet/io/file.h"
#include "pod_spec.h"
#include "volumes.h"

namespace cloudlet::kube::node {

using codec::Json;
using namespace std::chrono_literals;

namespace {

struct Builder {
    const api::Object& pod;
    const PodFacts& facts;
    const VolumeSources& sources;
    const std::string& present; // folder with the current content
    unsigned default_mode;
    Payload payload;

    unsigned mode_of(const Json& item) const {
        return static_cast<unsigned>(item["mode"].as_int(default_mode)) & 07777;
    }

    Result<> add_keys(const Json& source, bool secret) {
        const std::string name(
            source[secret ? (source.contains("secretName") ? "secretName" : "name") : "name"]
                .as_string());
        auto object = secret ? sources.secret(std::string(pod.ns()), name)
                             : sources.config_map(std::string(pod.ns()), name);
        const bool optional = source["optional"].as_bool();
        if (!object) {
            if (object.error().code == Code::not_found && optional) return {};
            return tl::unexpected(object.error());
        }
        auto content = [&](std::string_view key) -> Result<std::string> {
            const Json* text = (*object)["data"].find(key);
            const Json* binary = (*object)["binaryData"].find(key);
            if (text)
                return secret ? from_base64(text->as_string())
                              : Result<std::string>(std::string(text->as_string()));
            if (binary) return from_base64(binary->as_string());
            return fail(Code::not_found, fmt::format("references non-existent {} key: {}",
                                                     secret ? "secret" : "config", key));
        };
        if (source["items"].empty()) {
            for (auto map : {"data", "binaryData"})
                for (const auto& [key, value] : (*object)[map].members())
                    payload[key] = {TRY(content(key)), default_mode};
            return {};
        }
        for (const auto& item : source["items"].items()) {
            auto bytes = content(item["key"].as_string());
            if (!bytes && optional) continue;
            payload[std::string(item["path"].as_string())] = {TRY(std::move(bytes)), mode_of(item)};
        }
        return {};
    }

    Result<> add_downward(const Json& source) {
        for (const auto& item : source["items"].items()) {
            std::string text;
            if (const Json* field = item.find("fieldRef")) {
                text = TRY(field_value(pod, (*field)["fieldPath"].as_string(), facts));
            } else {
                text = TRY(resource_value(pod.spec(), Json(), item["resourceFieldRef"], facts));
            }
            payload[std::string(item["path"].as_string())] = {std::move(text), mode_of(item)};
        }
        return {};
    }

    Result<> add_token(const Json& source) {
        const std::string path(source["path"].as_string());
        const int64_t seconds = source["expirationSeconds"].as_int(3600);
        const std::string audience(source["audience"].as_string());
        if (auto old = io::read_file(present + "/" + path, 1 << 16);
            old && still_good(*old, seconds)) {
            payload[path] = {std::move(*old), default_mode};
            return {};
        }
        payload[path] = {TRY(sources.token(pod, audience, seconds)), default_mode};
        return {};
    }

    /// The kubelet renews a token at 80 % of its life, or after 24 hours.
    static bool still_good(const std::string& token, int64_t seconds) {
        const size_t first = token.find('.');
        const size_t second = token.find('.', first + 1);
        if (first == std::string::npos || second == std::string::npos) return false;
        auto claims = from_base64(token.substr(first + 1, second - first - 1));
        auto json = claims ? codec::parse_json(*claims) : tl::unexpected(claims.error());
        if (!json) return false;
        const int64_t expires = (*json)["exp"].as_int(),
                      issued = (*json)["iat"].as_int(expires - seconds);
        const int64_t now = std::chrono::duration_cast<std::chrono::seconds>(
                                system_clock().wall().time_since_epoch())
                                .count();
        return now < issued + (expires - issued) * 4 / 5 && now < issued + 24 * 3600;
    }

    Result<> add_projected(const Json& source) {
        if (const Json* map = source.find("configMap")) TRY(add_keys(*map, false));
        if (const Json* secret = source.find("secret")) TRY(add_keys(*secret, true));
        if (const Json* downward = source.find("downwardAPI")) TRY(add_downward(*downward));
        if (const Json* token = source.find("serviceAccountToken")) TRY(add_token(*token));
        return {};
    }
};

} // namespace

Result<Payload> volume_payload(const api::Object& pod, const Json& volume, const PodFacts& facts,
                               const VolumeSources& sources, const std::string& present) {
    Builder builder{pod, facts, sources, present, 0644, {}};
    for (auto type : {"configMap", "secret", "downwardAPI", "projected"}) {
        const Json* source = volume.find(type);
        if (!source) continue;
        builder.default_mode = static_cast<unsigned>((*source)["defaultMode"].as_int(0644)) & 07777;
        if (std::string_view(type) == "configMap") TRY(builder.add_keys(*source, false));
        if (std::string_view(type) == "secret") TRY(builder.add_keys(*source, true));
        if (std::string_view(type) == "downwardAPI") TRY(builder.add_downward(*source));
        if (std::string_view(type) == "projected")
            for (const auto& part : (*source)["sources"].items()) TRY(builder.add_projected(part));
    }
    return std::move(builder.payload);
}

} // namespace cloudlet::kube::node
