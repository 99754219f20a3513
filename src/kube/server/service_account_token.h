#pragma once
// ServiceAccount tokens: JWTs (RFC 7519) signed with ES256 that carry Kubernetes' private claims,
// bound to their account and, when asked for, to a pod or a secret.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cloudlet/base/clock.h"
#include "cloudlet/codec/json.h"
#include "cloudlet/net/certificates.h"

namespace cloudlet::kube::server {

using codec::Json;

struct BoundObject {
    std::string kind; // "Pod" or "Secret"; empty: not bound
    std::string name;
    std::string uid;
};

struct TokenClaims {
    std::string ns;
    std::string account;
    std::string account_uid;
    BoundObject bound;
    std::vector<std::string> audiences;
    WallTime issued;
    WallTime expires;
};

/// Makes and reads tokens. Immutable; thread-safe.
class TokenSigner {
public:
    static Result<TokenSigner> create(std::string_view key_pem, std::string issuer);
    const std::string& issuer() const { return issuer_; }
    Result<std::string> sign(const TokenClaims& claims) const;
    /// Checks form, signature and issuer; times and bindings are the caller's matter.
    /// Error: Code::unauthenticated.
    Result<TokenClaims> verify(std::string_view token) const;

private:
    std::shared_ptr<const net::Es256Key> key_;
    std::string issuer_;
    std::string key_id_;
};

} // namespace cloudlet::kube::server
