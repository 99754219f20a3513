#include "pki.h"

#include <algorithm>

#include <fmt/format.h>

#include "cloudlet/base/bytes.h"
#include "cloudlet/base/log.h"
#include "cloudlet/base/random.h"
#include "cloudlet/io/file.h"

namespace cloudlet::app {
namespace {

constexpr auto renew_before = std::chrono::hours(24 * 60);

Result<> write_pair(const std::string& folder, const std::string& name, const net::KeyPair& pair) {
    // The key first: a certificate without its key would be taken for a complete pair.
    TRY(io::write_file_atomic(folder + "/" + name + ".key", pair.key_pem, 0600));
    return io::write_file_atomic(folder + "/" + name + ".crt", pair.cert_pem, 0644);
}

Result<net::KeyPair> read_pair(const std::string& folder, const std::string& name) {
    net::KeyPair pair;
    pair.cert_pem = TRY(io::read_file(folder + "/" + name + ".crt"));
    pair.key_pem = TRY(io::read_file(folder + "/" + name + ".key"));
    return pair;
}

Result<net::KeyPair> open_authority(const std::string& folder) {
    auto authority = read_pair(folder, "ca");
    if (authority) {
        TRY(with_context(net::read_certificate(authority->cert_pem),
                         folder + "/ca.crt is damaged; restore it"));
        return authority;
    }
    if (io::exists(folder + "/ca.crt") || authority.error().code != Code::not_found)
        return with_context(std::move(authority),
                            "the cloud's authority cannot be read; restore it from a backup");
    auto made = TRY(net::make_authority("cloudlet-ca"));
    TRY(write_pair(folder, "ca", made));
    return made;
}

bool contains_all(const std::vector<std::string>& have, const std::vector<std::string>& wanted) {
    return std::all_of(wanted.begin(), wanted.end(), [&](const auto& name) {
        return std::find(have.begin(), have.end(), name) != have.end();
    });
}

bool still_good(const net::KeyPair& pair, const net::KeyPair& authority,
                const net::CertificateRequest& wanted, const Clock& clock) {
    auto facts = net::read_certificate(pair.cert_pem);
    return facts && facts->common_name == wanted.common_name &&
           facts->not_after > clock.wall() + renew_before &&
           contains_all(facts->dns_names, wanted.dns_names) &&
           contains_all(facts->ip_addresses, wanted.ip_addresses) &&
           net::is_signed_by(pair.cert_pem, authority.cert_pem).value_or(false);
}

Result<net::KeyPair> open_leaf(const std::string& folder, const std::string& name,
                               const net::KeyPair& authority, const net::CertificateRequest& wanted,
                               const Clock& clock) {
    auto pair = read_pair(folder, name);
    if (pair && still_good(*pair, authority, wanted, clock)) return pair;
    auto issued = TRY(net::issue(authority, wanted));
    TRY(write_pair(folder, name, issued));
    if (pair) log_info("app", "certificate {} was issued anew", name);
    return issued;
}

/// Reads a secret, or makes it at the first start.
Result<std::string> open_secret(const std::string& path, Result<std::string> (*make)()) {
    auto secret = io::read_file(path);
    if (secret || secret.error().code != Code::not_found) return secret;
    auto made = TRY(make());
    TRY(io::write_file_atomic(path, made, 0600));
    return made;
}

Result<std::string> make_token() { return to_base64url(secure_random_bytes(32)); }

} // namespace

Result<Pki> open_pki(const std::string& folder, const ServerNames& names, const Clock& clock) {
    TRY(io::make_directories(folder, 0700));
    TRY(io::sweep_temporary_files(folder));
    auto authority = TRY(open_authority(folder));
    Pki pki;
    pki.ca_pem = authority.cert_pem;
    pki.server = TRY(open_leaf(folder, "server", authority,
                               {.common_name = "cloudlet-api",
                                .organizations = {},
                                .dns_names = names.dns_names,
                                .ip_addresses = names.ip_addresses,
                                .days = 365,
                                .server = true},
                               clock));
    pki.admin = TRY(open_leaf(folder, "admin", authority,
                              {.common_name = "cloudlet-admin",
                               .organizations = {"system:masters"},
                               .dns_names = {},
                               .ip_addresses = {},
                               .days = 365,
                               .client = true},
                              clock));
    pki.admin_token = TRY(open_secret(folder + "/admin.token", make_token));
    pki.service_account_key = TRY(open_secret(folder + "/service-account.key", net::make_key));
    return pki;
}

std::string make_kubeconfig(const Pki& pki, Credential credential, const std::string& host,
                            uint16_t port) {
    std::string proof =
        credential == Credential::token
            ? fmt::format("    token: {}\n", pki.admin_token)
            : fmt::format("    client-certificate-data: {}\n"
                          "    client-key-data: {}\n",
                          to_base64(pki.admin.cert_pem), to_base64(pki.admin.key_pem));
    return fmt::format("apiVersion: v1\n"
                       "kind: Config\n"
                       "clusters:\n"
                       "- name: cloudlet\n"
                       "  cluster:\n"
                       "    server: https://{}:{}\n"
                       "    certificate-authority-data: {}\n"
                       "users:\n"
                       "- name: cloudlet-admin\n"
                       "  user:\n"
                       "{}"
                       "contexts:\n"
                       "- name: cloudlet\n"
                       "  context:\n"
                       "    cluster: cloudlet\n"
                       "    user: cloudlet-admin\n"
                       "current-context: cloudlet\n",
                       host, port, to_base64(pki.ca_pem), proof);
}

} // namespace cloudlet::app
