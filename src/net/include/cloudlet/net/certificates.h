#pragma once
// X.509 certificates and ES256 signatures on EC P-256 keys; everything is PEM text. All functions
// are pure but for randomness, thread-safe, and take well under a few milliseconds.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cloudlet/base/clock.h"
#include "cloudlet/base/result.h"

namespace cloudlet::net {

struct KeyPair {
    std::string cert_pem = {};
    std::string key_pem = {}; // PKCS #8, unencrypted
};

struct CertificateRequest {
    std::string common_name = {};
    std::vector<std::string> organizations = {};
    std::vector<std::string> dns_names = {};
    std::vector<std::string> ip_addresses = {};
    int days = 365;
    bool server = false; // extended key usage
    bool client = false;
};

/// A self-signed authority for ten years.
Result<KeyPair> make_authority(const std::string& common_name);
/// A leaf that the authority signs; valid from an hour ago (clocks differ).
/// Error: Code::invalid for a bad address or authority.
Result<KeyPair> issue(const KeyPair& authority, const CertificateRequest& request);

struct CertificateFacts {
    std::string common_name;
    std::vector<std::string> organizations;
    std::vector<std::string> dns_names;
    std::vector<std::string> ip_addresses;
    std::string serial; // hex
    WallTime not_before;
    WallTime not_after;
    bool is_authority = false;
};
/// The first certificate of a PEM text.
Result<CertificateFacts> read_certificate(std::string_view cert_pem);
/// True when the authority signed it (dates are not looked at).
Result<bool> is_signed_by(std::string_view cert_pem, std::string_view authority_pem);

/// A fresh P-256 private key, PKCS #8.
Result<std::string> make_key();
/// The public half as PEM (SubjectPublicKeyInfo).
Result<std::string> public_key_of(std::string_view key_pem);
/// The affine coordinates of a key's public half, 32 bytes each (RFC 7518 section 6.2.1).
struct PublicPoint {
    std::string x;
    std::string y;
};
Result<PublicPoint> public_point_of(std::string_view pem);

/// ECDSA with SHA-256, r and s as 64 raw bytes (RFC 7518 section 3.4).
Result<std::string> sign_es256(std::string_view key_pem, std::string_view data);
/// `pem` is a public key, a certificate or a private key. False for anything that does not fit.
bool verify_es256(std::string_view pem, std::string_view data, std::string_view signature);

/// A signing key parsed once, for callers that sign or verify often. Thread-safe.
class Es256Key {
public:
    static Result<std::shared_ptr<const Es256Key>> load(std::string_view pem);
    ~Es256Key();
    Result<std::string> sign(std::string_view data) const; // Code::invalid for a public key
    bool verify(std::string_view data, std::string_view signature) const;

    struct Impl;
    explicit Es256Key(std::unique_ptr<Impl> impl);

private:
    std::unique_ptr<Impl> impl_;
};

} // namespace cloudlet::net
