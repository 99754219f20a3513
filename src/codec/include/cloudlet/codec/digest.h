#pragma once
// SHA-2 digests (FIPS 180-4), as bytes or as the lower-case hex that image digests use.

#include <memory>
#include <string>
#include <string_view>

namespace cloudlet::codec {

/// A running SHA-256. One thread at a time.
class Sha256 {
public:
    Sha256();
    ~Sha256();
    Sha256(Sha256&&) noexcept;
    Sha256& operator=(Sha256&&) noexcept;

    void update(std::string_view bytes);
    /// The 32 bytes of the digest; the object starts anew.
    std::string finish();
    /// The same in hex, 64 digits.
    std::string finish_hex();

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

std::string sha256(std::string_view bytes);     // 32 raw bytes
std::string sha256_hex(std::string_view bytes); // 64 hex digits
std::string sha512_hex(std::string_view bytes); // 128 hex digits
std::string
sha1(std::string_view bytes); // 20 raw bytes; for the WebSocket handshake only (RFC 6455)

} // namespace cloudlet::codec
