#include "cloudlet/base/clock.h"

#include <cctype>
#include <cstdio>
#include <ctime>
#include <optional>

#include <fmt/format.h>

namespace cloudlet {
namespace {

class SystemClock final : public Clock {
public:
    MonotonicTime monotonic() const override { return std::chrono::steady_clock::now(); }
    WallTime wall() const override { return std::chrono::system_clock::now(); }
};

struct Split {
    std::tm utc;
    long nanoseconds;
};

Split split(WallTime time) {
    auto since_epoch = time.time_since_epoch();
    auto seconds = std::chrono::floor<std::chrono::seconds>(since_epoch);
    std::time_t whole = seconds.count();
    Split parts{};
    gmtime_r(&whole, &parts.utc);
    parts.nanoseconds = static_cast<long>((since_epoch - seconds).count());
    return parts;
}

std::string date_and_time(const std::tm& utc) {
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", utc.tm_year + 1900, utc.tm_mon + 1,
                       utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec);
}

/// Reads exactly `digits` decimal digits at `at`, or nothing.
std::optional<int> digits_at(std::string_view text, size_t at, size_t digits) {
    if (at + digits > text.size()) return std::nullopt;
    int value = 0;
    for (size_t i = at; i < at + digits; ++i) {
        if (!std::isdigit(static_cast<unsigned char>(text[i]))) return std::nullopt;
        value = value * 10 + (text[i] - '0');
    }
    return value;
}

/// The zone suffix ("Z", "+02:00") as seconds east of UTC, or nothing.
std::optional<int> zone_offset(std::string_view zone) {
    if (zone == "Z" || zone == "z") return 0;
    if (zone.size() != 6 || (zone[0] != '+' && zone[0] != '-') || zone[3] != ':')
        return std::nullopt;
    auto hours = digits_at(zone, 1, 2);
    auto minutes = digits_at(zone, 4, 2);
    if (!hours || !minutes || *hours > 23 || *minutes > 59) return std::nullopt;
    int offset = *hours * 3600 + *minutes * 60;
    return zone[0] == '-' ? -offset : offset;
}

} // namespace

const Clock& system_clock() {
    static const SystemClock clock;
    return clock;
}

std::string format_time(WallTime time) { return date_and_time(split(time).utc) + "Z"; }

std::string format_micro_time(WallTime time) {
    auto parts = split(time);
    return fmt::format("{}.{:06}Z", date_and_time(parts.utc), parts.nanoseconds / 1000);
}

std::string format_nano_time(WallTime time) {
    auto parts = split(time);
    return fmt::format("{}.{:09}Z", date_and_time(parts.utc), parts.nanoseconds);
}

// What 64 bits of nanoseconds around 1970 hold, in whole years.
constexpr int first_year = 1678, last_year = 2261;

Result<WallTime> parse_time(std::string_view text) {
    auto bad = [&] {
        return fail(
            Code::invalid,
            fmt::format("\"{}\" is not an RFC 3339 time such as 2026-01-02T03:04:05Z", text));
    };
    auto year = digits_at(text, 0, 4), month = digits_at(text, 5, 2), day = digits_at(text, 8, 2);
    auto hour = digits_at(text, 11, 2), minute = digits_at(text, 14, 2),
         second = digits_at(text, 17, 2);
    if (!year || !month || !day || !hour || !minute || !second) return bad();
    if (text[4] != '-' || text[7] != '-' || (text[10] != 'T' && text[10] != 't') ||
        text[13] != ':' || text[16] != ':')
        return bad();
    std::chrono::year_month_day date{std::chrono::year{*year},
                                     std::chrono::month(static_cast<unsigned>(*month)),
                                     std::chrono::day(static_cast<unsigned>(*day))};
    if (!date.ok() || *hour > 23 || *minute > 59 || *second > 60) return bad();
    if (*year < first_year || *year > last_year)
        return fail(Code::invalid, fmt::format("\"{}\" is not in the years {} to {}", text,
                                               first_year, last_year));

    size_t at = 19;
    long nanoseconds = 0;
    if (at < text.size() && text[at] == '.') {
        long scale = 100'000'000;
        size_t first = ++at;
        for (; at < text.size() && std::isdigit(static_cast<unsigned char>(text[at]));
             ++at, scale /= 10)
            nanoseconds += (text[at] - '0') * scale;
        if (at == first) return bad();
    }
    auto offset = zone_offset(text.substr(at));
    if (!offset) return bad();
    auto whole = std::chrono::sys_days(date) + std::chrono::hours(*hour) +
                 std::chrono::minutes(*minute) + std::chrono::seconds(*second) -
                 std::chrono::seconds(*offset);
    return WallTime(whole) + std::chrono::nanoseconds(nanoseconds);
}

std::string format_age(Duration span) {
    auto total = std::chrono::duration_cast<std::chrono::seconds>(span).count();
    if (total < 0) total = 0;
    if (total < 120) return fmt::format("{}s", total);
    auto minutes = total / 60;
    if (minutes < 10)
        return total % 60 ? fmt::format("{}m{}s", minutes, total % 60)
                          : fmt::format("{}m", minutes);
    if (minutes < 180) return fmt::format("{}m", minutes);
    auto hours = minutes / 60;
    if (hours < 8)
        return minutes % 60 ? fmt::format("{}h{}m", hours, minutes % 60)
                            : fmt::format("{}h", hours);
    if (hours < 48) return fmt::format("{}h", hours);
    auto days = hours / 24;
    if (days < 8)
        return hours % 24 ? fmt::format("{}d{}h", days, hours % 24) : fmt::format("{}d", days);
    return fmt::format("{}d", days);
}

} // namespace cloudlet
