#pragma once
// A monitor and some OSDs with their disks in memory, in one process and nothing else: messages are
// handed over at once and in order, a disk syncs as soon as nobody has anything to say, and time
// passes only when nothing else is left to do. For measuring what the machines themselves cost; how
// they bear losses is the simulator's matter.
//
// One thread.

#include <algorithm>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "cloudlet/base/check.h"
#include "cloudlet/rados/memory_store.h"
#include "cloudlet/rados/monitor_machine.h"
#include "cloudlet/rados/osd_machine.h"
#include "test_map.h"

namespace cloudlet::rados {

class LocalCluster {
public:
    /// The OSDs of the map boot, and every PG of its pool 1 becomes active and clean.
    explicit LocalCluster(OsdMap base, PgLogLimits log = {}) : monitor_(*this) {
        const uint32_t pgs = base.pool(1)->pg_num;
        const int32_t osds = base.max_osd();
        for (uint32_t& state : base.osd_state) state = osd_exists;
        monitor_.machine.start(std::make_shared<const OsdMap>(std::move(base)), {});
        monitor_.machine.lead(1, now_ + std::chrono::hours(1000));
        for (int32_t i = 0; i < osds; ++i) osds_.push_back(std::make_unique<Osd>(*this, i, log));
        for (auto& osd : osds_) osd->machine->start();
        deliver();
        while (!all_clean(pgs)) pass(std::chrono::milliseconds(100));
    }

    OsdMachine& osd(size_t number) { return *osds_[number]->machine; }
    MemoryStore& store(size_t number) { return osds_[number]->store; }
    const MapEpoch& map() const { return *monitor_.machine.newest(); }
    /// What clients were answered last.
    const message::ClientReply& last_reply() const {
        return std::get<message::ClientReply>(last_reply_->body);
    }
    uint64_t replies() const { return replies_; }

    /// Ends the OSD; nobody is to speak to it any more.
    void destroy(size_t number) { osds_[number]->machine.reset(); }

    /// A client's request, carried out until its answer and all that comes of it.
    void request(PgObject object, ObjectOps ops) {
        message::ClientOp op{.request = {1, 1, ++requests_},
                             .pg = map().pg_of(1, {object.name, *object.locator_key, {}}),
                             .object = std::move(object),
                             .ops = std::move(ops)};
        const Entity primary = Entity::osd(map().acting(op.pg).primary);
        queue_.push_back({client, primary, make_message(map().epoch(), std::move(op))});
        deliver();
    }

    /// Goes on until nobody has anything to say and all disks have synced.
    void deliver() {
        for (bool busy = true; busy;) {
            for (; !queue_.empty(); queue_.pop_front()) hand_over(queue_.front());
            busy = std::ranges::count_if(osds_, [](auto& osd) { return osd->sync(); }) > 0;
        }
    }
    void pass(Duration time) {
        now_ += time;
        monitor_.wake_if_due();
        for (auto& osd : osds_) osd->wake_if_due();
        deliver();
    }

    static constexpr Entity client = {Entity::Kind::client, 1};

private:
    struct Letter {
        Entity from, to;
        MessagePtr message; // null: the store's news of a step
        MapStep step = {};
    };

    struct Node : World {
        Node(LocalCluster& its_cluster, Entity its_name)
            : cluster(its_cluster), name(its_name),
              dice(static_cast<uint64_t>(its_name.number) + 1) {}
        MonotonicTime now() const override { return cluster.now_; }
        WallTime wall() const override { return WallTime(cluster.now_.time_since_epoch()); }
        Random& random() override { return dice; }
        void send(const Entity& to, MessagePtr message) override {
            cluster.queue_.push_back({name, to, std::move(message)});
        }
        void send_loosely(const Entity& to, MessagePtr message, Wire /*wire*/) override {
            send(to, std::move(message));
        }
        void wake_at(MonotonicTime when) override { wake = std::min(wake, when); }
        virtual Machine& its_machine() = 0;
        void wake_if_due() {
            if (wake > cluster.now_) return;
            wake = MonotonicTime::max();
            its_machine().wake();
        }

        LocalCluster& cluster;
        Entity name;
        Random dice;
        MonotonicTime wake = MonotonicTime::max();
    };

    struct Monitor final : Node, MapStore {
        explicit Monitor(LocalCluster& its_cluster)
            : Node(its_cluster, Entity::monitor(0)), machine(0, *this, *this, its_cluster.maps_) {}
        void append(uint64_t /*term*/, MapStep step) override {
            cluster.queue_.push_back({name, name, {}, std::move(step)});
        }
        Machine& its_machine() override { return machine; }
        MonitorMachine machine;
    };

    struct Osd final : Node, StoreListener {
        Osd(LocalCluster& its_cluster, int32_t number, PgLogLimits log)
            : Node(its_cluster, Entity::osd(number)), store(*this) {
            Uuid disk;
            disk.bytes[0] = static_cast<uint8_t>(number + 1);
            machine = std::make_unique<OsdMachine>(number, disk, *this, store, cluster.maps_,
                                                   OsdOptions{.log = log});
        }
        bool sync() {
            const bool had = store.pending() > 0;
            if (had) store.sync();
            return had;
        }
        void committed(uint64_t token) override { machine->committed(token); }
        void failed(const Error& error) override { machine->failed(error); }
        Machine& its_machine() override { return *machine; }
        MemoryStore store;
        std::unique_ptr<OsdMachine> machine;
    };

    void hand_over(const Letter& letter) {
        if (letter.step) return monitor_.machine.committed(letter.step);
        if (letter.to.is_monitor()) return monitor_.machine.receive(letter.from, letter.message);
        if (letter.to.is_osd())
            return osd(static_cast<size_t>(letter.to.number)).receive(letter.from, letter.message);
        last_reply_ = letter.message;
        if (std::holds_alternative<message::ClientReply>(last_reply_->body)) ++replies_;
    }

    bool all_clean(size_t pgs) {
        size_t clean = 0;
        for (auto& osd : osds_)
            for (const PgReport& report : osd->machine->reports())
                clean += report.state == PgState{PgFlag::active, PgFlag::clean};
        check(now_.time_since_epoch() < std::chrono::hours(2), "PGs do not become clean");
        return clean == pgs;
    }

    MonotonicTime now_{std::chrono::hours(1)};
    MapCache maps_;
    std::deque<Letter> queue_;
    Monitor monitor_;
    std::vector<std::unique_ptr<Osd>> osds_;
    MessagePtr last_reply_;
    uint64_t replies_ = 0, requests_ = 0;
};

} // namespace cloudlet::rados
