#include "cloudlet/net/tls.h"

#include <mutex>

#include <arpa/inet.h>

#include "openssl.h"

namespace cloudlet::net {
namespace {

using SharedContext = std::shared_ptr<SSL_CTX>;

SharedContext share_context(SSL_CTX* context) { return SharedContext(context, SSL_CTX_free); }

void set_common_options(SSL_CTX* context) {
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    // Buffers are given back when a connection idles; a write may be continued from another
    // address.
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(context, 1); // one read(2) for a record's header and body
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
}

Result<> use_identity(SSL_CTX* context, const std::string& cert_pem, const std::string& key_pem) {
    BioPtr bio(BIO_new_mem_buf(cert_pem.data(), static_cast<int>(cert_pem.size())));
    CertPtr leaf(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    if (!leaf) return fail_openssl(Code::invalid, "the certificate is no PEM text");
    if (SSL_CTX_use_certificate(context, leaf.get()) != 1)
        return fail_openssl(Code::invalid, "use the certificate");
    while (X509* more = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr))
        SSL_CTX_add0_chain_cert(context, more);
    ERR_clear_error(); // the end of the text counts as an error there
    auto key = TRY(read_key(key_pem));
    if (SSL_CTX_use_PrivateKey(context, key.get()) != 1)
        return fail_openssl(Code::invalid, "the private key does not belong to the certificate");
    return {};
}

Result<> trust(SSL_CTX* context, const std::string& ca_pem) {
    BioPtr bio(BIO_new_mem_buf(ca_pem.data(), static_cast<int>(ca_pem.size())));
    X509_STORE* store = SSL_CTX_get_cert_store(context);
    size_t count = 0;
    while (CertPtr cert{PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)}) {
        X509_STORE_add_cert(store, cert.get());
        if (SSL_CTX_add_client_CA(context, cert.get()) == 1) ++count;
    }
    ERR_clear_error();
    if (!count) return fail(Code::invalid, "the authority's certificate is no PEM text");
    return {};
}

Result<SharedContext> make_server_context(const ServerTls& settings) {
    auto context = share_context(SSL_CTX_new(TLS_server_method()));
    set_common_options(context.get());
    TRY(use_identity(context.get(), settings.cert_pem, settings.key_pem));
    // A client that leaves without a close_notify is no error; requests carry their own length.
    SSL_CTX_set_options(context.get(), SSL_OP_IGNORE_UNEXPECTED_EOF);
    // Tickets hold the session, so a server keeps nothing for a client that is away.
    SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(context.get(), 1);
    SSL_CTX_set_session_id_context(context.get(),
                                   reinterpret_cast<const unsigned char*>("cloudlet"), 8);
    if (!settings.client_ca_pem.empty()) {
        TRY(trust(context.get(), settings.client_ca_pem));
        SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
    }
    return context;
}

bool is_address(const std::string& host) {
    unsigned char bytes[16];
    return ::inet_pton(AF_INET, host.c_str(), bytes) == 1 ||
           ::inet_pton(AF_INET6, host.c_str(), bytes) == 1;
}

} // namespace

std::string openssl_reason() {
    unsigned long code = ERR_get_error();
    ERR_clear_error();
    if (!code) return "unknown reason";
    const char* reason = ERR_reason_error_string(code);
    return reason ? reason : fmt::format("OpenSSL error {:x}", code);
}

tl::unexpected<Error> fail_openssl(Code code, std::string_view what) {
    return fail(code, fmt::format("{}: {}", what, openssl_reason()));
}

Result<CertPtr> read_cert(std::string_view pem) {
    BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
    CertPtr cert(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    if (!cert) return fail_openssl(Code::invalid, "read a certificate");
    return cert;
}

Result<KeyPtr> read_key(std::string_view pem) {
    BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
    // An empty pass phrase instead of OpenSSL's question on the terminal.
    KeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, const_cast<char*>("")));
    if (!key) return fail_openssl(Code::invalid, "read a private key");
    return key;
}

TlsContext::TlsContext(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TlsContext::~TlsContext() = default;

Result<std::shared_ptr<TlsContext>> TlsContext::server(const ServerTls& settings) {
    auto impl = std::make_unique<Impl>();
    impl->server = true;
    impl->context = TRY(make_server_context(settings));
    return std::make_shared<TlsContext>(std::move(impl));
}

Result<> TlsContext::reload(const ServerTls& settings) {
    auto context = TRY(make_server_context(settings));
    std::lock_guard lock(impl_->mutex);
    impl_->context.swap(context);
    return {};
}

Result<std::shared_ptr<TlsContext>> TlsContext::client(const ClientTls& settings) {
    auto impl = std::make_unique<Impl>();
    impl->server_name = settings.server_name;
    impl->insecure = settings.insecure;
    impl->context = share_context(SSL_CTX_new(TLS_client_method()));
    set_common_options(impl->context.get());
    if (!settings.cert_pem.empty())
        TRY(use_identity(impl->context.get(), settings.cert_pem, settings.key_pem));
    if (!settings.insecure) {
        if (settings.ca_pem.empty())
            return fail(Code::invalid, "no certificate authority to trust is given");
        TRY(trust(impl->context.get(), settings.ca_pem));
        SSL_CTX_set_verify(impl->context.get(), SSL_VERIFY_PEER, nullptr);
    }
    return std::make_shared<TlsContext>(std::move(impl));
}

Result<SslPtr> make_ssl(TlsContext& tls, int fd, const std::string& host) {
    auto& impl = tls.impl();
    auto context = impl.current();
    SslPtr ssl(SSL_new(context.get())); // holds a reference to the context of its own
    if (!ssl || SSL_set_fd(ssl.get(), fd) != 1)
        return fail_openssl(Code::exhausted, "make a TLS connection");
    if (impl.server) {
        SSL_set_accept_state(ssl.get());
        return ssl;
    }
    SSL_set_connect_state(ssl.get());
    const std::string& name = impl.server_name.empty() ? host : impl.server_name;
    if (!is_address(name)) {
        SSL_set_tlsext_host_name(ssl.get(), name.c_str());
        if (!impl.insecure) SSL_set1_host(ssl.get(), name.c_str());
    } else if (!impl.insecure) {
        X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl.get()), name.c_str());
    }
    std::lock_guard lock(impl.mutex);
    if (impl.session) SSL_set_session(ssl.get(), impl.session.get());
    return ssl;
}

void keep_session(TlsContext& tls, SSL* ssl) {
    SSL_SESSION* present = SSL_get0_session(ssl);
    if (!present || SSL_SESSION_is_resumable(present) != 1) return;
    // A copy: OpenSSL spoils the session of a connection that ends without a close_notify.
    SessionPtr session(SSL_SESSION_dup(present));
    std::lock_guard lock(tls.impl().mutex);
    tls.impl().session = std::move(session);
}

void read_peer_identity(SSL* ssl, PeerIdentity& peer) {
    X509* cert = SSL_get0_peer_certificate(ssl);
    if (!cert || SSL_get_verify_result(ssl) != X509_V_OK) return;
    peer.has_certificate = true;
    peer.common_name = subject_entry(cert, NID_commonName);
    peer.organizations = subject_entries(cert, NID_organizationName);
}

} // namespace cloudlet::net
