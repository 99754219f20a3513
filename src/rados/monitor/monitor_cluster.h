#pragma once
// Some monitors and their store for tests, in one line. The store is a real one, if small: it keeps
// the steps, compares terms and epochs when something is appended, and tells everybody; but only
// when it is asked to deliver, so that a test decides who hears what when.

#include <functional>
#include <memory>
#include <vector>

#include "cloudlet/rados/monitor_machine.h"
#include "test_map.h"
#include "test_world.h"

namespace cloudlet::rados {

class MonitorCluster {
public:
    explicit MonitorCluster(OsdMap base, size_t monitors = 2, MonitorOptions options = {})
        : base_(std::make_shared<const OsdMap>(std::move(base))) {
        for (size_t i = 0; i < monitors; ++i)
            nodes_.push_back(std::make_unique<Node>(*this, static_cast<int32_t>(i), options));
        for (auto& node : nodes_) node->machine.start(base_, steps_);
        elect(0);
    }

    MonitorMachine& monitor(size_t i = 0) { return nodes_[i]->machine; }
    TestWorld& world(size_t i = 0) { return nodes_[i]->world; }
    MonitorMachine& leader() { return monitor(static_cast<size_t>(leader_)); }
    TestWorld& leader_world() { return world(static_cast<size_t>(leader_)); }
    /// The newest map as the leader knows it.
    const OsdMap& map() { return leader().newest()->map(); }
    Epoch epoch() { return map().epoch; }
    const std::vector<MapStep>& steps() const { return steps_; }
    const OsdMapIncremental& last_step() const { return *steps_.back(); }

    /// Monitor `i` gets a lease and all others hear of it, but those that are cut off.
    void elect(int32_t i) {
        leader_ = i;
        ++term_;
        for (size_t other = 0; other < nodes_.size(); ++other)
            if (static_cast<int32_t>(other) != i && !nodes_[other]->cut) monitor(other).follow(i);
        renew();
        deliver();
    }
    void renew() { leader().lead(term_, leader_world().now() + std::chrono::seconds(10)); }
    /// It hears nothing of the store any more. What it appends still arrives there.
    void cut(size_t i) { nodes_[i]->cut = true; }
    void heal(size_t i) { nodes_[i]->cut = false; }

    void deliver() {
        for (bool busy = true; busy;) {
            busy = false;
            for (auto& node : nodes_) {
                if (node->cut || node->news.empty()) continue;
                auto news = std::move(node->news.front());
                node->news.erase(node->news.begin());
                news(node->machine);
                busy = true;
            }
        }
    }

    /// Time passes second by second: the leader keeps its lease, all are woken as they wish.
    void pass(std::chrono::seconds time) {
        for (auto left = time; left.count() > 0; --left) {
            for (auto& node : nodes_)
                if (node->world.pass(std::chrono::seconds(1))) node->machine.wake();
            renew();
            deliver();
        }
    }

    template <typename Body>
    void send(const Entity& from, Body body, Epoch epoch) {
        leader().receive(from, make_message(epoch, std::move(body)));
    }
    /// An OSD that has the newest map says something to the leader, and what follows happens.
    template <typename Body>
    void say(int32_t osd, Body body) {
        send(Entity::osd(osd), std::move(body), epoch());
        deliver();
    }
    /// The answer to a client's command.
    message::CommandDone command(Command command) {
        send(Entity::client(4), message::DoCommand{++number_, std::move(command)}, epoch());
        deliver();
        auto done = leader_world().take<message::CommandDone>(Entity::client(4));
        check(done.size() == 1 && done[0].number == number_, "a command gets one answer");
        return done[0];
    }
    /// Two hosts say that they hear nothing of it. The reporters are asked to be on different ones.
    void report(int32_t target, std::initializer_list<int32_t> reporters) {
        for (int32_t it : reporters) say(it, message::Failure{.target = target});
    }
    void beacons(uint64_t used = 1, uint64_t capacity = 100) {
        for (int32_t osd = 0; osd < map().max_osd(); ++osd)
            say(osd, message::Beacon{used, capacity});
    }
    template <typename Body>
    std::vector<Body> heard(const Entity& by) {
        return leader_world().template take<Body>(by);
    }

private:
    struct Node final : MapStore {
        Node(MonitorCluster& its_cluster, int32_t its_number, const MonitorOptions& options)
            : cluster(its_cluster), number(its_number),
              machine(number, world, *this, its_cluster.cache_, options) {}
        void append(uint64_t term, MapStep step) override {
            cluster.append(*this, term, std::move(step));
        }
        MonitorCluster& cluster;
        int32_t number;
        bool cut = false;
        TestWorld world;
        std::vector<std::function<void(MonitorMachine&)>> news;
        MonitorMachine machine;
    };

    void append(Node& by, uint64_t term, MapStep step) {
        Epoch newest = steps_.empty() ? base_->epoch : steps_.back()->epoch;
        if (term != term_ || step->epoch != newest + 1) {
            by.news.emplace_back([term, epoch = step->epoch](MonitorMachine& machine) {
                machine.refused(term, epoch);
            });
            return;
        }
        steps_.push_back(step);
        for (auto& node : nodes_)
            node->news.emplace_back([step](MonitorMachine& machine) { machine.committed(step); });
    }

    MapCache cache_;
    std::shared_ptr<const OsdMap> base_;
    std::vector<MapStep> steps_;
    uint64_t term_ = 0, number_ = 0;
    int32_t leader_ = -1;
    std::vector<std::unique_ptr<Node>> nodes_;
};

inline AddressVector test_address(uint32_t nonce) {
    Address address{.kind = Address::Kind::msgr2, .nonce = nonce};
    address.socket_address = std::string("\x02\x00\x1a\x90\x0a\x00\x00\x01", 8) + std::string(8, 0);
    return {{address}};
}
inline Uuid test_disk(uint8_t number) {
    Uuid disk;
    disk.bytes[15] = number;
    return disk;
}

} // namespace cloudlet::rados
