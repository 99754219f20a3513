#pragma once
// The cloud's own authority and what it issues, kept below <root>/pki. Made at the first start;
// certificates that end soon, or that lack a name they need, are issued anew at any later start.

#include <string>
#include <vector>

#include "cloudlet/base/clock.h"
#include "cloudlet/base/result.h"
#include "cloudlet/net/certificates.h"

namespace cloudlet::app {

struct Pki {
    std::string ca_pem;
    net::KeyPair server;             // of the API
    net::KeyPair admin;              // CN cloudlet-admin, O system:masters
    std::string admin_token;         // the same rights, for clients without certificates
    std::string service_account_key; // signs tokens
};

/// Names under which the API is reached: addresses and DNS names go into the server's certificate.
struct ServerNames {
    std::vector<std::string> dns_names;
    std::vector<std::string> ip_addresses;
};

/// Reads or makes everything; files are complete or absent, keys 0600. Error: io with the path; a
/// damaged authority is an error, since to replace it would lock every client out.
Result<Pki> open_pki(const std::string& folder, const ServerNames& names,
                     const Clock& clock = system_clock());

/// How a kubeconfig proves who its user is.
enum class Credential { certificate, token };

/// A kubeconfig of the admin for the API at https://host:port.
std::string make_kubeconfig(const Pki& pki, Credential credential, const std::string& host,
                            uint16_t port);

} // namespace cloudlet::app
