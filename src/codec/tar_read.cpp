// Tar reading: libarchive decodes, this file turns its entries into ours.
//
// Names are bytes to us. libarchive converts pax names from UTF-8 to the locale, so every call runs
// under a UTF-8 locale of its own thread. It also normalizes them (to NFC), which would give files
// other names than they have: names are therefore taken once more from the pax records themselves.
#include <cerrno>
#include <charconv>
#include <clocale>
#include <deque>

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>

#include "cloudlet/base/check.h"
#include "cloudlet/codec/tar.h"

namespace cloudlet::codec {

namespace {

constexpr size_t input_size = 128 * 1024;

class Utf8Locale {
public:
    Utf8Locale() : before_(uselocale(utf8())) {}
    ~Utf8Locale() { uselocale(before_); }
    Utf8Locale(const Utf8Locale&) = delete;
    Utf8Locale& operator=(const Utf8Locale&) = delete;

private:
    static locale_t utf8() {
        static const locale_t made = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
        return made ? made : LC_GLOBAL_LOCALE; // C.UTF-8 is part of Debian's libc-bin
    }
    locale_t before_;
};

std::string text_of(const char* text) { return text ? text : ""; }

Result<TarEntry::Type> type_of(archive_entry* entry, const std::string& path) {
    if (archive_entry_hardlink(entry)) return TarEntry::Type::hard_link;
    switch (archive_entry_filetype(entry)) {
    case AE_IFREG: return TarEntry::Type::file;
    case AE_IFDIR: return TarEntry::Type::directory;
    case AE_IFLNK: return TarEntry::Type::symlink;
    case AE_IFCHR: return TarEntry::Type::character_device;
    case AE_IFBLK: return TarEntry::Type::block_device;
    case AE_IFIFO: return TarEntry::Type::fifo;
    default:
        return fail(Code::invalid,
                    fmt::format("the tar entry \"{}\" has a type that no file has", path));
    }
}

// Ids are 32 bits to the kernel, and all ones means "leave it".
Result<uint32_t> id_of(int64_t id, const std::string& path) {
    if (id < 0 || id >= UINT32_MAX)
        return fail(
            Code::invalid,
            fmt::format("the tar entry \"{}\" has the owner {}, which is no user or group id", path,
                        id));
    return static_cast<uint32_t>(id);
}

void read_xattrs(archive_entry* from, TarEntry& entry) {
    const char* name = nullptr;
    const void* value = nullptr;
    size_t size = 0;
    archive_entry_xattr_reset(from);
    while (archive_entry_xattr_next(from, &name, &value, &size) == ARCHIVE_OK)
        if (name)
            entry.xattrs.emplace_back(name, std::string(static_cast<const char*>(value), size));
}

// What the pax records of one entry say about its names; empty: nothing.
struct PaxNames {
    std::string path, sparse_path, link_target;

    // Records are "<length> <key>=<value>\n"; the length counts all of it.
    void read(std::string_view records) {
        while (!records.empty()) {
            size_t length = 0;
            auto [end, problem] =
                std::from_chars(records.data(), records.data() + records.size(), length);
            size_t key_at = static_cast<size_t>(end - records.data()) + 1;
            if (problem != std::errc() || length <= key_at || length > records.size()) return;
            auto record = records.substr(key_at, length - key_at - 1);
            records.remove_prefix(length);
            size_t equals = record.find('=');
            if (equals == record.npos) return;
            auto key = record.substr(0, equals), value = record.substr(equals + 1);
            if (key == "path") path = value;
            if (key == "GNU.sparse.name") sparse_path = value;
            if (key == "linkpath") link_target = value;
        }
    }
};

} // namespace

struct TarReader::Impl {
    explicit Impl(ByteSource bytes) : source(std::move(bytes)) {}
    ~Impl() { archive_read_free(archive); }
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;

    static la_ssize_t pull(struct archive* archive, void* self, const void** bytes);
    Result<void> open();
    Error error(std::string_view doing);
    Result<TarEntry> convert(archive_entry* from);
    std::string raw(uint64_t offset, size_t size) const;
    PaxNames names_of_header() const;

