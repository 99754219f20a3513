#pragma once
// Small things that checking, encoding and applying a transaction share.

#include <string>
#include <string_view>

#include "cloudlet/rados/transaction.h"

namespace cloudlet::rados {

inline std::string_view view_of(const SharedBytes& bytes) {
    return bytes ? std::string_view(*bytes) : std::string_view();
}

/// Whether it makes or removes a collection.
bool is_of_collection(const StoreChange& change);

/// A name for a message: what is no plain ASCII is escaped, what is long is cut.
std::string printable(std::string_view bytes);

template <typename... Functions>
struct Overload : Functions... {
    using Functions::operator()...;
};
template <typename... Functions> // clang 16, which builds the fuzzers, does not find it itself
Overload(Functions...)->Overload<Functions...>;

} // namespace cloudlet::rados
