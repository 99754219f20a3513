// The store against the simplest thing that could be one: a list of maps.

#include <future>
#include <map>
#include <thread>

#include "cloudlet/base/random.h"
#include "test_world.h"

namespace cloudlet::store {
namespace {

/// Every revision's whole content.
class Model {
public:
    TransactionResult commit(const Transaction& transaction) {
        bool holds = true;
        for (const Compare& compare : transaction.compares) holds = holds && check(compare);
        auto next = states_.back();
        std::string batch;
        for (const Operation& operation : holds ? transaction.then : transaction.otherwise)
            apply(operation, next, batch);
        if (!batch.empty()) {
            states_.push_back(next);
            batches_.push_back(std::to_string(revision()) + ":" + batch);
        }
        return {holds, revision()};
    }
    int64_t revision() const { return static_cast<int64_t>(states_.size()) - 1; }
    std::string range(const RangeRequest& request) const {
        RangeResult result;
        const auto& state =
            states_[static_cast<size_t>(request.revision ? request.revision : revision())];
        for (const auto& [key, one] : state) {
            const bool inside = request.range_end.empty()
                                    ? key == request.key
                                    : key >= request.key && key < request.range_end;
            if (!inside) continue;
            if (request.limit == 0 || static_cast<int64_t>(result.values.size()) < request.limit)
                result.values.push_back(one);
        }
        return line_of(result);
    }
    std::string history(int64_t from) const {
        std::string line;
        for (auto i = static_cast<size_t>(from); i < states_.size(); ++i)
            line += (line.empty() ? "" : " ") + batches_[i];
        return line;
    }

private:
    using State = std::map<std::string, KeyValue>;
    std::vector<State> states_{1};
    std::vector<std::string> batches_{1};

    bool check(const Compare& compare) const {
        auto it = states_.back().find(compare.key);
        const bool there = it != states_.back().end();
        const int64_t value = !there                                       ? 0
                              : compare.target == Compare::Target::exists  ? 1
                              : compare.target == Compare::Target::version ? it->second.version
                              : compare.target == Compare::Target::mod_revision
                                  ? it->second.mod_revision
                                  : it->second.create_revision;
        switch (compare.op) {
        case Compare::Op::equal: return value == compare.value;
        case Compare::Op::not_equal: return value != compare.value;
        case Compare::Op::greater: return value > compare.value;
        case Compare::Op::less: return value < compare.value;
        }
        return false;
    }
    void apply(const Operation& operation, State& state, std::string& batch) const {
        if (const auto* put = std::get_if<Put>(&operation)) {
            KeyValue& one = state[put->key];
            batch += "+" + put->key + "=" + *put->value + (one.value ? "(" + *one.value + ")" : "");
            const int64_t created = one.value ? one.create_revision : revision() + 1;
            one = {put->key, put->value, created, revision() + 1, one.version + 1, 0};
            return;
        }
        const auto& removal = std::get<Delete>(operation);
        for (auto it = state.begin(); it != state.end();) {
            const bool inside = removal.range_end.empty()
                                    ? it->first == removal.key
                                    : it->first >= removal.key && it->first < removal.range_end;
            if (inside) batch += "-" + it->first + "(" + *it->second.value + ")";
            it = inside ? state.erase(it) : std::next(it);
        }
    }
};

std::string random_key(Random& random) {
    return std::string("/") + static_cast<char>('a' + random.below(6));
}

std::vector<Operation> random_operations(Random& random, int tag) {
    std::vector<Operation> operations;
    if (random.chance(0.15)) return {Delete{random_key(random), random_key(random) + "~"}};
    std::set<std::string> used;
    for (uint64_t i = 0; i <= random.below(3); ++i) {
        const std::string key = random_key(random);
        if (!used.insert(key).second) continue;
        if (random.chance(0.3))
            operations.emplace_back(Delete{key, {}});
        else
            operations.emplace_back(
                Put{key, share(std::to_string(tag) + std::string(random.below(3) * 400, '.'))});
    }
    return operations;
}

Transaction random_transaction(Random& random, int tag) {
    Transaction transaction;
    if (random.chance(0.5))
        transaction.compares.push_back(
            {random_key(random), static_cast<Compare::Target>(random.below(4)),
             static_cast<Compare::Op>(random.below(4)), static_cast<int64_t>(random.below(4))});
    transaction.then = random_operations(random, tag);
    transaction.otherwise = random_operations(random, tag);
    return transaction;
}

class Comparison {
public:
    explicit Comparison(uint64_t seed) : random_(seed), disk_(seed) { open(); }

    void run(int steps) {
        for (int i = 0; i < steps && !testing::Test::HasFailure(); ++i) {
            const uint64_t choice = random_.below(100);
            if (choice < 70)
                commit_some(i);
            else if (choice < 90)
                compare_range();
            else if (choice < 94)
                compare_history();
            else if (choice < 97)
                compact();
            else
                open();
        }
        compare_history();
    }

private:
    Random random_;
    SimulatedDisk disk_;
    Model model_;
    int64_t compacted_ = 0;
    std::unique_ptr<Store> store_;

