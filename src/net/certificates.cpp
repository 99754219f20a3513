#include "cloudlet/net/certificates.h"

#include <arpa/inet.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>

#include "cloudlet/base/bytes.h"
#include "cloudlet/base/random.h"
#include "openssl.h"

namespace cloudlet::net {
namespace {

using ExtensionPtr = std::unique_ptr<X509_EXTENSION, Freed<X509_EXTENSION_free>>;
using BignumPtr = std::unique_ptr<BIGNUM, Freed<BN_free>>;
using SignaturePtr = std::unique_ptr<ECDSA_SIG, Freed<ECDSA_SIG_free>>;

template <typename Write>
std::string to_pem(Write write) {
    BioPtr bio(BIO_new(BIO_s_mem()));
    write(bio.get());
    char* data = nullptr;
    long size = BIO_get_mem_data(bio.get(), &data);
    return std::string(data, static_cast<size_t>(size));
}

std::string cert_to_pem(X509* cert) {
    return to_pem([&](BIO* bio) { PEM_write_bio_X509(bio, cert); });
}

std::string key_to_pem(EVP_PKEY* key) {
    return to_pem([&](BIO* bio) {
        PEM_write_bio_PKCS8PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
    });
}

Result<KeyPtr> generate_key() {
    KeyPtr key(EVP_EC_gen("P-256"));
    if (!key) return fail_openssl(Code::internal, "make a P-256 key");
    return key;
}

void set_serial(X509* cert) {
    auto bytes = secure_random_bytes(16);
    bytes[0] = static_cast<char>((bytes[0] & 0x7f) | 0x40); // positive, and always 16 bytes
    BignumPtr number(BN_bin2bn(reinterpret_cast<const unsigned char*>(bytes.data()), 16, nullptr));
    BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(cert));
}

void add_subject(X509_NAME* subject, int nid, const std::string& value) {
    X509_NAME_add_entry_by_NID(subject, nid, MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(value.data()),
                               static_cast<int>(value.size()), -1, 0);
}

Result<> add_extension(X509* cert, X509* issuer, int nid, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, cert, nullptr, nullptr, 0);
    ExtensionPtr extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
    if (!extension || X509_add_ext(cert, extension.get(), -1) != 1)
        return fail_openssl(Code::invalid, fmt::format("certificate extension \"{}\"", value));
    return {};
}

/// Built by hand: a configuration string would read a comma in a name as the next entry.
Result<> add_alternative_names(X509* cert, const CertificateRequest& request) {
    if (request.dns_names.empty() && request.ip_addresses.empty()) return {};
    NamesPtr names(GENERAL_NAMES_new());
    auto push = [&](int type, ASN1_STRING* value) {
        GENERAL_NAME* name = GENERAL_NAME_new();
        GENERAL_NAME_set0_value(name, type, value);
        sk_GENERAL_NAME_push(names.get(), name);
    };
    for (const auto& dns : request.dns_names) {
        ASN1_IA5STRING* text = ASN1_IA5STRING_new();
        ASN1_STRING_set(text, dns.data(), static_cast<int>(dns.size()));
        push(GEN_DNS, text);
    }
    for (const auto& ip : request.ip_addresses) {
        ASN1_OCTET_STRING* bytes = a2i_IPADDRESS(ip.c_str());
        if (!bytes) return fail(Code::invalid, fmt::format("\"{}\" is no IP address", ip));
        push(GEN_IPADD, bytes);
    }
    if (X509_add1_ext_i2d(cert, NID_subject_alt_name, names.get(), 0, X509V3_ADD_DEFAULT) != 1)
        return fail_openssl(Code::internal, "add names to a certificate");
    return {};
}

Result<CertPtr> new_cert(const CertificateRequest& request, EVP_PKEY* key) {
    CertPtr cert(X509_new());
    X509_set_version(cert.get(), 2); // version 3 counts from 0
    set_serial(cert.get());
    X509_gmtime_adj(X509_getm_notBefore(cert.get()), -3600);
    X509_time_adj_ex(X509_getm_notAfter(cert.get()), request.days, 0, nullptr);
    X509_NAME* subject = X509_get_subject_name(cert.get());
    for (const auto& organization : request.organizations)
        add_subject(subject, NID_organizationName, organization);
    if (request.common_name.size() > 64)
        return fail(Code::invalid,
                    fmt::format("\"{}\" is longer than the 64 bytes of a common name",
                                request.common_name));
    add_subject(subject, NID_commonName, request.common_name);
    if (X509_set_pubkey(cert.get(), key) != 1)
        return fail_openssl(Code::internal, "set a certificate's key");
    return cert;
}

Result<KeyPair> sign_cert(X509* cert, EVP_PKEY* key, EVP_PKEY* signer) {
    if (X509_sign(cert, signer, EVP_sha256()) == 0)
        return fail_openssl(Code::internal, "sign a certificate");
    return KeyPair{cert_to_pem(cert), key_to_pem(key)};
}