    struct Chunk {
        uint64_t offset;
        std::string bytes;
    };
    ByteSource source;
    std::deque<Chunk> chunks; // input back to the header being read, or to where content is read
    uint64_t pulled = 0;
    bool in_header = false, in_entry = false;
    struct archive* archive = nullptr;
    std::optional<Error> source_error;
    bool opened = false, ended = false;
    uint64_t content_size = 0; // of the present entry
};

la_ssize_t TarReader::Impl::pull(struct archive* archive, void* self, const void** bytes) {
    auto& me = *static_cast<Impl*>(self);
    int64_t keep =
        me.in_header ? archive_read_header_position(archive) : archive_filter_bytes(archive, -1);
    while (!me.chunks.empty() &&
           static_cast<int64_t>(me.chunks.front().offset + me.chunks.front().bytes.size()) <= keep)
        me.chunks.pop_front();
    Chunk chunk{me.pulled, std::string(input_size, '\0')};
    auto count = me.source(chunk.bytes);
    if (!count) {
        me.source_error = count.error();
        archive_set_error(archive, EIO, "source");
        return -1;
    }
    chunk.bytes.resize(*count);
    me.pulled += *count;
    me.chunks.push_back(std::move(chunk));
    *bytes = me.chunks.back().bytes.data();
    return static_cast<la_ssize_t>(*count);
}

// Input that is still held; shorter when it is not.
std::string TarReader::Impl::raw(uint64_t offset, size_t size) const {
    std::string out;
    for (const Chunk& chunk : chunks) {
        uint64_t at = offset + out.size();
        if (at < chunk.offset || at >= chunk.offset + chunk.bytes.size()) continue;
        out.append(chunk.bytes, at - chunk.offset, size - out.size());
    }
    return out;
}

// Walks the extension headers before the entry's own (POSIX.1-2017, pax, "pax Header Block").
PaxNames TarReader::Impl::names_of_header() const {
    constexpr size_t block = 512, size_field = 124, type_field = 156, most_headers = 8,
                     most_bytes = 4 << 20;
    PaxNames names;
    auto at = static_cast<uint64_t>(archive_read_header_position(archive));
    for (size_t i = 0; i < most_headers; ++i) {
        std::string header = raw(at, block);
        if (header.size() < block ||
            std::string_view("xXgLKV").find(header[type_field]) == std::string_view::npos)
            break;
        uint64_t length = std::strtoull(header.substr(size_field, 12).c_str(), nullptr, 8);
        if (length > most_bytes) break;
        if ((header[type_field] | 0x20) == 'x') names.read(raw(at + block, length));
        at += block + (length + block - 1) / block * block;
    }
    return names;
}

Result<void> TarReader::Impl::open() {
    archive = archive_read_new();
    check(archive != nullptr, "libarchive could not start");
    archive_read_support_format_tar(archive);
    archive_read_support_format_empty(archive);
    archive_read_set_option(archive, "tar", "mac-ext", nullptr);
    if (archive_read_open(archive, this, nullptr, pull, nullptr) != ARCHIVE_OK)
        return tl::unexpected<Error>(error("open"));
    opened = true;
    return {};
}

Error TarReader::Impl::error(std::string_view doing) {
    if (source_error) return *source_error;
    return {Code::invalid,
            fmt::format("the tar archive is damaged ({}: {})", doing,
                        text_of(archive_error_string(archive))),
            {},
            0};
}

Result<TarEntry> TarReader::Impl::convert(archive_entry* from) {
    TarEntry entry;
    entry.path = text_of(archive_entry_pathname(from));
    if (entry.path.empty())
        return fail(Code::invalid,
                    "the tar archive has an entry without a name, or with one that is not UTF-8");
    PaxNames names = names_of_header();
    if (!names.path.empty()) entry.path = names.path;
    if (!names.sparse_path.empty()) entry.path = names.sparse_path;
    entry.type = TRY(type_of(from, entry.path));
    entry.mode = archive_entry_perm(from) & 07777;
    entry.uid = TRY(id_of(archive_entry_uid(from), entry.path));
    entry.gid = TRY(id_of(archive_entry_gid(from), entry.path));
    constexpr int64_t last_second = INT64_MAX / 1'000'000'000 - 1;
    int64_t seconds = std::clamp<int64_t>(archive_entry_mtime(from), -last_second, last_second);
    long nanoseconds = std::clamp<long>(archive_entry_mtime_nsec(from), 0, 999'999'999);
    if (seconds < 0) nanoseconds = -nanoseconds; // libarchive reads "-1.25" as -1 and 0.25
    entry.modified =
        WallTime{std::chrono::seconds{seconds} + std::chrono::nanoseconds{nanoseconds}};
    entry.size = static_cast<uint64_t>(std::max<int64_t>(archive_entry_size(from), 0));
    if (entry.type == TarEntry::Type::hard_link)
        entry.link_target = text_of(archive_entry_hardlink(from));
    if (entry.type == TarEntry::Type::symlink)
        entry.link_target = text_of(archive_entry_symlink(from));
    bool link = entry.type == TarEntry::Type::hard_link || entry.type == TarEntry::Type::symlink;
    if (link && !names.link_target.empty()) entry.link_target = names.link_target;
    if (link && entry.link_target.empty())
        return fail(Code::invalid,
                    fmt::format("the tar entry \"{}\" links to nothing", entry.path));
    entry.device_major = static_cast<uint32_t>(archive_entry_rdevmajor(from));
    entry.device_minor = static_cast<uint32_t>(archive_entry_rdevminor(from));
    read_xattrs(from, entry);
    return entry;
}

TarReader::TarReader(ByteSource source) : impl_(std::make_unique<Impl>(std::move(source))) {}
TarReader::~TarReader() = default;
TarReader::TarReader(TarReader&&) noexcept = default;
TarReader& TarReader::operator=(TarReader&&) noexcept = default;

Result<std::optional<TarEntry>> TarReader::next() {
    Utf8Locale locale;
    if (!impl_->opened) TRY(impl_->open());
    if (impl_->ended) return std::nullopt;
    // Skipping apart from the next header tells pull() what it may let go.
    if (std::exchange(impl_->in_entry, false) &&
        archive_read_data_skip(impl_->archive) < ARCHIVE_WARN)
        return tl::unexpected<Error>(impl_->error("entry content"));
    archive_entry* entry = nullptr;
    impl_->in_header = true;
    int status = archive_read_next_header(impl_->archive, &entry);
    impl_->in_header = false;
    if (status == ARCHIVE_EOF) {
        impl_->ended = true;
        return std::nullopt;
    }
    if (status != ARCHIVE_OK) return tl::unexpected<Error>(impl_->error("entry header"));
    auto converted = TRY(impl_->convert(entry));
    impl_->content_size = converted.size;
    impl_->in_entry = true;
    return std::optional(std::move(converted));
}

Result<std::optional<TarBlock>> TarReader::next_block() {
    Utf8Locale locale;
    const void* bytes = nullptr;
    size_t size = 0;
    la_int64_t offset = 0;
    for (;;) {
        int status = archive_read_data_block(impl_->archive, &bytes, &size, &offset);
        if (status == ARCHIVE_EOF) return std::nullopt;
        if (status != ARCHIVE_OK || offset < 0)
            return tl::unexpected<Error>(impl_->error("entry content"));
        if (size == 0) continue; // a hole
        return TarBlock{static_cast<uint64_t>(offset), {static_cast<const char*>(bytes), size}};
    }
}

Result<std::string> TarReader::read_content(size_t limit) {
    if (impl_->content_size > limit)
        return fail(Code::too_large,
                    fmt::format("a tar entry has {} bytes; at most {} are accepted",
                                impl_->content_size, limit));
    std::string content;
    for (;;) {
        auto block = TRY(next_block());
        if (!block) break;
        if (block->offset > impl_->content_size ||
            block->bytes.size() > impl_->content_size - block->offset)
            return fail(Code::invalid,
                        "the tar archive is damaged (an entry has more content than its size)");
        content.resize(block->offset);
        content += block->bytes;
    }
    content.resize(impl_->content_size);
    return content;
}

} // namespace cloudlet::codec
