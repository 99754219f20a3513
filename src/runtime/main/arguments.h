#pragma once
// The command line, as runc has it: global options, a command, its options, then words.

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "cloudlet/base/result.h"

namespace cloudlet::runtime {

/// An option of a command: "bundle" with short form "b"; a flag takes no value.
struct OptionName {
    std::string_view name;
    std::string_view short_name;
    bool flag = false;
};

struct Arguments {
    std::map<std::string, std::vector<std::string>, std::less<>>
        options; // by long name; flags hold ""
    std::vector<std::string> words;

    bool has(std::string_view name) const { return options.find(name) != options.end(); }
    /// The last value given, or the fallback.
    std::string get(std::string_view name, std::string_view fallback = {}) const;
    std::vector<std::string> all(std::string_view name) const;
};

/// Options end at the first word that is none, or after "--": what follows the container's id
/// belongs to the program, whatever it looks like.
Result<Arguments> parse_arguments(const std::vector<std::string>& argv,
                                  const std::vector<OptionName>& known);

} // namespace cloudlet::runtime