WallTime to_wall(const ASN1_TIME* time) {
    std::tm utc{};
    ASN1_TIME_to_tm(time, &utc);
    return WallTime(std::chrono::seconds(::timegm(&utc)));
}

std::string address_text(const ASN1_OCTET_STRING* bytes) {
    char text[INET6_ADDRSTRLEN] = "";
    int length = ASN1_STRING_length(bytes);
    ::inet_ntop(length == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(bytes), text, sizeof text);
    return length == 4 || length == 16 ? text : "";
}

} // namespace

std::vector<std::string> subject_entries(X509* cert, int nid) {
    std::vector<std::string> values;
    X509_NAME* subject = X509_get_subject_name(cert);
    for (int at = X509_NAME_get_index_by_NID(subject, nid, -1); at >= 0;
         at = X509_NAME_get_index_by_NID(subject, nid, at)) {
        unsigned char* text = nullptr;
        int size =
            ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
        if (size < 0) continue;
        values.emplace_back(reinterpret_cast<char*>(text), static_cast<size_t>(size));
        OPENSSL_free(text);
    }
    return values;
}

std::string subject_entry(X509* cert, int nid) {
    auto values = subject_entries(cert, nid);
    return values.empty() ? std::string() : values.front();
}

Result<KeyPair> make_authority(const std::string& common_name) {
    auto key = TRY(generate_key());
    auto cert = TRY(new_cert({.common_name = common_name, .days = 3650}, key.get()));
    X509_set_issuer_name(cert.get(), X509_get_subject_name(cert.get()));
    TRY(add_extension(cert.get(), cert.get(), NID_basic_constraints, "critical,CA:TRUE"));
    TRY(add_extension(cert.get(), cert.get(), NID_key_usage,
                      "critical,digitalSignature,keyCertSign,cRLSign"));
    TRY(add_extension(cert.get(), cert.get(), NID_subject_key_identifier, "hash"));
    return sign_cert(cert.get(), key.get(), key.get());
}

Result<KeyPair> issue(const KeyPair& authority, const CertificateRequest& request) {
    auto issuer = TRY(read_cert(authority.cert_pem));
    auto signer = TRY(read_key(authority.key_pem));
    if (X509_check_private_key(issuer.get(), signer.get()) != 1)
        return fail_openssl(Code::invalid,
                            "the authority's key does not belong to its certificate");
    auto key = TRY(generate_key());
    auto cert = TRY(new_cert(request, key.get()));
    X509_set_issuer_name(cert.get(), X509_get_subject_name(issuer.get()));
    TRY(add_extension(cert.get(), issuer.get(), NID_basic_constraints, "critical,CA:FALSE"));
    TRY(add_extension(cert.get(), issuer.get(), NID_key_usage, "critical,digitalSignature"));
    if (request.server || request.client) {
        std::string usage = request.server ? "serverAuth" : "clientAuth";
        if (request.server && request.client) usage = "serverAuth,clientAuth";
        TRY(add_extension(cert.get(), issuer.get(), NID_ext_key_usage, usage));
    }
    TRY(add_extension(cert.get(), issuer.get(), NID_authority_key_identifier, "keyid"));
    TRY(add_alternative_names(cert.get(), request));
    return sign_cert(cert.get(), key.get(), signer.get());
}

Result<CertificateFacts> read_certificate(std::string_view cert_pem) {
    auto cert = TRY(read_cert(cert_pem));
    CertificateFacts facts;
    facts.common_name = subject_entry(cert.get(), NID_commonName);
    facts.organizations = subject_entries(cert.get(), NID_organizationName);
    facts.not_before = to_wall(X509_get0_notBefore(cert.get()));
    facts.not_after = to_wall(X509_get0_notAfter(cert.get()));
    facts.is_authority = X509_check_ca(cert.get()) == 1;
    const ASN1_INTEGER* serial = X509_get0_serialNumber(cert.get());
    facts.serial = to_hex({reinterpret_cast<const char*>(ASN1_STRING_get0_data(serial)),
                           static_cast<size_t>(ASN1_STRING_length(serial))});
    NamesPtr names(static_cast<GENERAL_NAMES*>(
        X509_get_ext_d2i(cert.get(), NID_subject_alt_name, nullptr, nullptr)));
    for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
        const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
        if (name->type == GEN_IPADD) facts.ip_addresses.push_back(address_text(name->d.iPAddress));
        if (name->type != GEN_DNS) continue;
        facts.dns_names.emplace_back(
            reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName)),
            static_cast<size_t>(ASN1_STRING_length(name->d.dNSName)));
    }
    return facts;
}

Result<bool> is_signed_by(std::string_view cert_pem, std::string_view authority_pem) {
    auto cert = TRY(read_cert(cert_pem));
    auto authority = TRY(read_cert(authority_pem));
    int verified = X509_verify(cert.get(), X509_get0_pubkey(authority.get()));
    ERR_clear_error();
    return verified == 1;
}

Result<std::string> make_key() {
    auto key = TRY(generate_key());
    return key_to_pem(key.get());
}

