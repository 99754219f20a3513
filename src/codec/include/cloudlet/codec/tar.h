#pragma once
// Tar archives as image layers use them: POSIX ustar and pax, GNU long names, base-256 numbers and
// sparse files (GNU old format and pax 0.0, 0.1, 1.0), xattrs in pax records. Reading is
// libarchive's; nothing here touches a file system: what an entry means there is decided by the
// reader's owner.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cloudlet/base/clock.h"
#include "cloudlet/base/result.h"
#include "cloudlet/codec/source.h"

namespace cloudlet::codec {

/// The header of one entry, as it stands in the archive: paths are not cleaned and may be hostile.
struct TarEntry {
    enum class Type { file, directory, symlink, hard_link, character_device, block_device, fifo };

    std::string path{};
    Type type = Type::file;
    uint32_t mode = 0644; // permission bits with setuid, setgid and sticky
    uint32_t uid = 0, gid = 0;
    WallTime modified{};
    uint64_t size = 0;         // of a file's content, holes included
    std::string link_target{}; // of a symlink or hard link
    uint32_t device_major = 0, device_minor = 0;
    std::vector<std::pair<std::string, std::string>> xattrs{}; // "security.capability" -> bytes
};

/// A piece of a file's content. Bytes between pieces, and after the last, are zero.
struct TarBlock {
    uint64_t offset = 0;
    std::string_view bytes; // valid until the next call
};

/// Reads an uncompressed archive from a source, entry by entry. One thread at a time.
class TarReader {
public:
    explicit TarReader(ByteSource source);
    ~TarReader();
    TarReader(TarReader&&) noexcept;
    TarReader& operator=(TarReader&&) noexcept;

    /// The next entry, nothing at the end of the archive. What is left of the former entry's
    /// content is skipped. Error: Code::invalid when the archive is damaged; that of the source.
    Result<std::optional<TarEntry>> next();
    /// The next piece of the present entry's content, nothing at its end.
    Result<std::optional<TarBlock>> next_block();
    /// The rest of the present entry's content as bytes, holes as zeros.
    /// Error: Code::too_large past `limit` bytes.
    Result<std::string> read_content(size_t limit);

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// Writes a pax archive: ustar headers, with pax records where ustar has no room (long names, large
/// numbers, fractions of a second, xattrs). Output is deterministic. One thread at a time.
class TarWriter {
public:
    /// Appends to `out`, which must outlive the writer.
    explicit TarWriter(std::string& out) : out_(out) {}

    /// Appends one entry; `content` is a file's (entry.size is ignored), empty for other types.
    void add(const TarEntry& entry, std::string_view content = {});
    void add_file(std::string_view path, std::string_view content, uint32_t mode = 0644);
    void add_directory(std::string_view path, uint32_t mode = 0755);
    void add_symlink(std::string_view path, std::string_view target);
    /// Ends the archive: two zero blocks.
    void finish();

private:
    void write_header(const TarEntry& entry, char type, uint64_t size);
    std::string& out_;
};

} // namespace cloudlet::codec
