// Random lives of a store against a plain model of maps and strings.
#include <deque>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "cloudlet/rados/memory_store.h"
#include "object_store/random_transaction.h"
#include "object_store/store_contents.h"
#include "object_store/transaction_parts.h"
#include "test_seeds.h"

namespace cloudlet::rados {
namespace {

using Object = change::Replace;

/// Applies operations to plain values; false when one must be refused.
class Model {
public:
    explicit Model(StoreContents& contents) : contents_(contents) {}

    bool apply(const Transaction& transaction) {
        StoreContents was = contents_;
        for (const Operation& operation : transaction.operations) {
            if (apply(operation)) continue;
            contents_ = std::move(was);
            return false;
        }
        return true;
    }

private:
    bool apply(const Operation& operation) {
        const CollectionId& id = operation.collection;
        if (std::holds_alternative<change::CreateCollection>(operation.change))
            return contents_.try_emplace(id).second;
        if (!contents_.contains(id)) return false;
        auto& objects = contents_[id];
        if (std::holds_alternative<change::RemoveCollection>(operation.change))
            return objects.empty() && contents_.erase(id) == 1;
        if (const auto* replace = std::get_if<change::Replace>(&operation.change)) {
            objects[operation.object] = *replace;
            return true;
        }
        return std::visit(
            [&](const auto& change) { return apply(objects, operation.object, change); },
            operation.change);
    }

    using Objects = std::map<ObjectId, Object>;

    static std::string data_of(Objects& objects, const ObjectId& id) {
        return std::string(view_of(objects[id].data));
    }
    static bool put(Objects& objects, const ObjectId& id, std::string data) {
        objects[id].data = share(std::move(data));
        return true;
    }

    static bool apply(Objects& objects, const ObjectId& id, const change::Touch&) {
        return put(objects, id, data_of(objects, id));
    }
    static bool apply(Objects& objects, const ObjectId& id, const change::Write& write) {
        std::string data = data_of(objects, id);
        std::string_view more = view_of(write.data);
        if (more.empty()) return put(objects, id, data);
        data.resize(std::max<size_t>(data.size(), write.offset + more.size()));
        return put(objects, id, data.replace(write.offset, more.size(), more));
    }
    static bool apply(Objects& objects, const ObjectId& id, const change::Zero& zero) {
        return apply(objects, id,
                     change::Write{zero.offset, share(std::string(zero.length, '\0'))});
    }
    static bool apply(Objects& objects, const ObjectId& id, const change::Truncate& truncate) {
        std::string data = data_of(objects, id);
        data.resize(truncate.size);
        return put(objects, id, std::move(data));
    }
    static bool apply(Objects& objects, const ObjectId& id, const change::Remove&) {
        return objects.erase(id) == 1;
    }
    static bool apply(Objects& objects, const ObjectId& id, const change::SetXattrs& set) {
        for (const auto& [key, value] : set.values) objects[id].xattrs[key] = value;
        return apply(objects, id, change::Touch{});
    }
    static bool apply(Objects& objects, const ObjectId& id, const change::SetOmap& set) {
        for (const auto& [key, value] : set.values) objects[id].omap[key] = value;
        return apply(objects, id, change::Touch{});
    }
    static bool apply(Objects& objects, const ObjectId& id, const change::RemoveXattr& remove) {
        if (!objects.contains(id)) return false;
        objects[id].xattrs.erase(remove.name);
        return true;
    }
    static bool apply(Objects& objects, const ObjectId& id, const change::RemoveOmapKeys& remove) {
        if (!objects.contains(id)) return false;
        for (const std::string& key : remove.keys) objects[id].omap.erase(key);
        return true;
    }
    static bool apply(Objects& objects, const ObjectId& id, const change::RemoveOmapRange& range) {
        if (!objects.contains(id)) return false;
        std::erase_if(objects[id].omap, [&](const auto& entry) {
            return entry.first >= range.from && (range.until.empty() || entry.first < range.until);
        });
        return true;
    }
    static bool apply(Objects& objects, const ObjectId& id, const change::ClearOmap&) {
        if (!objects.contains(id)) return false;
        objects[id].omap.clear();
        return true;
    }
    static bool apply(Objects& objects, const ObjectId& id, const change::Clone& clone) {
        if (!objects.contains(id)) return false;
        objects[clone.to] = Object(objects[id]);
        return true;
    }
    template <typename Other>
    static bool apply(Objects&, const ObjectId&, const Other&) {
        return false; // those of collections and Replace are done before
    }

    StoreContents& contents_;
};

/// What was true after a transaction.
struct Moment {
    StoreContents contents;
    uint64_t used = 0;
    std::map<CollectionId, size_t> memory;
    uint64_t token = 0;
};

class Life : StoreListener {
public:
    explicit Life(uint64_t seed) : random_(seed), transactions_(random_), store_(*this) {
        moments_.push_back(moment(0));
    }

    void run(size_t steps) {
        Transaction first;
        for (CollectionId id : {CollectionId(), CollectionId({1, 1}), CollectionId({1, 2})})
            first.create_collection(id);
        submit(first);
        for (size_t i = 0; i < steps && !testing::Test::HasFailure(); ++i) {
            SCOPED_TRACE(fmt::format("step {}", i));
            step();
        }
    }
    size_t done() const { return done_; }
    size_t refused() const { return refused_; }
    size_t lost() const { return lost_; }