    void open() {
        store_.reset();
        auto opened = open_sqlite_store({.path = "/db", .disk = &disk_, .wal_bytes = 64 << 10});
        ASSERT_TRUE(opened) << opened.error().to_string();
        store_ = std::move(*opened);
        ASSERT_EQ(store_->revision(), model_.revision());
    }
    void commit_some(int step) {
        std::vector<std::future<Result<TransactionResult>>> answers;
        std::vector<TransactionResult> expected;
        for (uint64_t i = 0; i <= random_.below(5); ++i) {
            auto promise = std::make_shared<std::promise<Result<TransactionResult>>>();
            answers.push_back(promise->get_future());
            Transaction transaction = random_transaction(random_, step);
            expected.push_back(model_.commit(transaction));
            store_->commit(std::move(transaction),
                           [promise](auto result) { promise->set_value(std::move(result)); });
        }
        for (size_t i = 0; i < answers.size(); ++i) {
            auto answer = answers[i].get();
            ASSERT_TRUE(answer) << answer.error().to_string();
            ASSERT_EQ(answer->succeeded, expected[i].succeeded);
            ASSERT_EQ(answer->revision, expected[i].revision);
        }
    }
    void compare_range() {
        RangeRequest request{.key = random_key(random_),
                             .range_end = random_.chance(0.5) ? "" : random_key(random_)};
        const auto span = static_cast<uint64_t>(model_.revision() - compacted_ + 1);
        if (random_.chance(0.7))
            request.revision = compacted_ + static_cast<int64_t>(random_.below(span));
        request.limit = static_cast<int64_t>(random_.below(4));
        auto result = store_->range(request);
        ASSERT_TRUE(result) << result.error().to_string();
        ASSERT_EQ(line_of(*result), model_.range(request));
    }
    void compare_history() {
        if (model_.revision() == compacted_) return;
        Collector collector;
        auto watch = store_->watch("", compacted_ + 1, collector.callback());
        ASSERT_TRUE(watch) << watch.error().to_string();
        // What a compacted version held is not known any more; only uncompacted histories show it.
        const auto batches = collector.up_to(model_.revision());
        if (compacted_ == 0) {
            ASSERT_EQ(line_of(batches), model_.history(1));
        }
        ASSERT_EQ(static_cast<int64_t>(batches.size()), model_.revision() - compacted_);
    }
    void compact() {
        if (model_.revision() == compacted_ || random_.chance(0.5)) return;
        const auto span = static_cast<uint64_t>(model_.revision() - compacted_);
        compacted_ += 1 + static_cast<int64_t>(random_.below(span));
        auto done = store_->compact(compacted_);
        ASSERT_TRUE(done) << done.error().to_string();
    }
};

TEST(StoreModel, AgreesWithAListOfMaps) {
    for (uint64_t seed = 1; seed <= seeds(20); ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        Comparison(seed).run(200);
        if (HasFailure()) return;
    }
}

TEST(StoreThreads, CompareAndSwapLosesNoUpdateAndWatchesMissNone) {
    SimulatedDisk disk(1);
    auto store = *open_sqlite_store({.path = "/db", .disk = &disk, .wal_bytes = 256 << 10});
    constexpr int threads = 6;
    constexpr int rounds = 60;
    ASSERT_TRUE(store->commit_and_wait(put("counter", "0")));
    std::vector<std::unique_ptr<Collector>> collectors;
    std::vector<std::unique_ptr<Watch>> watches;
    auto add_one = [&] {
        for (;;) {
            const KeyValue now = store->range({.key = "counter"})->values.at(0);
            Transaction swap = put("counter", std::to_string(std::stoi(*now.value) + 1));
            swap.compares.push_back(
                {"counter", Compare::Target::mod_revision, Compare::Op::equal, now.mod_revision});
            if (store->commit_and_wait(swap)->succeeded) return;
        }
    };
    std::vector<std::thread> workers;
    for (int t = 0; t < threads; ++t)
        workers.emplace_back([&] {
            for (int i = 0; i < rounds; ++i) add_one();
        });
    for (int i = 0; i < 20; ++i) { // watches join in the middle of it, from the beginning
        collectors.push_back(std::make_unique<Collector>());
        watches.push_back(*store->watch("counter", 1, collectors.back()->callback()));
    }
    for (std::thread& worker : workers) worker.join();
    EXPECT_EQ(all_at(*store), "counter=" + std::to_string(threads * rounds));
    for (auto& collector : collectors) {
        const auto batches = collector->up_to(store->revision());
        ASSERT_EQ(static_cast<int64_t>(batches.size()), store->revision());
        for (size_t i = 0; i < batches.size(); ++i)
            ASSERT_EQ(*batches[i].events.at(0).current.value, std::to_string(i));
    }
}

} // namespace
} // namespace cloudlet::store
