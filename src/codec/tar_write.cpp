// Tar writing: POSIX.1-2017, pax(1), "ustar Interchange Format" and "pax Interchange Format".
#include <cstring>

#include <fmt/format.h>

#include "cloudlet/codec/tar.h"

namespace cloudlet::codec {

namespace {

constexpr size_t block = 512;

struct UstarHeader {
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link_name[100],
        magic[6], version[2], user_name[32], group_name[32], device_major[8], device_minor[8],
        prefix[155], padding[12];
};
static_assert(sizeof(UstarHeader) == block);

template <size_t N>
void put_octal(char (&field)[N], uint64_t value) {
    auto digits = fmt::format("{:0{}o}", value, N - 1);
    std::memcpy(field, digits.data(), N - 1);
}

template <size_t N>
void put_text(char (&field)[N], std::string_view text) {
    std::memcpy(field, text.data(), std::min(N, text.size()));
}

template <size_t N>
constexpr uint64_t largest(const char (&)[N]) {
    return (uint64_t{1} << (3 * (N - 1))) - 1;
}

// "<length> <key>=<value>\n", where the length counts its own digits.
std::string pax_record(std::string_view key, std::string_view value) {
    size_t bare = key.size() + value.size() + 3, total = bare + 1;
    while (bare + std::to_string(total).size() != total)
        total = bare + std::to_string(total).size();
    return fmt::format("{} {}={}\n", total, key, value);
}

char type_flag(TarEntry::Type type) {
    switch (type) {
    case TarEntry::Type::file: return '0';
    case TarEntry::Type::hard_link: return '1';
    case TarEntry::Type::symlink: return '2';
    case TarEntry::Type::character_device: return '3';
    case TarEntry::Type::block_device: return '4';
    case TarEntry::Type::directory: return '5';
    case TarEntry::Type::fifo: return '6';
    }
    return '0';
}

struct Seconds {
    int64_t whole;
    int64_t nanoseconds; // 0 to 999 999 999
};

Seconds split(WallTime time) {
    auto whole = std::chrono::floor<std::chrono::seconds>(time);
    return {whole.time_since_epoch().count(), (time - whole).count()};
}

bool is_ascii(std::string_view text) {
    return std::all_of(text.begin(), text.end(),
                       [](char c) { return static_cast<signed char>(c) > 0; });
}

// What does not fit into the ustar fields.
std::string pax_records(const TarEntry& entry, uint64_t size) {
    UstarHeader header;
    std::string records;
    if (entry.path.size() > sizeof header.name || !is_ascii(entry.path))
        records += pax_record("path", entry.path);
    if (entry.link_target.size() > sizeof header.link_name || !is_ascii(entry.link_target))
        records += pax_record("linkpath", entry.link_target);
    if (size > largest(header.size)) records += pax_record("size", std::to_string(size));
    if (entry.uid > largest(header.uid)) records += pax_record("uid", std::to_string(entry.uid));
    if (entry.gid > largest(header.gid)) records += pax_record("gid", std::to_string(entry.gid));
    auto [whole, nanoseconds] = split(entry.modified);
    if (nanoseconds || whole < 0) {
        bool borrow = whole < 0 && nanoseconds; // -1.25 is the second -2 and 0.75
        auto fraction = borrow ? 1'000'000'000 - nanoseconds : nanoseconds;
        auto sign = borrow && whole == -1 ? "-" : "";
        records += pax_record(
            "mtime", fmt::format("{}{}.{:09}", sign, borrow ? whole + 1 : whole, fraction));
    }
    for (const auto& [name, value] : entry.xattrs)
        records += pax_record("SCHILY.xattr." + name, value);
    return records;
}

void pad(std::string& out) { out.resize((out.size() + block - 1) / block * block); }

} // namespace

void TarWriter::write_header(const TarEntry& entry, char type, uint64_t size) {
    UstarHeader header;
    std::memset(&header, 0, sizeof header);
    put_text(header.name, entry.path);
    put_octal(header.mode, entry.mode & 07777);
    put_octal(header.uid, entry.uid > largest(header.uid) ? 0 : entry.uid);
    put_octal(header.gid, entry.gid > largest(header.gid) ? 0 : entry.gid);
    put_octal(header.size, size > largest(header.size) ? 0 : size);
    put_octal(header.mtime, static_cast<uint64_t>(std::clamp<int64_t>(split(entry.modified).whole,
                                                                      0, largest(header.mtime))));
    header.type = type;
    put_text(header.link_name, entry.link_target);
    std::memcpy(header.magic, "ustar", 6);
    std::memcpy(header.version, "00", 2);
    put_octal(header.device_major, entry.device_major);
    put_octal(header.device_minor, entry.device_minor);
    std::memset(header.checksum, ' ', sizeof header.checksum);
    uint32_t sum = 0;
    std::string_view bytes{reinterpret_cast<char*>(&header), sizeof header};
    for (char c : bytes) sum += static_cast<unsigned char>(c);
    auto digits = fmt::format("{:06o}", sum);
    std::memcpy(header.checksum, digits.c_str(), 7);
    out_ += bytes;
}

void TarWriter::add(const TarEntry& entry, std::string_view content) {
    if (auto records = pax_records(entry, content.size()); !records.empty()) {
        TarEntry extension;
        extension.path = "PaxHeader";
        write_header(extension, 'x', records.size());
        out_ += records;
        pad(out_);
    }
    write_header(entry, type_flag(entry.type), content.size());
    out_ += content;
    pad(out_);
}

void TarWriter::add_file(std::string_view path, std::string_view content, uint32_t mode) {
    TarEntry entry;
    entry.path = path;
    entry.mode = mode;
    add(entry, content);
}

void TarWriter::add_directory(std::string_view path, uint32_t mode) {
    TarEntry entry;
    entry.path = path;
    entry.type = TarEntry::Type::directory;
    entry.mode = mode;
    add(entry);
}

void TarWriter::add_symlink(std::string_view path, std::string_view target) {
    TarEntry entry;
    entry.path = path;
    entry.type = TarEntry::Type::symlink;
    entry.mode = 0777;
    entry.link_target = target;
    add(entry);
}

void TarWriter::finish() { out_.append(2 * block, '\0'); }

} // namespace cloudlet::codec
