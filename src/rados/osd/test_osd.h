#pragma once
// One OSD alone, for tests that are everybody else. One thread.

#include <algorithm>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "cloudlet/rados/memory_store.h"
#include "cloudlet/rados/osd_machine.h"
#include "test_map.h"
#include "test_world.h"

namespace cloudlet::rados {

inline constexpr PgId pg{1, 0};

inline Entity osd(int32_t number) { return Entity::osd(number); }
inline Entity mon(int32_t number) { return Entity::monitor(number); }

/// osd.0 of four, each on its host; PG 1.0 belongs on [0,1,2]. The test is everybody else.
struct Osd : testing::Test, StoreListener {
    Osd() {
        OsdMap first = test_map(4, 1, 1, 3);
        first.pg_upmap[pg] = {0, 1, 2};
        first.osd_state[0] = osd_exists;
        first_ = std::make_shared<OsdMap>(first);
        now_ = cache.first(first_).value();
    }
    void committed(uint64_t token) override { machine->committed(token); }
    void failed(const Error& error) override { machine->failed(error); }

    /// A process begins, on whatever the disk holds.
    void start(OsdOptions options = {}) {
        machine =
            std::make_unique<OsdMachine>(0, Uuid{{7}}, world, store, cache, std::move(options));
        world.sent.clear();
        world.wake.reset();
        machine->start();
    }
    void get_maps(Epoch have = 0) {
        message::Maps maps{.full = first_, .steps = {}};
        for (const MapStep& step : steps)
            if (step->epoch > have) maps.steps.push_back(step);
        hear(mon(0), std::move(maps));
    }
    /// The next map, which the OSD hears of.
    void step(const std::function<void(OsdMapIncremental&)>& change) {
        make_step(change);
        hear(mon(0), message::Maps{.full = {}, .steps = {steps.back()}});
        store.sync();
    }
    void make_step(const std::function<void(OsdMapIncremental&)>& change) {
        auto step = std::make_shared<OsdMapIncremental>();
        step->epoch = now_->epoch() + 1;
        change(*step);
        now_ = cache.next(now_, step).value();
        steps.push_back(std::move(step));
    }
    void mark_up(const message::Boot& boot) {
        step([&](auto& s) { s.new_up_client[0] = s.new_up_cluster[0] = boot.address; });
    }
    void mark_down(int32_t number) {
        step([&](auto& s) { s.new_state[number] = osd_up; });
    }
    void start_and_boot(OsdOptions options = {}) {
        start(std::move(options));
        get_maps();
        mark_up(boots().at(0));
        world.sent.clear();
    }
    std::vector<message::Boot> boots() {
        std::vector<message::Boot> all;
        for (int32_t monitor = 0; monitor < 3; ++monitor)
            for (auto& boot : world.take<message::Boot>(mon(monitor))) all.push_back(boot);
        return all;
    }
    void hear(const Entity& from, MessageBody body, Epoch epoch = 0) {
        machine->receive(from, make_message(epoch ? epoch : now_->epoch(), std::move(body)));
    }
    void create_pg() {
        PgHistory history{.epoch_created = 1};
        history.same_interval_since = now_->epoch();
        hear(mon(0), message::CreatePg{pg, history, {}});
    }
    /// Time passes, and the machine is woken when it wants to be.
    void run(Duration time) {
        const MonotonicTime end = world.now() + time;
        while (world.now() < end || (world.wake && *world.wake <= end)) {
            const MonotonicTime next = world.wake ? std::min(*world.wake, end) : end;
            if (world.pass(std::max(Duration(0), Duration(next - world.now())))) machine->wake();
        }
    }
    static uint32_t nonce(const message::Boot& boot) { return boot.address.addresses[0].nonce; }

    TestWorld world;
    MapCache cache;
    MemoryStore store{*this};
    std::unique_ptr<OsdMachine> machine;
    std::vector<MapStep> steps;

private:
    std::shared_ptr<const OsdMap> first_;
    MapEpochPtr now_;
};

} // namespace cloudlet::rados
