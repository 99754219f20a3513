#include "cloudlet/api/names.h"

#include <arpa/inet.h>

#include <algorithm>

#include <fmt/format.h>

namespace cloudlet::api {

namespace {

bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_alnum(char c) { return is_lower(c) || is_digit(c) || (c >= 'A' && c <= 'Z'); }
bool is_lower_alnum(char c) { return is_lower(c) || is_digit(c); }

std::string too_long(size_t limit) {
    return fmt::format("must be no more than {} characters", limit);
}

/// The tail of a complaint about a pattern, as apimachinery's RegexError prints it.
std::string pattern(std::string_view rule, std::string_view examples, std::string_view regex) {
    return fmt::format("{} (e.g. {}, regex used for validation is '{}')", rule, examples, regex);
}

bool is_dns_label(std::string_view text) {
    if (text.empty() || !is_lower_alnum(text.front()) || !is_lower_alnum(text.back())) return false;
    return std::ranges::all_of(text, [](char c) { return is_lower_alnum(c) || c == '-'; });
}

/// ([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]
bool is_name_part(std::string_view text) {
    if (text.empty() || !is_alnum(text.front()) || !is_alnum(text.back())) return false;
    return std::ranges::all_of(
        text, [](char c) { return is_alnum(c) || c == '-' || c == '_' || c == '.'; });
}

using Check = Complaint (*)(std::string_view);
struct NamedCheck {
    std::string_view name;
    Check check;
};
constexpr NamedCheck named_checks[] = {
    {"dns_label", check_dns_label},         {"dns_label_1035", check_dns_label_1035},
    {"dns_subdomain", check_dns_subdomain}, {"qualified_name", check_qualified_name},
    {"label_value", check_label_value},     {"env_name", check_env_name},
    {"port_name", check_port_name},         {"config_key", check_config_key},
    {"path_segment", check_path_segment},   {"ip", check_ip},
    {"ipv4_cidr", check_ipv4_cidr},
};

} // namespace

Complaint check_dns_label(std::string_view text) {
    if (text.size() > 63) return too_long(63);
    if (is_dns_label(text)) return {};
    return pattern("a lowercase RFC 1123 label must consist of lower case alphanumeric characters "
                   "or '-', and must "
                   "start and end with an alphanumeric character",
                   "'my-name',  or '123-abc'", "[a-z0-9]([-a-z0-9]*[a-z0-9])?");
}

Complaint check_dns_label_1035(std::string_view text) {
    if (text.size() > 63) return too_long(63);
    if (is_dns_label(text) && is_lower(text.front())) return {};
    return pattern(
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an "
        "alphabetic character, and end with an alphanumeric character",
        "'my-name',  or 'abc-123'", "[a-z]([-a-z0-9]*[a-z0-9])?");
}

Complaint check_dns_subdomain(std::string_view text) {
    if (text.size() > 253) return too_long(253);
    bool good = true;
    std::string_view rest = text;
    for (bool more = true; more && good;) {
        size_t dot = rest.find('.');
        good = is_dns_label(rest.substr(0, dot));
        more = dot != rest.npos;
        if (more) rest.remove_prefix(dot + 1);
    }
    if (good) return {};
    return pattern("a lowercase RFC 1123 subdomain must consist of lower case alphanumeric "
                   "characters, '-' or '.', and "
                   "must start and end with an alphanumeric character",
                   "'example.com'",
                   "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*");
}

Complaint check_qualified_name(std::string_view text) {
    constexpr std::string_view regex = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
    constexpr std::string_view examples = "'MyName',  or 'my.name',  or '123-abc'";
    size_t slash = text.find('/');
    std::string_view name = text;
    if (slash != text.npos) {
        std::string_view prefix = text.substr(0, slash);
        name = text.substr(slash + 1);
        if (name.find('/') != name.npos)
            return pattern("a qualified name must consist of alphanumeric characters, '-', '_' or "
                           "'.', and must start "
                           "and end with an alphanumeric character",
                           examples, regex) +
                   " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
        if (prefix.empty()) return "prefix part must be non-empty";
        if (auto complaint = check_dns_subdomain(prefix)) return "prefix part " + *complaint;
    }
    if (name.empty()) return "name part must be non-empty";
    if (name.size() > 63) return "name part " + too_long(63);
    if (is_name_part(name)) return {};
    return "name part " +
           pattern(
               "must consist of alphanumeric characters, '-', '_' or '.', and must start and end "
               "with an alphanumeric character",
               examples, regex);
}

Complaint check_label_value(std::string_view text) {
    if (text.size() > 63) return too_long(63);
    if (text.empty() || is_name_part(text)) return {};
    return pattern("a valid label must be an empty string or consist of alphanumeric characters, "
                   "'-', '_' or '.', and "
                   "must start and end with an alphanumeric character",
                   "'MyValue',  or 'my_value',  or '12345'",
                   "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?");
}

Complaint check_env_name(std::string_view text) {
    // Since Kubernetes 1.32 relaxed names are the rule: printable ASCII but '='.
    bool good = !text.empty() &&
                std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~' && c != '='; });
    if (good) return {};
    return "a valid environment variable name must consist only of printable ASCII characters "
           "other than '='";
}

Complaint check_port_name(std::string_view text) {
    if (text.size() > 15) return too_long(15);
    bool letters = std::ranges::any_of(text, is_lower);
    bool charset = std::ranges::all_of(text, [](char c) { return is_lower_alnum(c) || c == '-'; });
    if (!charset) return "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)";
    if (!letters) return "must contain at least one letter (a-z)";
    if (text.find("--") != text.npos) return "must not contain consecutive hyphens";
    if (text.front() == '-' || text.back() == '-') return "must not begin or end with a hyphen";
    return {};
}

Complaint check_config_key(std::string_view text) {
    if (text.size() > 253) return too_long(253);
    bool good = !text.empty() && std::ranges::all_of(text, [](char c) {
        return is_alnum(c) || c == '-' || c == '_' || c == '.';
    });
    if (!good)
        return pattern(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
            "'key.name',  or 'KEY_NAME',  or 'key-name'", "[-._a-zA-Z0-9]+");
    if (text == "." || text == "..") return "must not be '" + std::string(text) + "'";
    if (text.starts_with("..")) return "must not start with '..'";
    return {};
}

Complaint check_path_segment(std::string_view text) {
    if (text == "." || text == "..") return "may not be '" + std::string(text) + "'";
    for (char c : {'/', '%'})
        if (text.find(c) != text.npos) return fmt::format("may not contain '{}'", c);
    return {};
}

Complaint check_ip(std::string_view text) {
    unsigned char address[sizeof(in6_addr)];
    std::string copy(text);
    if (inet_pton(AF_INET, copy.c_str(), address) == 1 ||
        inet_pton(AF_INET6, copy.c_str(), address) == 1)
        return {};
    return "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
}

Complaint check_ipv4_cidr(std::string_view text) {
    size_t slash = text.find('/');
    std::string_view bits = slash == text.npos ? std::string_view() : text.substr(slash + 1);
    bool good = slash != text.npos && !bits.empty() && bits.size() <= 2 &&
                std::ranges::all_of(bits, is_digit) && std::stoi(std::string(bits)) <= 32 &&
                !check_ip(text.substr(0, slash));
    if (good) return {};
    return "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
}

Complaint run_named_check(std::string_view name, std::string_view text) {
    auto found = std::ranges::find(named_checks, name, &NamedCheck::name);
    return found == std::end(named_checks) ? Complaint{} : found->check(text);
}

bool is_named_check(std::string_view name) {
    return std::ranges::find(named_checks, name, &NamedCheck::name) != std::end(named_checks);
}

} // namespace cloudlet::api