    /// Damages something: every read is right or says what is damaged, and one does.
    void rot() {
        if (!store_.rot(random_)) return;
        EXPECT_FALSE(read_everything(store_));
        for (const auto& [collection, objects] : moments_.back().contents) {
            for (const auto& [id, object] : objects) {
                auto data = store_.read(collection, id, 0, UINT64_MAX);
                EXPECT_TRUE(data ? *data == view_of(object.data) : data.error().code == Code::io);
                auto xattrs = store_.xattrs(collection, id);
                EXPECT_TRUE(xattrs ? *xattrs == object.xattrs : xattrs.error().code == Code::io);
                for (const auto& [key, value] : object.omap) {
                    auto found = store_.omap_values(collection, id, {key});
                    EXPECT_TRUE(found ? found->at(key) == value : found.error().code == Code::io);
                }
            }
        }
    }

private:
    void committed(uint64_t token) override {
        ASSERT_LT(next_open_, moments_.size());
        EXPECT_EQ(token, moments_[next_open_++].token); // in order, none left out
    }
    void failed(const Error& error) override { ADD_FAILURE() << error.to_string(); }

    void step() {
        uint64_t dice = random_.below(20);
        if (dice == 0) return crash();
        if (dice <= 2) return sync();
        if (dice == 3) return read_a_part();
        submit(transactions_.next());
    }

    void submit(const Transaction& transaction) {
        StoreContents expected = moments_.back().contents;
        bool allowed = Model(expected).apply(transaction);
        auto done = store_.submit(transaction, ++token_);
        ASSERT_EQ(done.has_value(), allowed) << (done ? "" : done.error().to_string());
        allowed ? ++done_ : ++refused_;
        Moment now = moment(token_);
        ASSERT_EQ(now.contents, expected);
        if (allowed) {
            moments_.push_back(std::move(now));
        } else {
            expect_moment(moments_.back());
        }
    }
    void sync() {
        size_t count = random_.below(store_.pending() + 2), open = store_.pending();
        size_t before = next_open_;
        store_.sync(count);
        EXPECT_EQ(next_open_ - before, std::min(count, open));
        moments_.erase(moments_.begin(), moments_.begin() + static_cast<ptrdiff_t>(next_open_ - 1));
        next_open_ = 1;
    }
    void crash() {
        CrashReport report = store_.crash(random_);
        ASSERT_EQ(report.kept + report.lost + 1, moments_.size());
        lost_ += report.lost;
        Moment survived = std::move(moments_[report.kept]);
        moments_.clear();
        moments_.push_back(std::move(survived));
        expect_moment(moments_.back());
    }
    void read_a_part() {
        CollectionId collection = transactions_.collection();
        ObjectId object = transactions_.object();
        uint64_t offset = transactions_.place(), length = transactions_.place();
        auto data = store_.read(collection, object, offset, length);
        const StoreContents& all = moments_.back().contents;
        auto in = all.find(collection);
        if (in == all.end() || !in->second.contains(object)) {
            ASSERT_FALSE(data);
            EXPECT_EQ(data.error().code, Code::not_found);
            return;
        }
        std::string_view whole = view_of(in->second.at(object).data);
        EXPECT_EQ(data.value(), offset < whole.size() ? whole.substr(offset, length) : "");
    }

    void expect_moment(const Moment& expected) {
        Moment now = moment(0);
        EXPECT_EQ(now.contents, expected.contents);
        EXPECT_EQ(now.used, expected.used);
        EXPECT_EQ(now.memory, expected.memory);
    }
    Moment moment(uint64_t token) {
        Moment now{read_everything(store_).value(), store_.used_bytes(), {}, token};
        for (const auto& [id, objects] : now.contents) now.memory[id] = store_.memory_bytes(id);
        return now;
    }

    Random random_;
    RandomTransactions transactions_;
    MemoryStore store_;
    std::deque<Moment> moments_; // the safe one, then one for each that is pending
    size_t next_open_ = 1;
    uint64_t token_ = 0;
    size_t done_ = 0, refused_ = 0, lost_ = 0;
};

TEST(MemoryStoreModel, does_what_plain_maps_do_through_changes_crashes_and_rot) {
    size_t done = 0, refused = 0, lost = 0;
    uint64_t seed = first_seed();
    for (uint64_t left = seeds_to_run(60); left > 0 && !HasFailure(); --left, ++seed) {
        SCOPED_TRACE(fmt::format("CLOUDLET_SEED={} CLOUDLET_SEEDS=1", seed));
        Life life(seed);
        life.run(200);
        if (!HasFailure()) life.rot();
        done += life.done(), refused += life.refused(), lost += life.lost();
    }
    if (HasFailure() || std::getenv("CLOUDLET_SEED")) return;
    EXPECT_GT(done, 500u); // or the lives were too dull to show anything
    EXPECT_GT(refused, 500u);
    EXPECT_GT(lost, 50u);
}

} // namespace
} // namespace cloudlet::rados
