#pragma once
// Who asks, and what they may do.

#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cache.h"
#include "cloudlet/net/http_message.h"
#include "request.h"
#include "service_account_token.h"

namespace cloudlet::kube::server {

struct Identity {
    std::string user;
    std::vector<std::string> groups;
    std::string account_ns; // not empty for a ServiceAccount
    bool is_service_account() const { return !account_ns.empty(); }
};

/// The identity of callers inside this process and on the control socket.
const Identity& internal_identity();

/// A bearer token that stands for a user, as kube-apiserver's --token-auth-file has them.
struct KnownToken {
    std::string token;
    Identity identity;
};

/// Finds out who sent a request. Thread-safe.
class Authenticator {
public:
    Authenticator(const TokenSigner& signer, Cache& cache, const Clock& clock,
                  std::vector<KnownToken> known);

    /// Failure: 401. A token's signature is checked once and remembered; expiry and the objects it
    /// is bound to are looked at every time.
    Outcome<Identity> authenticate(const net::Request& request);
    /// The same when it needs no signature check, so never takes long; nothing when it would.
    std::optional<Outcome<Identity>> authenticate_quickly(const net::Request& request);

private:
    Outcome<Identity> accept(const TokenClaims& claims) const;
    std::optional<TokenClaims> remembered(std::string_view token);
    void remember(std::string_view token, const TokenClaims& claims);
    bool is_alive(const api::Resource& resource, std::string_view ns, std::string_view name,
                  std::string_view uid) const;

    const TokenSigner& signer_;
    Cache& cache_;
    const Clock& clock_;
    std::unordered_map<std::string, Identity> known_;
    std::mutex mutex_;
    std::unordered_map<std::string, TokenClaims> verified_;
};

/// Paths that anybody may read: health and version.
bool is_public_path(std::string_view path);

/// Every authenticated user may do everything; a ServiceAccount may read the ConfigMaps of its own
/// namespace. Failure: 403 in the stock words.
Outcome<> authorize(const Identity& identity, const Target& target);
/// For paths that are no resources: discovery and OpenAPI are for everyone who is authenticated.
Outcome<> authorize_path(const Identity& identity, std::string_view method, std::string_view path);

} // namespace cloudlet::kube::server
