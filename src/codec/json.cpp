#include "cloudlet/codec/json.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "cloudlet/base/check.h"

namespace cloudlet::codec {

namespace {

struct LongText {
    char* data;
    size_t size;
};

} // namespace

// ---- making and taking apart

Json::Json(std::string_view text) {
    if (text.size() > short_text_size) {
        set_long_text(text, Kind::long_text);
        return;
    }
    kind_ = Kind::short_text;
    short_size_ = static_cast<uint8_t>(text.size());
    if (!text.empty()) std::memcpy(bytes_, text.data(), text.size());
}

Json::Json(Array items) {
    store(new Array(std::move(items)));
    kind_ = Kind::array;
}

Json::Json(Object members) {
    store(new Object(std::move(members)));
    kind_ = Kind::object;
}

Json::Json(const Json& other) {
    switch (other.kind_) {
    case Kind::long_text:
    case Kind::huge_integer: set_long_text(other.long_text(), other.kind_); break;
    case Kind::array: store(new Array(*other.load<Array*>())); break;
    case Kind::object: store(new Object(*other.load<Object*>())); break;
    default: std::memcpy(bytes_, other.bytes_, sizeof bytes_); short_size_ = other.short_size_;
    }
    kind_ = other.kind_;
}

Json& Json::operator=(const Json& other) { return *this = Json(other); }

void Json::destroy() noexcept {
    switch (kind_) {
    case Kind::long_text:
    case Kind::huge_integer: delete[] load<LongText>().data; break;
    case Kind::array: delete load<Array*>(); break;
    case Kind::object: delete load<Object*>(); break;
    default: break;
    }
}

void Json::set_unsigned(uint64_t value) noexcept {
    kind_ = value <= INT64_MAX ? Kind::signed_integer : Kind::unsigned_integer;
    store(value);
}

void Json::set_double(double value) noexcept {
    if (!std::isfinite(value)) return;
    kind_ = Kind::real;
    store(value);
}

void Json::set_long_text(std::string_view text, Kind kind) {
    LongText own{new char[text.size()], text.size()};
    std::memcpy(own.data, text.data(), text.size());
    store(own);
    kind_ = kind;
}

Json Json::huge(std::string_view digits) {
    Json number;
    number.set_long_text(digits, Kind::huge_integer);
    return number;
}

std::string_view Json::long_text() const noexcept {
    auto text = load<LongText>();
    return {text.data, text.size};
}

Json Json::object() { return Json(Object()); }

Json Json::object(std::initializer_list<std::pair<std::string_view, Json>> members) {
    Object object;
    object.reserve(members.size());
    for (const auto& [key, value] : members) object.insert_or_assign(key, value);
    return Json(std::move(object));
}

Json Json::array() { return Json(Array()); }
Json Json::array(std::initializer_list<Json> items) { return Json(Array(items)); }

// ---- reading

static const Json& shared_null() {
    static const Json null;
    return null;
}

const Json* Json::find(std::string_view key) const {
    if (kind_ != Kind::object) return nullptr;
    const Object& object = *load<Object*>();
    auto found = object.find(key);
    return found == object.end() ? nullptr : &found->value;
}

const Json& Json::operator[](size_t index) const {
    const Array& array = items();
    return index < array.size() ? array[index] : shared_null();
}

const Json& Json::at(std::initializer_list<std::string_view> path) const {
    const Json* here = this;
    for (auto key : path) {
        here = here->find(key);
        if (!here) return shared_null();
    }
    return *here;
}

std::string_view Json::as_string(std::string_view fallback) const {
    if (kind_ == Kind::short_text) return {reinterpret_cast<const char*>(bytes_), short_size_};
    return kind_ == Kind::long_text ? long_text() : fallback;
}

int64_t Json::as_int(int64_t fallback) const {
    if (kind_ == Kind::signed_integer) return load<int64_t>();
    if (kind_ != Kind::real) return fallback;
    double value = load<double>();
    bool exact = value >= -0x1p63 && value < 0x1p63 && std::trunc(value) == value;
    return exact ? static_cast<int64_t>(value) : fallback;
}

double Json::as_double(double fallback) const {
    switch (kind_) {
    case Kind::signed_integer: return static_cast<double>(load<int64_t>());
    case Kind::unsigned_integer: return static_cast<double>(load<uint64_t>());
    case Kind::real: return load<double>();
    case Kind::huge_integer: {
        auto digits = long_text();
        double value = fallback;
        std::from_chars(digits.data(), digits.data() + digits.size(), value);
        return value;
    }
    default: return fallback;
    }
}

bool Json::as_bool(bool fallback) const { return kind_ == Kind::boolean ? load<bool>() : fallback; }

const Json::Array& Json::items() const {
    static const Array none;
    return kind_ == Kind::array ? *load<Array*>() : none;
}

const Json::Object& Json::members() const {
    static const Object none;
    return kind_ == Kind::object ? *load<Object*>() : none;
}

size_t Json::size() const { return kind_ == Kind::array ? items().size() : members().size(); }

// ---- writing

Json::Array& Json::mutable_items() {
    if (kind_ == Kind::null) *this = array();
    check(kind_ == Kind::array, "an item was written to a JSON value that is no array");
    return *load<Array*>();
}

Json::Object& Json::mutable_members() {
    if (kind_ == Kind::null) *this = object();
    check(kind_ == Kind::object, "a member was written to a JSON value that is no object");
    return *load<Object*>();
}

Json& Json::set(std::string_view key, Json value) {
    mutable_members().insert_or_assign(key, std::move(value));
    return *this;
}

Json& Json::ensure(std::string_view key) {
    Object& object = mutable_members();
    auto found = object.find(key);
    return found == object.end() ? object.insert_or_assign(key, Json()) : found->value;
}

Json& Json::set_path(std::initializer_list<std::string_view> path, Json value) {
    Json* here = this;
    for (auto key : path) here = &here->ensure(key);
    *here = std::move(value);
    return *this;
}

bool Json::erase(std::string_view key) {
    return kind_ == Kind::object && load<Object*>()->erase(key);
}

Json& Json::push_back(Json value) {
    mutable_items().push_back(std::move(value));
    return *this;
}

Json* Json::find_mutable(std::string_view key) { return const_cast<Json*>(find(key)); }

// ---- comparing

bool Json::numbers_equal(const Json& a, const Json& b) {
    if (a.kind_ == b.kind_) {
        if (a.kind_ == Kind::huge_integer) return a.long_text() == b.long_text();
        return a.kind_ == Kind::real ? a.load<double>() == b.load<double>()
                                     : a.load<int64_t>() == b.load<int64_t>();
    }
    if (a.kind_ != Kind::real && b.kind_ != Kind::real) return false; // each integer has one kind
    return a.as_double() == b.as_double();
}

bool operator==(const Json& a, const Json& b) {
    if (a.is_number() || b.is_number())
        return a.is_number() && b.is_number() && Json::numbers_equal(a, b);
    if (a.is_string() || b.is_string())
        return a.is_string() && b.is_string() && a.as_string() == b.as_string();
    if (a.kind_ != b.kind_) return false;
    if (a.is_bool()) return a.as_bool() == b.as_bool();
    if (a.is_array()) return a.items() == b.items();
    if (!a.is_object()) return true;
    if (a.size() != b.size()) return false;
    auto guess = b.members().begin(); // members mostly stand in the same order
    for (const auto& [key, value] : a.members()) {
        const Json* other = guess->key == key ? &guess->value : b.find(key);
        if (!other || !(value == *other)) return false;
        ++guess;
    }
    return true;
}

// ---- objects

size_t Json::Object::lower_bound(std::string_view key) const {
    auto before = [this](uint32_t position, std::string_view wanted) {
        return members_[position].key < wanted;
    };
    return static_cast<size_t>(std::lower_bound(sorted_.begin(), sorted_.end(), key, before) -
                               sorted_.begin());
}

size_t Json::Object::position_of(std::string_view key) const {
    if (sorted_.empty()) {
        for (size_t i = 0; i < members_.size(); ++i)
            if (members_[i].key == key) return i;
        return npos;
    }
    size_t slot = lower_bound(key);
    return slot < sorted_.size() && members_[sorted_[slot]].key == key ? sorted_[slot] : npos;
}

void Json::Object::rebuild_index() {
    sorted_.clear();
    if (members_.size() <= linear_limit) return;
    sorted_.resize(members_.size());
    for (uint32_t i = 0; i < sorted_.size(); ++i) sorted_[i] = i;
    std::sort(sorted_.begin(), sorted_.end(), [this](uint32_t a, uint32_t b) {
        int order = members_[a].key.compare(members_[b].key);
        return order ? order < 0 : a < b;
    });
}

Json::Object::const_iterator Json::Object::find(std::string_view key) const {
    size_t position = position_of(key);
    return position == npos ? end() : begin() + static_cast<ptrdiff_t>(position);
}

Json::Object::iterator Json::Object::find(std::string_view key) {
    size_t position = position_of(key);
    return position == npos ? end() : begin() + static_cast<ptrdiff_t>(position);
}

Json& Json::Object::insert_or_assign(std::string_view key, Json value) {
    if (size_t position = position_of(key); position != npos)
        return members_[position].value = std::move(value);
    if (!sorted_.empty()) {
        auto slot = sorted_.begin() + static_cast<ptrdiff_t>(lower_bound(key));
        sorted_.insert(slot, static_cast<uint32_t>(members_.size()));
    }
    members_.push_back({std::string(key), std::move(value)});
    if (sorted_.empty() && members_.size() > linear_limit) rebuild_index();
    return members_.back().value;
}

Json::Object::iterator Json::Object::erase(iterator position) {
    auto next = members_.erase(position);
    if (!sorted_.empty()) rebuild_index();
    return next;
}

bool Json::Object::erase(std::string_view key) {
    auto found = find(key);
    if (found == end()) return false;
    erase(found);
    return true;
}

void Json::Object::clear() {
    members_.clear();
    sorted_.clear();
}

} // namespace cloudlet::codec
