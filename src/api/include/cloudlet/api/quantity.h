#pragma once
// Amounts as Kubernetes writes them: "100m", "1.5Gi", "2e3", "0.25".
//
// A Quantity is exact: a decimal number of up to nine places behind the point, held as nanos in a
// 128-bit integer, and the suffix family that it was written in. It prints in the canonical form of
// k8s.io/apimachinery's resource.Quantity: no fraction, the largest suffix that fits, at most three
// digits lost to none. A value type; thread-safe to read.

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "cloudlet/base/result.h"

namespace cloudlet::api {

class Quantity {
public:
    enum class Format : uint8_t { decimal_si, binary_si, decimal_exponent };

    Quantity() = default;
    static Quantity of(int64_t value, Format format = Format::decimal_si);
    static Quantity of_milli(int64_t milli, Format format = Format::decimal_si);

    /// Parses the grammar of resource.Quantity. A precision finer than a nano is rounded up, as
    /// there; a magnitude above 2^63-1 is cut to it. Error: Code::invalid with the text kubectl
    /// users know
    /// ("quantities must match the regular expression ...").
    static Result<Quantity> parse(std::string_view text);

    /// The value in whole units, rounded up (bytes of memory); saturates at the int64 range.
    int64_t value() const;
    /// The value in thousandths, rounded up (millicores); saturates at the int64 range.
    int64_t milli_value() const;
    double as_double() const;

    bool is_zero() const { return nanos_ == 0; }
    bool is_negative() const { return nanos_ < 0; }
    Format format() const { return format_; }

    /// The canonical spelling: parse("1024Mi").to_string() == "1Gi", parse("0.5") gives "500m".
    std::string to_string() const;

    Quantity operator+(const Quantity& other) const;
    Quantity operator-(const Quantity& other) const;
    /// Compares amounts only: "1000m" equals "1".
    bool operator==(const Quantity& other) const { return nanos_ == other.nanos_; }
    std::strong_ordering operator<=>(const Quantity& other) const;

private:
    using Nanos = __int128;
    Quantity(Nanos nanos, Format format) : nanos_(nanos), format_(format) {}
    Nanos nanos_ = 0;
    Format format_ = Format::decimal_si;
};

} // namespace cloudlet::api
