#pragma once
// JSON as a value: what every room reads, edits and writes (RFC 8259).
//
// A Json is 24 bytes: numbers and strings of up to 22 bytes live inside it, longer strings, arrays
// and objects on the heap. Copying copies the tree. Objects keep the order of insertion and have
// unique keys. Integers are exact at any length; floats print as the shortest text that reads back
// the same. Reads are total: a missing key or another type gives a shared null or the caller's
// fallback, so a path can be followed without asking at each step. Distinct values may be used by
// distinct threads; one value may be read by many threads at once.

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cloudlet/base/result.h"

namespace cloudlet::codec {

class Json {
public:
    struct Member;
    class Object;
    using Array = std::vector<Json>;

    Json() noexcept = default; // null
    Json(std::nullptr_t) noexcept {}
    template <std::same_as<bool> T>
    Json(T value) noexcept : kind_(Kind::boolean) {
        store(value);
    }
    template <std::integral T>
    requires(!std::same_as<T, bool>) Json(T value)
    noexcept {
        if constexpr (std::signed_integral<T>) {
            kind_ = Kind::signed_integer;
            store(static_cast<int64_t>(value));
        } else {
            set_unsigned(value);
        }
    }
    /// NaN and infinities have no spelling in JSON: they become null.
    template <std::floating_point T>
    Json(T value) noexcept {
        set_double(static_cast<double>(value));
    }
    Json(std::string_view text);
    Json(const std::string& text) : Json(std::string_view(text)) {}
    Json(const char* text) : Json(std::string_view(text)) {}
    Json(Array items);
    Json(Object members);

    Json(const Json& other);
    Json(Json&& other) noexcept { take(other); }
    Json& operator=(const Json& other);
    Json& operator=(Json&& other) noexcept {
        if (this != &other) {
            Json old(std::move(*this)); // `other` may live inside this value
            take(other);
        }
        return *this;
    }
    ~Json() {
        if (kind_ >= Kind::long_text) destroy();
    }

    /// An object with these members (a later duplicate wins), or an empty one.
    static Json object();
    static Json object(std::initializer_list<std::pair<std::string_view, Json>> members);
    static Json array();
    static Json array(std::initializer_list<Json> items);

    bool is_null() const { return kind_ == Kind::null; }
    bool is_bool() const { return kind_ == Kind::boolean; }
    /// An integer that as_int() can give exactly, or an unsigned one above INT64_MAX.
    bool is_int() const { return kind_ == Kind::signed_integer || kind_ == Kind::unsigned_integer; }
    /// Any number: is_int(), a float, or an integer beyond 64 bits.
    bool is_number() const {
        return is_int() || kind_ == Kind::real || kind_ == Kind::huge_integer;
    }
    bool is_string() const { return kind_ == Kind::short_text || kind_ == Kind::long_text; }
    bool is_array() const { return kind_ == Kind::array; }
    bool is_object() const { return kind_ == Kind::object; }

    /// The member, or a shared null when this is no object or has no such key.
    const Json& operator[](std::string_view key) const;
    /// The element, or a shared null.
    const Json& operator[](size_t index) const;
    const Json& operator[](const char* key) const { return (*this)[std::string_view(key)]; }
    const Json& operator[](int index) const { return (*this)[static_cast<size_t>(index)]; }
    /// The member, or nullptr.
    const Json* find(std::string_view key) const;
    bool contains(std::string_view key) const { return find(key) != nullptr; }
    /// Follows keys: `pod.at({"metadata", "name"})`.
    const Json& at(std::initializer_list<std::string_view> path) const;

    /// The view lives as long as this value is neither changed nor moved.
    std::string_view as_string(std::string_view fallback = {}) const;
    /// Integers in range, and floats without a fraction; else the fallback.
    int64_t as_int(int64_t fallback = 0) const;
    double as_double(double fallback = 0) const;
    bool as_bool(bool fallback = false) const;
    const Array& items() const;    // empty when this is no array
    const Object& members() const; // empty when this is no object
    /// Items of an array or members of an object; 0 for anything else.
    size_t size() const;
    bool empty() const { return size() == 0; }

    // Writes. A null becomes the container that the call needs; another type is a check() failure.

    /// Sets a member and returns this value, so that calls chain.
    Json& set(std::string_view key, Json value);
    /// The member of that name, made as null when it is not there.
    Json& ensure(std::string_view key);
    /// Sets the member at the end of a path, making the objects on the way. Returns this value.
    Json& set_path(std::initializer_list<std::string_view> path, Json value);
    /// True when the member was there. A null or another type has no members.
    bool erase(std::string_view key);
    Json& push_back(Json value); // returns this value
    Json* find_mutable(std::string_view key);
    Array& mutable_items();
    Object& mutable_members();

