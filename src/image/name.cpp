#include "cloudlet/image/name.h"

#include <algorithm>

#include <fmt/format.h>

namespace cloudlet::image {

namespace {

constexpr size_t longest_repository = 255; // registry and path together

bool is_lower(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool is_alphanumeric(char c) { return is_lower(c) || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f'); }

bool all(std::string_view text, bool (*test)(char)) {
    return std::all_of(text.begin(), text.end(), test);
}

// Calls `visit` for each part between separators; false as soon as it says so.
template <typename Visit>
bool each_part(std::string_view text, char separator, Visit visit) {
    for (;;) {
        size_t end = text.find(separator);
        if (!visit(text.substr(0, end))) return false;
        if (end == std::string_view::npos) return true;
        text.remove_prefix(end + 1);
    }
}

// domain-component *("." domain-component) [":" port], or an IPv6 address in brackets.
bool is_registry(std::string_view text) {
    size_t end = text.starts_with('[') ? text.find(']') : text.find(':');
    if (text.starts_with('[')) {
        if (end == std::string_view::npos) return false;
        auto address = text.substr(1, end - 1);
        bool fine = !address.empty() && std::all_of(address.begin(), address.end(), [](char c) {
            return c == ':' || is_hex(c) || (c >= 'A' && c <= 'F');
        });
        if (!fine) return false;
        ++end;
        if (end < text.size() && text[end] != ':') return false;
        end = end < text.size() ? end : std::string_view::npos;
    } else {
        bool fine = each_part(text.substr(0, end), '.', [](std::string_view part) {
            return !part.empty() && part.front() != '-' && part.back() != '-' &&
                   std::all_of(part.begin(), part.end(),
                               [](char c) { return c == '-' || is_alphanumeric(c); });
        });
        if (!fine) return false;
    }
    if (end == std::string_view::npos) return true;
    auto port = text.substr(end + 1);
    return !port.empty() && port.size() <= 5 && all(port, is_digit);
}

// Runs of lower-case letters and digits, joined by one ".", one or two "_", or any number of "-".
bool is_path_component(std::string_view text) {
    if (text.empty() || !is_lower(text.front()) || !is_lower(text.back())) return false;
    for (size_t i = 0; i < text.size();) {
        if (is_lower(text[i])) {
            ++i;
            continue;
        }
        size_t end = i;
        while (end < text.size() && text[end] == text[i]) ++end;
        size_t most = text[i] == '.' ? 1 : text[i] == '_' ? 2 : text[i] == '-' ? text.size() : 0;
        if (end - i > most || !is_lower(text[end])) return false;
        i = end;
    }
    return true;
}

bool is_tag(std::string_view text) {
    return !text.empty() && text.size() <= 128 && text.front() != '.' && text.front() != '-' &&
           std::all_of(text.begin(), text.end(), [](char c) {
               return is_alphanumeric(c) || c == '_' || c == '.' || c == '-';
           });
}

bool is_digest(std::string_view text) {
    return text.starts_with("sha256:") && text.size() == 71 && all(text.substr(7), is_hex);
}

tl::unexpected<Error> bad(std::string_view text, std::string_view why) {
    return fail(Code::invalid, fmt::format("\"{}\" is no image name: {}", text, why));
}

// The part before the first slash is a registry when it looks like a host: it has a dot or a colon,
// is "localhost", or has an upper-case letter (no repository may have one).
void split_registry(std::string_view text, ImageName& name) {
    size_t slash = text.find('/');
    auto first = text.substr(0, slash);
    bool upper =
        std::any_of(first.begin(), first.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
    bool host = slash != std::string_view::npos &&
                (first.find_first_of(".:") != first.npos || first == "localhost" || upper);
    name.registry = host ? first : "docker.io";
    name.repository = host ? text.substr(slash + 1) : text;
    if (name.registry == "index.docker.io") name.registry = "docker.io";
    if (name.registry == "docker.io" && name.repository.find('/') == std::string::npos)
        name.repository.insert(0, "library/");
}

} // namespace

std::string ImageName::repository_name() const { return registry + "/" + repository; }

std::string ImageName::to_string() const {
    return repository_name() + (tag.empty() ? "" : ":" + tag) +
           (digest.empty() ? "" : "@" + digest);
}

bool is_full_id(std::string_view text) {
    if (text.starts_with("sha256:")) text.remove_prefix(7);
    return text.size() == 64 && all(text, is_hex);
}

Result<ImageName> parse_name(std::string_view text) {
    if (is_full_id(text))
        return bad(text, "64 hex digits are an image id; give it a name with letters");
    ImageName name;
    std::string_view rest = text;
    if (size_t at = rest.find('@'); at != rest.npos) {
        name.digest = rest.substr(at + 1);
        rest = rest.substr(0, at);
        if (!is_digest(name.digest))
            return bad(text, "after @ stands \"sha256:\" and 64 lower-case hex digits");
    }
    size_t colon = rest.rfind(':');
    if (colon != rest.npos && rest.find('/', colon) == rest.npos) {
        name.tag = rest.substr(colon + 1);
        rest = rest.substr(0, colon);
        if (!is_tag(name.tag))
            return bad(
                text,
                "a tag has 1 to 128 letters, digits, \"_\", \".\" or \"-\", and starts with one of "
                "the first three");
    }
    if (rest.empty()) return bad(text, "the repository is missing");
    split_registry(rest, name);
    if (!is_registry(name.registry))
        return bad(text, "the registry before the first \"/\" is no host name");
    if (std::any_of(name.repository.begin(), name.repository.end(),
                    [](char c) { return c >= 'A' && c <= 'Z'; }))
        return bad(text, "the repository must be lower case");
    if (!each_part(name.repository, '/', is_path_component))
        return bad(text, "a repository has lower-case letters and digits, joined by \".\", \"_\", "
                         "\"__\", \"-\" or \"/\"");
    if (name.repository_name().size() > longest_repository)
        return bad(text, "it is longer than 255 characters");
    if (name.tag.empty() && name.digest.empty()) name.tag = "latest";
    return name;
}

Result<std::string> normalize_name(std::string_view text) {
    return TRY(parse_name(text)).to_string();
}

std::string familiar_name(std::string_view normalized) {
    auto name = parse_name(normalized);
    if (!name || name->registry != "docker.io") return std::string(normalized);
    constexpr std::string_view library = "library/";
    auto short_repository = name->repository;
    if (short_repository.starts_with(library) &&
        short_repository.find('/', library.size()) == std::string::npos)
        short_repository.erase(0, library.size());
    return name->to_string().replace(0, name->repository_name().size(), short_repository);
}

} // namespace cloudlet::image
