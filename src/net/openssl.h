#pragma once
// OpenSSL's objects with owners, and its error queue as our errors. Private to this room.

#include <memory>
#include <string>
#include <string_view>

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "cloudlet/base/result.h"
#include "cloudlet/net/http_message.h"
#include "cloudlet/net/tls.h"

namespace cloudlet::net {

template <auto Free>
struct Freed {
    template <typename T>
    void operator()(T* object) const {
        Free(object);
    }
};

using BioPtr = std::unique_ptr<BIO, Freed<BIO_free_all>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using CertPtr = std::unique_ptr<X509, Freed<X509_free>>;
using DigestPtr = std::unique_ptr<EVP_MD_CTX, Freed<EVP_MD_CTX_free>>;
using SslPtr = std::unique_ptr<SSL, Freed<SSL_free>>;
using SslContextPtr = std::unique_ptr<SSL_CTX, Freed<SSL_CTX_free>>;
using SessionPtr = std::unique_ptr<SSL_SESSION, Freed<SSL_SESSION_free>>;
using NamesPtr = std::unique_ptr<GENERAL_NAMES, Freed<GENERAL_NAMES_free>>;

/// The oldest reason in this thread's error queue, which is emptied.
std::string openssl_reason();
/// "what: reason".
tl::unexpected<Error> fail_openssl(Code code, std::string_view what);

Result<CertPtr> read_cert(std::string_view pem);
Result<KeyPtr> read_key(std::string_view pem);
std::string subject_entry(X509* cert, int nid);
std::vector<std::string> subject_entries(X509* cert, int nid);

struct TlsContext::Impl {
    bool server = false;
    std::string server_name;
    bool insecure = false;
    std::mutex mutex;
    std::shared_ptr<SSL_CTX> context; // under mutex
    SessionPtr session;               // under mutex: a client's ticket for the next connection

    std::shared_ptr<SSL_CTX> current() {
        std::lock_guard lock(mutex);
        return context;
    }
};

/// A fresh SSL on the descriptor in this side's role. `host` is checked against the certificate
/// when the settings name no server (clients only).
Result<SslPtr> make_ssl(TlsContext& tls, int fd, const std::string& host);
/// Keeps a client connection's ticket for the next one. Call after data was read.
void keep_session(TlsContext& tls, SSL* ssl);
/// What a verified client certificate says; fills nothing without one.
void read_peer_identity(SSL* ssl, PeerIdentity& peer);

} // namespace cloudlet::net
