#include "sim/lives.h"

#include <algorithm>
#include <array>
#include <sstream>

#include <fmt/format.h>

#include "cloudlet/base/check.h"
#include "sim/cluster.h"

namespace cloudlet::rados::sim {

using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr uint64_t seed = 1;
constexpr PgId the_pg{1, 0};
constexpr Duration patience = seconds(120);

ClusterPlan plan_life(size_t spare) {
    ClusterPlan plan = plain_cluster(3, spare);
    plan.log.entries = 2;
    plan.batch = 2;
    return plan;
}

/// What goes on all the time whatever happens, or is clear from the line before.
constexpr std::array<std::string_view, 7> everyday = {
    " Beacon", " GetMaps", " Maps", " Reports", " AskOther", " Learn", "(new_interval)"};

bool is_everyday(const std::string& line) {
    return std::ranges::any_of(
        everyday, [&](std::string_view word) { return line.find(word) != std::string::npos; });
}

class Life final : public Director, public ClientListener {
public:
    explicit Life(size_t spare = 0) : cluster_(seed, plan_life(spare), *this, story_) {
        until([&] { return is_clean(); });
        pass(seconds(1)); // what comes of it is over, too
    }

    void direct(const Event& /*event*/) override {}
    ClientListener& listener(int32_t /*client*/) override { return *this; }
    void client_ended(int32_t /*client*/) override {}
    void done(uint64_t /*number*/, const message::ClientReply& reply) override {
        check(reply.result == 0, "a request of a told life is refused");
        ++answered_;
    }

    /// What was told so far is not told.
    void begin() { skipped_ = lines().size(); }
    std::string told() const {
        std::string text;
        const auto all = lines();
        for (size_t i = skipped_; i < all.size(); ++i)
            if (!is_everyday(all[i])) text += all[i] + "\n";
        return text;
    }

    void ask(const std::string& object, const std::string& data) {
        act(cluster_.client_node(0), [&] {
            cluster_.client(0)->submit(
                {.pool = the_pg.pool, .name = object, .ops = {op::WriteFull{share(data)}}});
        });
        ++asked_;
    }
    void write(const std::string& object, const std::string& data) {
        ask(object, data);
        until([&] { return all_answered(); });
    }
    void order(Command command) {
        act(cluster_.operator_node(), [&] { cluster_.operators().order(std::move(command)); });
        until([&] { return cluster_.operators().idle(); });
    }
    size_t primary() { return static_cast<size_t>(cluster_.newest()->acting(the_pg).primary); }
    bool is_clean() {
        const auto report = cluster_.report(the_pg);
        return report && report->state == PgState{PgFlag::active, PgFlag::clean};
    }
    bool serves(int32_t osd) {
        return std::ranges::count(cluster_.newest()->acting(the_pg).osds, osd) > 0;
    }
    bool all_answered() const { return answered_ == asked_; }
    Cluster& cluster() { return cluster_; }

    template <typename Done>
    void until(Done done) {
        Engine& engine = cluster_.engine();
        const MonotonicTime end = engine.now() + patience;
        while (!done()) {
            check(engine.now() < end, "a told life does not go on");
            check(engine.step(), "nothing happens any more in a told life");
        }
    }
    void pass(Duration time) {
        const MonotonicTime end = cluster_.engine().now() + time;
        until([&] { return cluster_.engine().queue().next_time() > end; });
    }

private:
    template <typename Act>
    void act(NodeId node, Act act) {
        cluster_.engine().act(node, act);
    }
    std::vector<std::string> lines() const {
        std::istringstream all(story_.last(Story::kept, ""));
        std::vector<std::string> found;
        for (std::string line; std::getline(all, line);) found.push_back(line);
        return found;
    }

    Story story_{Story::Mode::keep};
    size_t asked_ = 0, answered_ = 0, skipped_ = 0;
    Cluster cluster_;
};

std::string of_a_write() {
    Life life;
    life.begin();
    life.write("apple", "red");
    return life.told();
}

/// The primary ends, and somebody writes while it is away. Gives its number.
size_t live_through_a_failure(Life& life, Cluster::End how = Cluster::End::alone) {
    life.write("apple", "red");
    const size_t lost = life.primary();
    life.begin();
    life.cluster().stop(life.cluster().osd_node(lost), how);
    life.write("apple", "green");
    return lost;
}

std::string of_a_failure() {
    Life life;
    live_through_a_failure(life);
    return life.told();
}

std::string of_a_silence() {
    Life life;
    live_through_a_failure(life, Cluster::End::with_host);
    return life.told();
}

std::string of_a_return() {
    Life life;
    const size_t lost = live_through_a_failure(life);
    life.begin();
    life.cluster().start(life.cluster().osd_node(lost));
    life.until([&] { return life.is_clean() && life.serves(static_cast<int32_t>(lost)); });
    life.pass(milliseconds(100));
    return life.told();
}

/// The log does not reach back to the first object: the disk is filled by backfill.
std::string of_a_new_disk() {
    constexpr int32_t osd = 3;
    Life life(1);
    for (const char* object : {"apple", "cherry", "pear", "plum"}) life.write(object, "ripe");
    Cluster& cluster = life.cluster();
    life.begin();
    cluster.set_wanted(osd, true);
    life.order(command::AddOsd{osd, ClusterPlan::host_name(cluster.plan().host_of[osd]),
                               crush_weight_one});
    cluster.start(cluster.osd_node(osd));
    life.until([&] { return life.is_clean() && life.serves(osd); });
    life.pass(milliseconds(100));
    return life.told();
}

constexpr std::array<std::pair<std::string_view, std::string (*)()>, 5> table = {
    {{"write", of_a_write},
     {"failure", of_a_failure},
     {"silence", of_a_silence},
     {"return", of_a_return},
     {"new_disk", of_a_new_disk}}};

} // namespace

std::vector<std::string_view> lives() {
    std::vector<std::string_view> names;
    for (const auto& [name, tell] : table) names.push_back(name);
    return names;
}

std::optional<std::string> tell_life(std::string_view life) {
    for (const auto& [name, tell] : table)
        if (name == life) return tell();
    return std::nullopt;
}

} // namespace cloudlet::rados::sim
