#pragma once
// What a MemoryStore holds, and how a transaction is carried out on it and taken back.

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "cloudlet/rados/memory_store.h"
#include "object_store/memory_object.h"

namespace cloudlet::rados {

struct MemoryCollection {
    std::map<ObjectId, MemoryObject> objects;
    Footprint footprint; // its own included
};
using Collections = std::map<CollectionId, MemoryCollection>;
using Objects = std::map<ObjectId, MemoryObject>;

/// The old state of what one step changed. Nodes of the maps are taken out and put back whole, so
/// the pointers hold as long as steps are taken back newest first.
struct Undo {
    struct Size {
        uint64_t old;
    };
    struct OneBlock {
        uint32_t index;
        BlockRef old;
    };
    struct OneValue {
        ObjectPart part;
        std::string key;
        std::optional<Value> old;
    };
    struct AllValues {
        ObjectPart part;
        Values old;
    };
    struct ObjectMade {
        const ObjectId* id; // in the node
    };
    struct ObjectGone {
        Objects::node_type old;
    };
    struct CollectionMade {
        CollectionId id;
    };
    struct CollectionGone {
        Collections::node_type old;
    };
    MemoryCollection* collection;
    MemoryObject* object;
    std::variant<Size, OneBlock, OneValue, AllValues, ObjectMade, ObjectGone, CollectionMade,
                 CollectionGone>
        was;
};
using UndoList = std::vector<Undo>;

struct MemoryContents {
    Collections collections;
    uint64_t used = 0; // bytes on the simulated disk

    /// Error: not_found, which names what is missing.
    Result<const MemoryCollection*> find(const CollectionId& collection) const;
    Result<const MemoryObject*> find(const CollectionId& collection, const ObjectId& object) const;
    /// Takes back what the list says, newest first.
    void take_back(UndoList list);
};

/// Carries out operations and notes how to take them back. After an error the caller takes back.
class MemoryEdit {
public:
    MemoryEdit(MemoryContents& contents, UndoList& undo) : contents_(contents), undo_(undo) {}

    Result<void> apply(const Operation& operation);

private:
    Result<void> make_collection(const CollectionId& id);
    Result<void> remove_collection(const CollectionId& id);
    Result<void> change_object(const Operation& operation);
    void remove_object(const ObjectId& id);
    Result<void> clone(const ObjectId& to);
    Result<void> write(uint64_t offset, std::string_view data);
    Result<void> zero(uint64_t offset, uint64_t length);
    Result<void> truncate(uint64_t size);
    Result<void> put_bytes(uint32_t index, uint64_t start, std::string_view data);
    Result<void> zero_bytes(uint32_t index, uint64_t start, uint64_t end);
    void drop_blocks(uint32_t first, uint32_t end);
    void set_attributes(ObjectPart part, const Attributes& values);
    void remove_range(const std::string& from, const std::string& until);

    void set_size(uint64_t size);
    void set_block(uint32_t index, BlockRef block);
    void set_value(ObjectPart part, const std::string& key, std::optional<Value> value);
    void set_values(ObjectPart part, Values values);
    /// Makes it the object that the next steps change.
    void open_or_make(const ObjectId& id);
    void make_anew(const ObjectId& id);

    MemoryContents& contents_;
    UndoList& undo_;
    MemoryCollection* collection_ = nullptr;
    MemoryObject* object_ = nullptr;
    uint64_t cloned_ = 0; // bytes
};

} // namespace cloudlet::rados
