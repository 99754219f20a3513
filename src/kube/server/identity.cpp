#include "identity.h"

#include <algorithm>

#include <fmt/format.h>

namespace cloudlet::kube::server {

namespace {

constexpr size_t remembered_tokens = 4096;

std::string_view bearer_token(const net::Request& request) {
    std::string_view header = request.headers.get("Authorization");
    for (std::string_view scheme : {"Bearer ", "bearer "})
        if (header.starts_with(scheme)) return header.substr(scheme.size());
    return {};
}

std::string describe(const Target& target) {
    std::string resource(target.kind->plural);
    if (target.subresource) resource.append("/").append(target.subresource->name);
    const std::string where = target.ns.empty() ? std::string("at the cluster scope")
                                                : fmt::format("in the namespace \"{}\"", target.ns);
    return fmt::format("cannot {} resource \"{}\" in API group \"{}\" {}", name_of(target.verb),
                       resource, target.kind->group, where);
}

} // namespace

const Identity& internal_identity() {
    static const Identity identity{"system:admin", {"system:masters", "system:authenticated"}, {}};
    return identity;
}

Authenticator::Authenticator(const TokenSigner& signer, Cache& cache, const Clock& clock,
                             std::vector<KnownToken> known)
    : signer_(signer), cache_(cache), clock_(clock) {
    for (KnownToken& entry : known) {
        entry.identity.groups.emplace_back("system:authenticated");
        known_.emplace(std::move(entry.token), std::move(entry.identity));
    }
}

std::optional<Outcome<Identity>> Authenticator::authenticate_quickly(const net::Request& request) {
    if (request.peer.control_socket) return internal_identity();
    if (request.peer.has_certificate) {
        Identity identity{request.peer.common_name, request.peer.organizations, {}};
        identity.groups.emplace_back("system:authenticated");
        return identity;
    }
    const std::string_view token = bearer_token(request);
    if (token.empty()) return refuse(unauthorized("Unauthorized"));
    if (auto found = known_.find(std::string(token)); found != known_.end()) return found->second;
    if (auto claims = remembered(token)) return accept(*claims);
    return std::nullopt;
}

Outcome<Identity> Authenticator::authenticate(const net::Request& request) {
    if (auto quick = authenticate_quickly(request)) return std::move(*quick);
    const std::string_view token = bearer_token(request);
    auto claims = signer_.verify(token);
    if (!claims) return refuse(unauthorized("Unauthorized"));
    auto identity = accept(*claims);
    if (identity) remember(token, *claims);
    return identity;
}

Outcome<Identity> Authenticator::accept(const TokenClaims& claims) const {
    const WallTime now = clock_.wall();
    const auto& audiences = claims.audiences;
    const bool ours =
        std::find(audiences.begin(), audiences.end(), signer_.issuer()) != audiences.end();
    if (!ours || now >= claims.expires || now + std::chrono::minutes(1) < claims.issued)
        return refuse(unauthorized("Unauthorized"));
    if (!is_alive(api::resources::service_accounts, claims.ns, claims.account, claims.account_uid))
        return refuse(unauthorized("Unauthorized"));
    if (!claims.bound.kind.empty()) {
        const auto& resource =
            claims.bound.kind == "Pod" ? api::resources::pods : api::resources::secrets;
        if (!is_alive(resource, claims.ns, claims.bound.name, claims.bound.uid))
            return refuse(unauthorized("Unauthorized"));
    }
    Identity identity;
    identity.user = "system:serviceaccount:" + claims.ns + ":" + claims.account;
    identity.groups = {"system:serviceaccounts", "system:serviceaccounts:" + claims.ns,
                       "system:authenticated"};
    identity.account_ns = claims.ns;
    return identity;
}

bool Authenticator::is_alive(const api::Resource& resource, std::string_view ns,
                             std::string_view name, std::string_view uid) const {
    const ObjectPointer object = cache_.of(resource).get(object_path(ns, name));
    return object && object->uid() == uid;
}

std::optional<TokenClaims> Authenticator::remembered(std::string_view token) {
    std::lock_guard lock(mutex_);
    auto found = verified_.find(std::string(token));
    if (found == verified_.end()) return std::nullopt;
    return found->second;
}

void Authenticator::remember(std::string_view token, const TokenClaims& claims) {
    std::lock_guard lock(mutex_);
    if (verified_.size() >= remembered_tokens) verified_.erase(verified_.begin());
    verified_.emplace(token, claims);
}

bool is_public_path(std::string_view path) {
    for (std::string_view open : {"/healthz", "/livez", "/readyz", "/version"})
        if (path == open || (path.starts_with(open) && path[open.size()] == '/')) return true;
    return false;
}

Outcome<> authorize(const Identity& identity, const Target& target) {
    if (!identity.is_service_account()) return {};
    const bool reads =
        target.verb == Verb::get || target.verb == Verb::list || target.verb == Verb::watch;
    const bool config_maps = target.kind->group.empty() && target.kind->plural == "configmaps";
    if (reads && config_maps && !target.subresource && target.ns == identity.account_ns) return {};
    return refuse(forbidden(resource_of(*target.kind), target.name,
                            fmt::format("User \"{}\" {}", identity.user, describe(target))));
}

Outcome<> authorize_path(const Identity& identity, std::string_view method, std::string_view path) {
    if (!identity.is_service_account()) return {};
    std::string verb(method);
    std::transform(verb.begin(), verb.end(), verb.begin(),
                   [](char c) { return static_cast<char>(c | 0x20); });
    for (std::string_view open : {"/api", "/apis", "/openapi"})
        if (verb == "get" && (path == open || (path.starts_with(open) && path[open.size()] == '/')))
            return {};
    Failure failure;
    failure.code = 403;
    failure.reason = "Forbidden";
    failure.message =
        fmt::format("forbidden: User \"{}\" cannot {} path \"{}\"", identity.user, verb, path);
    return refuse(failure);
}

} // namespace cloudlet::kube::server
