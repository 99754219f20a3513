#pragma once
// A placement group that is clean, as tests of what makes it whole again begin with.

#include <gtest/gtest.h>

#include "pg/test_host.h"

namespace cloudlet::rados {

using Step = message::Reserve::Step;

inline PgObject object(const std::string& name) { return {.name = name}; }

/// osd.0 of acting set [0,1,2] with objects "a", "b" and "c".
struct Whole : testing::Test {
    Whole() {
        host.create();
        host.serve();
        uint64_t number = 100;
        for (const char* name : {"a", "b", "c"}) host.write(number++, name, name);
        host.settle_all();
        host.told();
    }
    void damage(const std::string& name) {
        const ObjectPlace place = pg.copy().place(object(name));
        Random random(1);
        ASSERT_TRUE(host.disk.damage({place.collection, place.id, ObjectPart::data}, random));
    }
    /// What a peer sends when it is asked for an object of ours.
    void give(int32_t osd, const std::string& name, const std::string& data) {
        const ObjectPlace place = pg.copy().place(object(name));
        const ObjectInfo info = read_object_info(place).value();
        auto content = std::make_shared<change::Replace>();
        content->data = share(data);
        content->xattrs[std::string(info_xattr)] = encode_object_info(info);
        host.peers[osd].objects[object(name)] = {.pg = host.id,
                                                 .object = object(name),
                                                 .version = info.version,
                                                 .content = content,
                                                 .answer = true};
    }
    /// To the newest request for a slot.
    void answer_ask(int32_t osd, Step step) {
        const auto asks = host.take<message::Reserve>(osd);
        ASSERT_FALSE(asks.empty());
        ASSERT_EQ(asks.back().step, Step::ask);
        pg.receive(osd, reserve_answer(asks.back(), step));
    }
    /// osd.2 loses an object while a new interval begins, and says so.
    void lose_at_2(const std::string& name) {
        TestPeer& peer = host.peers[2];
        const LogVersion version = pg.copy().record.log.newest(object(name))->version;
        peer.record.missing.set(object(name), {version, {}});
        peer.record.refresh_info();
        host.step([&](auto& s) { s.new_pg_upmap[host.id] = {0, 2, 1}; });
    }
    /// Peers and activates; what follows from that is not answered yet.
    void peer_only() {
        while (pg.stage() != PgStage::active) {
            for (int32_t osd : {1, 2})
                if (pg.stage() != PgStage::active) host.answer(osd);
            host.sync();
            if (pg.stage() == PgStage::wait_up_thru) host.record_up_thru();
        }
    }

    TestHost host;
    PlacementGroup& pg = *host.pg;
};

} // namespace cloudlet::rados
