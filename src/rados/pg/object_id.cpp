#include "pg/object_id.h"

#include <array>

namespace cloudlet::rados {

namespace {

constexpr std::string_view end_of_part("\0\1", 2), escaped_zero("\0\xff", 2);
constexpr size_t snap_bytes = 8;

/// A zero byte becomes 00 ff, and 00 01 ends the part: so a shorter text sorts before a longer one.
void append_part(std::string& name, const std::string& part) {
    if (part.find('\0') == std::string::npos) {
        name += part;
    } else {
        for (char byte : part) {
            if (byte == '\0')
                name += escaped_zero;
            else
                name += byte;
        }
    }
    name += end_of_part;
}

bool take_part(std::string_view& name, std::string& part) {
    for (size_t at = 0; at + 1 < name.size(); ++at) {
        if (name[at] != '\0') {
            part += name[at];
            continue;
        }
        bool ends = name[at + 1] == '\1';
        if (ends) {
            name.remove_prefix(at + 2);
            return true;
        }
        if (name[at + 1] != '\xff') return false;
        part += '\0';
        ++at;
    }
    return false;
}

} // namespace

ObjectId to_object_id(const PgObject& object) {
    std::string name;
    name.reserve(object.name_space->size() + object.locator_key->size() + object.name.size() +
                 3 * end_of_part.size() + snap_bytes);
    append_part(name, object.name_space);
    append_part(name, object.locator_key);
    append_part(name, object.name);
    for (int shift = 56; shift >= 0; shift -= 8) name += static_cast<char>(object.snap >> shift);
    return {reversed_bits(object.hash), std::move(name)};
}

std::optional<PgObject> from_object_id(const ObjectId& id) {
    PgObject object{.hash = reversed_bits(id.hash), .snap = 0};
    std::string name_space, locator_key;
    std::string_view name = id.name;
    if (!take_part(name, name_space) || !take_part(name, locator_key) ||
        !take_part(name, object.name) || name.size() != snap_bytes)
        return std::nullopt;
    object.name_space = std::move(name_space);
    object.locator_key = std::move(locator_key);
    for (char byte : name) object.snap = object.snap << 8 | static_cast<uint8_t>(byte);
    return object;
}

} // namespace cloudlet::rados
