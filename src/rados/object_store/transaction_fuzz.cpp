// A transaction that is accepted keeps its bytes, and does all or nothing to a store.
#include <cstdint>
#include <string_view>

#include "cloudlet/base/check.h"
#include "cloudlet/base/random.h"
#include "cloudlet/rados/memory_store.h"
#include "object_store/store_contents.h"

using namespace cloudlet::rados;

namespace {

struct Deaf : StoreListener {
    void committed(uint64_t /*token*/) override {}
    void failed(const cloudlet::Error& /*error*/) override {}
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    auto transaction = decode_transaction({reinterpret_cast<const char*>(data), size});
    if (!transaction) return 0;
    auto again = decode_transaction(encode_transaction(*transaction));
    cloudlet::check(again && *again == *transaction, "a transaction does not read back the same");

    Deaf deaf;
    MemoryStore store(deaf, {.capacity = 64 << 20});
    Transaction before;
    before.create_collection({});
    before.write({}, {1, "a"}, 4000,
                 "some bytes over the edge of a block, and then more of them "
                 "than the block before it has room for, so that it goes on");
    before.add({}, {1, "a"}, change::SetOmap{{{"k", "v"}, {"l", ""}}});
    cloudlet::check(store.submit(before, 1).has_value(), "the first transaction is refused");
    const auto now = [&] { return read_everything(store, 8192).value(); };
    const StoreContents was = now();
    bool done = store.submit(*transaction, 2).has_value();
    cloudlet::check(done || now() == was, "a refused transaction did something");
    cloudlet::Random random(size);
    if (done) store.sync(1);
    size_t kept = store.crash(random).kept;
    if (done && kept == 0) cloudlet::check(now() == was, "a lost transaction left traces");
    return 0;
}
