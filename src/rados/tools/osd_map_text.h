#pragma once
// An OSD map for people and programs: the lines of `osdmaptool --print`, the dump of `--dump json`,
// the tree of `--tree`. What they say is the same as Ceph 16.2's, character for character.

#include <string>

#include "cloudlet/rados/osd_map.h"
#include "tools/dump_writer.h"

namespace cloudlet::rados {

std::string print_osd_map(const OsdMap& map);
void dump_osd_map(const OsdMap& map, DumpWriter& out);
std::string print_osd_tree(const OsdMap& map);
void dump_osd_tree(const OsdMap& map, DumpWriter& out);

// The names of single values, as all of the above spell them.
std::string time_text(Timestamp time); // "2026-11-26T00:41:18.711114+0000", or "0.000000"
std::string map_flags_text(uint32_t flags);
std::string pool_flags_text(uint64_t flags);
std::vector<std::string> osd_state_names(uint32_t state); // in order of the alphabet
std::string release_text(uint8_t release);
/// The oldest release whose clients understand what the map uses.
uint8_t min_compat_client(const OsdMap& map);
std::string_view pool_option_name(int32_t key); // "" when it is not known
/// The names of a pool's known options with their keys, in order of the alphabet.
std::map<std::string_view, int32_t> named_options(const PoolOptions& options);
std::string_view cache_mode_name(uint8_t mode);
std::string_view autoscale_mode_name(uint8_t mode);

} // namespace cloudlet::rados
