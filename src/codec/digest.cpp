#include "cloudlet/codec/digest.h"

#include <openssl/evp.h>

#include "cloudlet/base/bytes.h"
#include "cloudlet/base/check.h"

namespace cloudlet::codec {

namespace {

// Fetched once: EVP_sha256() looks its implementation up anew for each digest.
const EVP_MD* algorithm(const char* name) {
    const EVP_MD* md = EVP_MD_fetch(nullptr, name, nullptr);
    check(md != nullptr, "OpenSSL has no SHA-1 or SHA-2");
    return md;
}

std::string digest_of(const EVP_MD* md, std::string_view bytes) {
    unsigned char out[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    check(EVP_Digest(bytes.data(), bytes.size(), out, &size, md, nullptr) == 1,
          "OpenSSL could not digest bytes");
    return {reinterpret_cast<char*>(out), size};
}

const EVP_MD* sha256_algorithm() {
    static const EVP_MD* const md = algorithm("SHA256");
    return md;
}

} // namespace

struct Sha256::Impl {
    Impl() { start(); }
    ~Impl() { EVP_MD_CTX_free(context); }
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;
    void start() {
        check(EVP_DigestInit_ex(context, sha256_algorithm(), nullptr) == 1,
              "OpenSSL could not start a digest");
    }
    EVP_MD_CTX* context = EVP_MD_CTX_new();
};

Sha256::Sha256() : impl_(std::make_unique<Impl>()) {}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(std::string_view bytes) {
    check(EVP_DigestUpdate(impl_->context, bytes.data(), bytes.size()) == 1,
          "OpenSSL could not digest bytes");
}

std::string Sha256::finish() {
    unsigned char out[32];
    check(EVP_DigestFinal_ex(impl_->context, out, nullptr) == 1,
          "OpenSSL could not finish a digest");
    impl_->start();
    return {reinterpret_cast<char*>(out), sizeof out};
}

std::string Sha256::finish_hex() { return to_hex(finish()); }

std::string sha256(std::string_view bytes) { return digest_of(sha256_algorithm(), bytes); }
std::string sha256_hex(std::string_view bytes) { return to_hex(sha256(bytes)); }

std::string sha512_hex(std::string_view bytes) {
    static const EVP_MD* const md = algorithm("SHA512");
    return to_hex(digest_of(md, bytes));
}

std::string sha1(std::string_view bytes) {
    static const EVP_MD* const md = algorithm("SHA1");
    return digest_of(md, bytes);
}

} // namespace cloudlet::codec
