#pragma once
// The syntax of names in Kubernetes: DNS labels and subdomains, label keys and values, and so on.
//
// Each check returns the complaint in Kubernetes' own words (k8s.io/apimachinery
// util/validation), or nothing when the text is good.

#include <optional>
#include <string>
#include <string_view>

namespace cloudlet::api {

using Complaint = std::optional<std::string>;

Complaint check_dns_label(std::string_view text);      // RFC 1123 label, at most 63 characters
Complaint check_dns_label_1035(std::string_view text); // starts with a letter (Service names)
Complaint check_dns_subdomain(std::string_view text);  // RFC 1123 subdomain, at most 253
Complaint check_qualified_name(std::string_view text); // label and annotation keys
Complaint check_label_value(std::string_view text);
Complaint check_env_name(std::string_view text);
Complaint check_port_name(std::string_view text);    // IANA service name, at most 15
Complaint check_config_key(std::string_view text);   // keys of ConfigMap and Secret
Complaint check_path_segment(std::string_view text); // no "/", "%", "." or ".."
Complaint check_ip(std::string_view text);
Complaint check_ipv4_cidr(std::string_view text);

/// Runs the check that a schema names ("dns_label", ...). No complaint for an unknown name.
Complaint run_named_check(std::string_view name, std::string_view text);
/// True for a name that run_named_check knows; the schema compiler's test uses it.
bool is_named_check(std::string_view name);

} // namespace cloudlet::api
