#pragma once
// All that a store holds, read through its interface: what tests and the fuzzer compare.

#include <map>
#include <utility>

#include "cloudlet/rados/object_store.h"

namespace cloudlet::rados {

/// An object as the operation that would make it.
using StoreContents = std::map<CollectionId, std::map<ObjectId, change::Replace>>;

/// Of an object that is longer than `most` bytes, only the first and the last `most`.
inline Result<change::Replace> read_object(const ObjectStore& store, const CollectionId& collection,
                                           const ObjectId& object, uint64_t most) {
    constexpr size_t page_size = 3; // so that pages are turned
    change::Replace contents;
    uint64_t size = TRY(store.stat(collection, object)).size;
    std::string data = TRY(store.read(collection, object, 0, most));
    if (size > most) data += TRY(store.read(collection, object, size - most, most));
    contents.data = share(std::move(data));
    contents.xattrs = TRY(store.xattrs(collection, object));
    for (std::string from;;) {
        OmapPage page = TRY(store.omap(collection, object, from, "", page_size));
        contents.omap.insert(page.entries.begin(), page.entries.end());
        if (!page.more) break;
        from = page.entries.back().first + '\0';
    }
    return contents;
}

inline Result<StoreContents> read_everything(const ObjectStore& store,
                                             uint64_t most = StoreLimits::object_bytes) {
    constexpr size_t page_size = 3;
    StoreContents all;
    for (const CollectionId& collection : TRY(store.collections())) {
        auto& objects = all[collection];
        std::optional<ObjectId> after;
        for (bool more = true; more;) {
            ObjectPage page = TRY(store.list(collection, after, page_size));
            for (const ObjectId& object : page.objects)
                objects.emplace(object, TRY(read_object(store, collection, object, most)));
            if (!page.objects.empty()) after = page.objects.back();
            more = page.more;
        }
    }
    return all;
}

} // namespace cloudlet::rados
