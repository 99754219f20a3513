// Debian has {fmt} as a shared library only; a static program carries its own copy of the functions
// that the headers declare.
#include <fmt/format-inl.h>

template FMT_API auto fmt::detail::dragonbox::to_decimal(float x) noexcept
    -> fmt::detail::dragonbox::decimal_fp<float>;
template FMT_API auto fmt::detail::dragonbox::to_decimal(double x) noexcept
    -> fmt::detail::dragonbox::decimal_fp<double>;
template FMT_API auto fmt::detail::locale_ref::get<std::locale>() const -> std::locale;
template FMT_API auto fmt::detail::thousands_sep_impl(fmt::detail::locale_ref)
    -> fmt::detail::thousands_sep_result<char>;
template FMT_API auto fmt::detail::thousands_sep_impl(fmt::detail::locale_ref)
    -> fmt::detail::thousands_sep_result<wchar_t>;
template FMT_API auto fmt::detail::decimal_point_impl(fmt::detail::locale_ref) -> char;
template FMT_API auto fmt::detail::decimal_point_impl(fmt::detail::locale_ref) -> wchar_t;
template FMT_API void fmt::detail::buffer<char>::append(const char*, const char*);
template FMT_API void fmt::detail::vformat_to(fmt::detail::buffer<char>&, fmt::string_view,
                                              fmt::basic_format_args<FMT_BUFFER_CONTEXT(char)>,
                                              fmt::detail::locale_ref);
