#pragma once
// Random transactions for tests: few collections, objects and keys, so that they meet.

#include <string>
#include <utility>

#include "cloudlet/base/random.h"
#include "cloudlet/rados/transaction.h"

namespace cloudlet::rados {

class RandomTransactions {
public:
    explicit RandomTransactions(Random& random) : random_(random) {}

    Transaction next() {
        Transaction transaction;
        for (uint64_t n = random_.below(5) + (random_.chance(0.02) ? 0 : 1); n > 0; --n)
            transaction.operations.push_back(operation());
        return transaction;
    }
    CollectionId collection() {
        uint64_t which = random_.below(3);
        return which == 0 ? CollectionId() : CollectionId(PgId{1, static_cast<uint32_t>(which)});
    }
    ObjectId object() {
        uint64_t which = random_.below(6);
        return {static_cast<uint32_t>(which % 3), std::string("abc\0\xff", 5).substr(which % 5, 1)};
    }
    /// Mostly near the edges of blocks.
    uint64_t place() {
        uint64_t block = 4096 * random_.below(4);
        if (random_.chance(0.3)) return block + random_.below(4096);
        return block + random_.below(3) - (block > 0 ? 1 : 0);
    }
    std::string bytes(uint64_t most) {
        std::string text(random_.below(most + 1), '\0');
        for (char& c : text) c = static_cast<char>(random_.next());
        return text;
    }
    std::string key() { return std::string(1, static_cast<char>('k' + random_.below(5))); }

private:
    Operation operation() {
        StoreChange change = this->change();
        bool of_collection = change.index() < 2;
        return {collection(), of_collection ? ObjectId() : object(), std::move(change)};
    }
    Attributes attributes() {
        Attributes values;
        for (uint64_t n = random_.below(4); n > 0; --n) values[key()] = bytes(20);
        return values;
    }
    SharedBytes data() { return share(bytes(random_.chance(0.5) ? 20 : 9000)); }

    StoreChange change() {
        using namespace change;
        switch (random_.below(24)) {
        case 0: return RemoveCollection{};
        case 1: return CreateCollection{};
        case 2: return Touch{};
        case 3: return Zero{place(), place()};
        case 4: return Truncate{place()};
        case 5: return Remove{};
        case 6: return SetXattrs{attributes()};
        case 7: return RemoveXattr{key()};
        case 8: return RemoveOmapKeys{{key(), key()}};
        case 9: return RemoveOmapRange{key(), random_.chance(0.3) ? "" : key()};
        case 10: return ClearOmap{};
        case 11: return Clone{object()};
        case 12: return Replace{data(), attributes(), attributes()};
        case 13:
        case 14:
        case 15: return SetOmap{attributes()};
        default: return Write{place(), data()};
        }
    }

    Random& random_;
};

} // namespace cloudlet::rados
