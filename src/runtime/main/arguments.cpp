#include "arguments.h"

#include <fmt/format.h>

namespace cloudlet::runtime {
namespace {

const OptionName* find_option(const std::vector<OptionName>& known, std::string_view name,
                              bool is_short) {
    for (const OptionName& option : known)
        if (name == option.name ||
            (is_short && !option.short_name.empty() && name == option.short_name))
            return &option;
    return nullptr;
}

} // namespace

std::string Arguments::get(std::string_view name, std::string_view fallback) const {
    const auto found = options.find(name);
    return std::string(found == options.end() ? fallback : std::string_view(found->second.back()));
}

std::vector<std::string> Arguments::all(std::string_view name) const {
    const auto found = options.find(name);
    return found == options.end() ? std::vector<std::string>{} : found->second;
}

Result<Arguments> parse_arguments(const std::vector<std::string>& argv,
                                  const std::vector<OptionName>& known) {
    Arguments out;
    for (size_t i = 0; i < argv.size(); i++) {
        const std::string& text = argv[i];
        const bool is_option = text.size() > 1 && text[0] == '-';
        if (text == "--" || !is_option) {
            out.words.assign(argv.begin() + static_cast<long>(i + (text == "--")), argv.end());
            return out;
        }
        std::string_view name = std::string_view(text).substr(text.starts_with("--") ? 2 : 1);
        const size_t equals = name.find('=');
        const OptionName* option = find_option(known, name.substr(0, equals), true);
        if (option == nullptr) return fail(Code::invalid, fmt::format("unknown option {}", text));
        std::string value;
        if (equals != std::string_view::npos) {
            value = name.substr(equals + 1);
        } else if (!option->flag) {
            if (i + 1 >= argv.size())
                return fail(Code::invalid, fmt::format("option {} needs a value", text));
            value = argv[++i];
        }
        if (!(option->flag && value == "false"))
            out.options[std::string(option->name)].push_back(value);
    }
    return out;
}

} // namespace cloudlet::runtime
