#pragma once
// The hash functions of placement. CRUSH draws with rjenkins1 on up to five words; an object's name
// becomes a placement group by Bob Jenkins' string hash or, in old pools, Linux's dcache hash.
// Pure, thread-safe. Source: burtleburtle.net/bob/hash/evahash.html (public domain), with the seed
// and the order of mixing that the CRUSH format fixes.

#include <cstdint>
#include <string_view>

namespace cloudlet::rados {

uint32_t crush_hash32(uint32_t a);
uint32_t crush_hash32(uint32_t a, uint32_t b);
uint32_t crush_hash32(uint32_t a, uint32_t b, uint32_t c);
uint32_t crush_hash32(uint32_t a, uint32_t b, uint32_t c, uint32_t d);
uint32_t crush_hash32(uint32_t a, uint32_t b, uint32_t c, uint32_t d, uint32_t e);

/// Object-hash kind 2, what every pool of today uses: "root-id_rsa" -> 0x38e001ef.
uint32_t hash_name_rjenkins(std::string_view name);
/// Object-hash kind 1 of old pools.
uint32_t hash_name_linux(std::string_view name);

/// 2^44 * log2(x + 1) as straw2 computes it, in integers and by table, for x in [0, 0xffff].
uint64_t crush_ln(uint32_t x);

} // namespace cloudlet::rados
