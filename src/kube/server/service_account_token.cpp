#include "service_account_token.h"

#include "cloudlet/base/bytes.h"
#include "cloudlet/base/id.h"
#include "cloudlet/codec/digest.h"

namespace cloudlet::kube::server {

namespace {

int64_t seconds_of(WallTime time) {
    return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

WallTime time_of(int64_t seconds) { return WallTime{std::chrono::seconds{seconds}}; }

tl::unexpected<Error> bad_token(std::string why) {
    return fail(Code::unauthenticated, "bearer token: " + why);
}

Result<Json> decode_part(std::string_view part) {
    auto bytes = from_base64(part);
    if (!bytes) return bad_token("a part is not base64url");
    auto json = codec::parse_json(*bytes);
    if (!json || !json->is_object()) return bad_token("a part is not a JSON object");
    return std::move(*json);
}

} // namespace

Result<TokenSigner> TokenSigner::create(std::string_view key_pem, std::string issuer) {
    TokenSigner signer;
    signer.key_ = TRY(with_context(net::Es256Key::load(key_pem), "the service account key"));
    signer.issuer_ = std::move(issuer);
    signer.key_id_ = codec::sha256_hex(TRY(net::public_key_of(key_pem))).substr(0, 32);
    return signer;
}

Result<std::string> TokenSigner::sign(const TokenClaims& claims) const {
    Json kubernetes = Json::object({{"namespace", claims.ns}});
    if (claims.bound.kind == "Pod")
        kubernetes.set("pod",
                       Json::object({{"name", claims.bound.name}, {"uid", claims.bound.uid}}));
    if (claims.bound.kind == "Secret")
        kubernetes.set("secret",
                       Json::object({{"name", claims.bound.name}, {"uid", claims.bound.uid}}));
    kubernetes.set("serviceaccount",
                   Json::object({{"name", claims.account}, {"uid", claims.account_uid}}));

    Json payload = Json::object();
    for (const std::string& audience : claims.audiences) payload.ensure("aud").push_back(audience);
    payload.set("exp", seconds_of(claims.expires)).set("iat", seconds_of(claims.issued));
    payload.set("iss", issuer_).set("jti", new_uuid()).set("kubernetes.io", std::move(kubernetes));
    payload.set("nbf", seconds_of(claims.issued));
    payload.set("sub", "system:serviceaccount:" + claims.ns + ":" + claims.account);

    const Json header = Json::object({{"alg", "ES256"}, {"kid", key_id_}});
    std::string token = to_base64url(header.dump()) + "." + to_base64url(payload.dump());
    const std::string signature = TRY(key_->sign(token));
    return token + "." + to_base64url(signature);
}

Result<TokenClaims> TokenSigner::verify(std::string_view token) const {
    const size_t first = token.find('.');
    const size_t second = first == std::string_view::npos ? first : token.find('.', first + 1);
    if (second == std::string_view::npos || token.find('.', second + 1) != std::string_view::npos)
        return bad_token("not three parts");
    const Json header = TRY(decode_part(token.substr(0, first)));
    if (header["alg"].as_string() != "ES256") return bad_token("not signed with ES256");
    auto signature = from_base64(token.substr(second + 1));
    if (!signature || !key_->verify(token.substr(0, second), *signature))
        return bad_token("the signature is wrong");

    const Json payload = TRY(decode_part(token.substr(first + 1, second - first - 1)));
    if (payload["iss"].as_string() != issuer_) return bad_token("from another issuer");
    const Json& kubernetes = payload["kubernetes.io"];
    TokenClaims claims;
    claims.ns = kubernetes["namespace"].as_string();
    claims.account = kubernetes.at({"serviceaccount", "name"}).as_string();
    claims.account_uid = kubernetes.at({"serviceaccount", "uid"}).as_string();
    for (const auto& [kind, key] : {std::pair("Pod", "pod"), std::pair("Secret", "secret")})
        if (const Json& bound = kubernetes[key]; bound.is_object())
            claims.bound = {kind, std::string(bound["name"].as_string()),
                            std::string(bound["uid"].as_string())};
    for (const Json& audience : payload["aud"].items())
        claims.audiences.emplace_back(audience.as_string());
    claims.issued = time_of(payload["nbf"].as_int());
    claims.expires = time_of(payload["exp"].as_int());
    if (claims.ns.empty() || claims.account.empty()) return bad_token("no service account in it");
    return claims;
}

} // namespace cloudlet::kube::server
