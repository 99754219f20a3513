// A transaction as bytes, in the wire conventions of osd_map_wire.h.

#include <array>
#include <type_traits>
#include <utility>

#include <fmt/format.h>

#include "cloudlet/rados/transaction.h"
#include "object_store/transaction_parts.h"
#include "osd_map/osd_map_wire.h"

namespace cloudlet::rados {

namespace {

using wire::WireReader;
using wire::WireWriter;

constexpr uint8_t version = 1;

/// A reader that gives no more keys than a transaction may have: an entry of eight bytes takes
/// more than a hundred in memory.
struct Reader {
    explicit Reader(std::string_view bytes) : io(bytes) {}
    WireReader io;
    size_t entries_left = StoreLimits::entries;

    size_t entries(std::string_view what) {
        size_t count = io.count(what);
        if (count > entries_left) io.fail("more keys than a transaction may have");
        if (!io.ok()) return 0;
        entries_left -= count;
        return count;
    }
};

struct Writer {
    WireWriter io;
};

void put(Reader& reader, std::string& text) { wire::transfer(reader.io, text); }
void put(Writer& writer, const std::string& text) { wire::transfer(writer.io, text); }

void put(Reader& reader, uint64_t& number) { reader.io.number(number); }
void put(Writer& writer, const uint64_t& number) { writer.io.number(number); }

void put(Reader& reader, SharedBytes& data) {
    data = share(std::string(reader.io.take(reader.io.count("data"), "data")));
}
void put(Writer& writer, const SharedBytes& data) {
    writer.io.number(static_cast<uint32_t>(view_of(data).size()));
    writer.io.bytes() += view_of(data);
}

void put(Reader& reader, Attributes& values) {
    for (size_t n = reader.entries("attributes"); n > 0 && reader.io.ok(); --n) {
        std::string key;
        put(reader, key);
        if (!values.empty() && values.rbegin()->first >= key)
            return reader.io.fail("attributes that do not ascend");
        put(reader, values.emplace_hint(values.end(), std::move(key), std::string())->second);
    }
}
void put(Writer& writer, const Attributes& values) { wire::transfer(writer.io, values); }

void put(Reader& reader, std::vector<std::string>& keys) {
    for (size_t n = reader.entries("keys"); n > 0 && reader.io.ok(); --n)
        put(reader, keys.emplace_back());
}
void put(Writer& writer, const std::vector<std::string>& keys) { wire::transfer(writer.io, keys); }

template <typename Io, typename V>
void put_all(Io& io, V& value) { // V is const when it is written
    using T = std::remove_const_t<V>;
    if constexpr (std::is_same_v<T, ObjectId>) {
        io.io.number(value.hash);
        put(io, value.name);
    } else if constexpr (std::is_same_v<T, change::Write>) {
        put(io, value.offset);
        put(io, value.data);
    } else if constexpr (std::is_same_v<T, change::Zero>) {
        put(io, value.offset);
        put(io, value.length);
    } else if constexpr (std::is_same_v<T, change::Truncate>) {
        put(io, value.size);
    } else if constexpr (std::is_same_v<T, change::SetXattrs> ||
                         std::is_same_v<T, change::SetOmap>) {
        put(io, value.values);
    } else if constexpr (std::is_same_v<T, change::RemoveXattr>) {
        put(io, value.name);
    } else if constexpr (std::is_same_v<T, change::RemoveOmapKeys>) {
        put(io, value.keys);
    } else if constexpr (std::is_same_v<T, change::RemoveOmapRange>) {
        put(io, value.from);
        put(io, value.until);
    } else if constexpr (std::is_same_v<T, change::Clone>) {
        put_all(io, value.to);
    } else if constexpr (std::is_same_v<T, change::Replace>) {
        put(io, value.data);
        put(io, value.xattrs);
        put(io, value.omap);
    } else {
        static_assert(std::is_empty_v<T>, "a change's fields are not listed");
    }
}

/// The change of a number, with its fields still empty.
template <size_t... I>
StoreChange change_of(size_t number, std::index_sequence<I...>) {
    StoreChange change;
    ((number == I ? void(change.emplace<I>()) : void()), ...);
    return change;
}

template <typename Io, typename V>
void put_collection(Io& io, V& collection) {
    io.io.number(collection.pg.pool);
    io.io.number(collection.pg.seed);
}

void read_operation(Reader& reader, Operation& operation) {
    constexpr size_t kinds = std::variant_size_v<StoreChange>;
    uint8_t kind = 0;
    reader.io.number(kind);
    if (kind >= kinds) return reader.io.fail(fmt::format("an operation of kind {}", kind));
    put_collection(reader, operation.collection);
    put_all(reader, operation.object);
    operation.change = change_of(kind, std::make_index_sequence<kinds>());
    std::visit([&](auto& change) { put_all(reader, change); }, operation.change);
}

void write_operation(Writer& writer, const Operation& operation) {
    writer.io.number(static_cast<uint8_t>(operation.change.index()));
    put_collection(writer, operation.collection);
    put_all(writer, operation.object);
    std::visit([&](const auto& change) { put_all(writer, change); }, operation.change);
}

/// About how many bytes an operation takes; its data is what counts.
size_t size_of(const Operation& operation) {
    size_t data = 0;
    if (auto* write = std::get_if<change::Write>(&operation.change))
        data = view_of(write->data).size();
    if (auto* replace = std::get_if<change::Replace>(&operation.change))
        data = view_of(replace->data).size();
    return 64 + operation.object.name.size() + data;
}

} // namespace

std::string encode_transaction(const Transaction& transaction) {
    Writer writer;
    size_t size = 256;
    for (const Operation& operation : transaction.operations) size += size_of(operation);
    writer.io.bytes().reserve(size);
    writer.io.versioned({version, version, {}}, version, "a transaction", [&] {
        writer.io.number(static_cast<uint32_t>(transaction.operations.size()));
        for (const Operation& operation : transaction.operations)
            write_operation(writer, operation);
    });
    return std::move(writer.io.bytes());
}

Result<Transaction> decode_transaction(std::string_view bytes) {
    Reader reader(bytes);
    Transaction transaction;
    Envelope envelope;
    reader.io.versioned(envelope, version, "a transaction", [&] {
        if (envelope.version != version || envelope.compat != version)
            return reader.io.fail("a transaction of another version");
        size_t count = reader.io.count("operations");
        if (count > StoreLimits::operations) return reader.io.fail("too many operations");
        while (count-- > 0 && reader.io.ok())
            read_operation(reader, transaction.operations.emplace_back());
        // Nothing may be skipped: what this reader does not know would be a change not made.
        if (reader.io.left() > 0) reader.io.fail("bytes behind the last operation");
    });
    if (reader.io.ok() && reader.io.left() > 0) reader.io.fail("bytes behind the transaction");
    if (!reader.io.ok()) return fail(Code::invalid, reader.io.error());
    TRY(check_transaction(transaction));
    return transaction;
}

} // namespace cloudlet::rados