namespace {

/// A private key, a public key or a certificate's key; what it is decides what it can do.
struct AnyKey {
    KeyPtr key;
    bool can_sign = false;
};

Result<AnyKey> read_any_key(std::string_view pem) {
    AnyKey any;
    BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
    if (pem.find("PRIVATE KEY-----") != std::string_view::npos) {
        any.key = TRY(read_key(pem));
        any.can_sign = true;
    } else if (pem.find("BEGIN CERTIFICATE-----") != std::string_view::npos) {
        auto cert = TRY(read_cert(pem));
        any.key.reset(X509_get_pubkey(cert.get()));
    } else {
        any.key.reset(PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr));
    }
    if (!any.key) return fail_openssl(Code::invalid, "read a key");
    char group[64] = "";
    size_t size = 0;
    EVP_PKEY_get_group_name(any.key.get(), group, sizeof group, &size);
    if (std::string_view(group) != "prime256v1") {
        ERR_clear_error();
        return fail(Code::invalid, "the key is no EC key on the curve P-256, which ES256 needs");
    }
    return any;
}

std::string fixed_bytes(const BIGNUM* number) {
    std::string bytes(32, '\0');
    BN_bn2binpad(number, reinterpret_cast<unsigned char*>(bytes.data()), 32);
    return bytes;
}

} // namespace

Result<std::string> public_key_of(std::string_view key_pem) {
    auto any = TRY(read_any_key(key_pem));
    return to_pem([&](BIO* bio) { PEM_write_bio_PUBKEY(bio, any.key.get()); });
}

Result<PublicPoint> public_point_of(std::string_view pem) {
    auto any = TRY(read_any_key(pem));
    BIGNUM *x = nullptr, *y = nullptr;
    bool found = EVP_PKEY_get_bn_param(any.key.get(), OSSL_PKEY_PARAM_EC_PUB_X, &x) == 1 &&
                 EVP_PKEY_get_bn_param(any.key.get(), OSSL_PKEY_PARAM_EC_PUB_Y, &y) == 1;
    BignumPtr own_x(x), own_y(y);
    if (!found) return fail_openssl(Code::internal, "read a key's coordinates");
    return PublicPoint{fixed_bytes(x), fixed_bytes(y)};
}

struct Es256Key::Impl {
    AnyKey any;
};

Es256Key::Es256Key(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Es256Key::~Es256Key() = default;

Result<std::shared_ptr<const Es256Key>> Es256Key::load(std::string_view pem) {
    auto impl = std::make_unique<Impl>();
    impl->any = TRY(read_any_key(pem));
    return std::make_shared<const Es256Key>(std::move(impl));
}

Result<std::string> Es256Key::sign(std::string_view data) const {
    if (!impl_->any.can_sign) return fail(Code::invalid, "a public key cannot sign");
    DigestPtr digest(EVP_MD_CTX_new());
    unsigned char der[128];
    size_t size = sizeof der;
    if (EVP_DigestSignInit(digest.get(), nullptr, EVP_sha256(), nullptr, impl_->any.key.get()) !=
            1 ||
        EVP_DigestSign(digest.get(), der, &size,
                       reinterpret_cast<const unsigned char*>(data.data()), data.size()) != 1)
        return fail_openssl(Code::internal, "sign");
    const unsigned char* at = der;
    SignaturePtr signature(d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(size)));
    return fixed_bytes(ECDSA_SIG_get0_r(signature.get())) +
           fixed_bytes(ECDSA_SIG_get0_s(signature.get()));
}

bool Es256Key::verify(std::string_view data, std::string_view signature) const {
    if (signature.size() != 64) return false;
    const auto* raw = reinterpret_cast<const unsigned char*>(signature.data());
    SignaturePtr parsed(ECDSA_SIG_new());
    ECDSA_SIG_set0(parsed.get(), BN_bin2bn(raw, 32, nullptr), BN_bin2bn(raw + 32, 32, nullptr));
    unsigned char* der = nullptr;
    int size = i2d_ECDSA_SIG(parsed.get(), &der);
    if (size <= 0) return false;
    std::unique_ptr<unsigned char, Freed<[](unsigned char* bytes) { OPENSSL_free(bytes); }>> owned(
        der);
    DigestPtr digest(EVP_MD_CTX_new());
    bool good =
        EVP_DigestVerifyInit(digest.get(), nullptr, EVP_sha256(), nullptr, impl_->any.key.get()) ==
            1 &&
        EVP_DigestVerify(digest.get(), der, static_cast<size_t>(size),
                         reinterpret_cast<const unsigned char*>(data.data()), data.size()) == 1;
    ERR_clear_error();
    return good;
}

Result<std::string> sign_es256(std::string_view key_pem, std::string_view data) {
    auto key = TRY(Es256Key::load(key_pem));
    return key->sign(data);
}

bool verify_es256(std::string_view pem, std::string_view data, std::string_view signature) {
    auto key = Es256Key::load(pem);
    return key && (*key)->verify(data, signature);
}

} // namespace cloudlet::net
