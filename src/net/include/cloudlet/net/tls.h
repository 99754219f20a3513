#pragma once
// TLS settings of one side. TLS 1.3, at least 1.2; certificates are PEM text. OpenSSL stands
// behind.

#include <memory>
#include <string>

#include "cloudlet/base/result.h"

namespace cloudlet::net {

struct ServerTls {
    std::string cert_pem = {}; // leaf first, then intermediates
    std::string key_pem = {};
    /// When set, a client may show a certificate; one that this authority did not sign ends the
    /// handshake. No certificate is fine: the request says so.
    std::string client_ca_pem = {};
};

struct ClientTls {
    std::string ca_pem = {};   // whom we believe; required unless insecure
    std::string cert_pem = {}; // ours, optional
    std::string key_pem = {};
    std::string server_name = {}; // checked against the server's names; empty: the host of the URL
    bool insecure = false;        // believes anyone: for HTTPS probes only
};

/// Shared by listeners and connections; thread-safe.
class TlsContext {
public:
    /// Error: Code::invalid when a PEM text is bad or the key is not the certificate's.
    static Result<std::shared_ptr<TlsContext>> server(const ServerTls& settings);
    static Result<std::shared_ptr<TlsContext>> client(const ClientTls& settings);
    /// New connections use the new settings; a bad set leaves the old one in use.
    Result<> reload(const ServerTls& settings);
    ~TlsContext();

    struct Impl;
    explicit TlsContext(std::unique_ptr<Impl> impl);
    Impl& impl() { return *impl_; }

private:
    std::unique_ptr<Impl> impl_;
};

} // namespace cloudlet::net