    /// Order of members does not matter; numbers compare by value (1 == 1.0).
    friend bool operator==(const Json& a, const Json& b);

    /// Compact text. Bytes that are not UTF-8 are written as U+FFFD, so the output is always valid.
    std::string dump() const;
    void dump_to(std::string& out) const; // appends
    /// For people: one member or item a line.
    std::string dump_pretty(size_t indent = 4) const;

private:
    friend class JsonBuilder;
    // Kinds from long_text on own memory.
    enum class Kind : uint8_t {
        null,
        boolean,
        signed_integer,
        unsigned_integer,
        real,
        short_text,
        long_text,
        huge_integer,
        array,
        object
    };
    static constexpr size_t short_text_size = 22;

    template <typename T>
    void store(T value) noexcept {
        std::memcpy(bytes_, &value, sizeof value);
    }
    template <typename T>
    T load() const noexcept {
        T value;
        std::memcpy(&value, bytes_, sizeof value);
        return value;
    }
    void take(Json& other) noexcept {
        std::memcpy(static_cast<void*>(this), static_cast<const void*>(&other), sizeof *this);
        other.kind_ = Kind::null;
    }
    void set_unsigned(uint64_t value) noexcept;
    void set_double(double value) noexcept;
    void set_long_text(std::string_view text, Kind kind);
    static Json huge(std::string_view digits); // an integer beyond 64 bits, as written
    std::string_view long_text() const noexcept;
    void destroy() noexcept;
    static bool numbers_equal(const Json& a, const Json& b);
    friend class JsonWriter;

    alignas(8) unsigned char bytes_[short_text_size] = {};
    uint8_t short_size_ = 0;
    Kind kind_ = Kind::null;
};

struct Json::Member {
    std::string key;
    Json value;
};

/// The members of an object in order of insertion. Small objects are searched in line, larger ones
/// through a sorted index, so 10 000 keys stay fast and no choice of keys makes them slow.
class Json::Object {
public:
    using iterator = std::vector<Member>::iterator;
    using const_iterator = std::vector<Member>::const_iterator;

    Object() = default;

    const_iterator begin() const { return members_.begin(); }
    const_iterator end() const { return members_.end(); }
    /// Values may be changed through these; keys may not.
    iterator begin() { return members_.begin(); }
    iterator end() { return members_.end(); }
    size_t size() const { return members_.size(); }
    bool empty() const { return members_.empty(); }
    void clear();
    void reserve(size_t count) { members_.reserve(count); }

    const_iterator find(std::string_view key) const;
    iterator find(std::string_view key);
    bool contains(std::string_view key) const { return find(key) != end(); }
    /// Appends the member, or replaces the value where the key already stands.
    Json& insert_or_assign(std::string_view key, Json value);
    /// Returns the next member.
    iterator erase(iterator position);
    bool erase(std::string_view key);
    /// The number of members erased.
    template <typename Predicate>
    size_t erase_if(Predicate predicate) {
        size_t erased = std::erase_if(members_, predicate);
        if (erased) rebuild_index();
        return erased;
    }

private:
    friend class JsonBuilder;
    static constexpr size_t npos = static_cast<size_t>(-1);
    static constexpr size_t linear_limit = 24; // larger objects have an index

    size_t position_of(std::string_view key) const;
    size_t lower_bound(std::string_view key) const;
    void rebuild_index();

    std::vector<Member> members_;
    std::vector<uint32_t> sorted_; // positions in members_ by key; empty for small objects
};

inline const Json& Json::operator[](std::string_view key) const {
    static const Json null;
    const Json* found = find(key);
    return found ? *found : null;
}

/// What a parser accepts at most.
struct JsonLimits {
    size_t max_depth = 128;       // containers inside containers
    size_t max_bytes = 16u << 20; // of input; longer is Code::too_large
};

/// A document, and the keys that stood twice in one object, as paths: "spec.replicas",
/// "spec.containers[0].name". The last value of a key wins.
struct ParsedJson {
    Json value;
    std::vector<std::string> duplicate_keys;
};

/// Parses one complete document. Strict: no comments, no trailing commas, UTF-8 only.
/// Error: Code::invalid with line and column; Code::too_large past a limit.
Result<Json> parse_json(std::string_view text, JsonLimits limits = {});
Result<ParsedJson> parse_json_noting_duplicates(std::string_view text, JsonLimits limits = {});

/// Appends `text` as a JSON string with its quotes, as dump() writes it.
void append_json_string(std::string& out, std::string_view text);

} // namespace cloudlet::codec
