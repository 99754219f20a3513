#include "osd/slots.h"

#include <gtest/gtest.h>

namespace cloudlet::rados {
namespace {

Slots::Asker asker(uint32_t seed, int32_t osd = 0) { return {{1, seed}, osd}; }

TEST(Slots, are_given_while_there_are_some) {
    Slots slots(2);
    EXPECT_TRUE(slots.ask(asker(1)));
    EXPECT_TRUE(slots.ask(asker(1, 7))) << "another OSD's request for the same PG is another one";
    EXPECT_FALSE(slots.ask(asker(3)));
    EXPECT_EQ(slots.held(), 2u);
    EXPECT_EQ(slots.waiting(), 1u);
}

TEST(Slots, go_to_who_waits_longest) {
    Slots slots(1);
    slots.ask(asker(1));
    slots.ask(asker(3));
    slots.ask(asker(2));
    EXPECT_EQ(slots.give_back(asker(1)), asker(3));
    EXPECT_TRUE(slots.holds(asker(3)));
    EXPECT_EQ(slots.give_back(asker(3)), asker(2));
    EXPECT_EQ(slots.give_back(asker(2)), std::nullopt);
    EXPECT_EQ(slots.held(), 0u);
}

TEST(Slots, are_held_and_waited_for_once_however_often_one_asks) {
    Slots slots(1);
    EXPECT_TRUE(slots.ask(asker(1)));
    EXPECT_TRUE(slots.ask(asker(1)));
    EXPECT_FALSE(slots.ask(asker(2)));
    EXPECT_FALSE(slots.ask(asker(2)));
    EXPECT_EQ(slots.held(), 1u);
    EXPECT_EQ(slots.waiting(), 1u);
}

TEST(Slots, forget_who_stops_waiting) {
    Slots slots(1);
    slots.ask(asker(1));
    slots.ask(asker(2));
    EXPECT_EQ(slots.give_back(asker(2)), std::nullopt);
    EXPECT_EQ(slots.give_back(asker(9)), std::nullopt) << "never asked";
    EXPECT_TRUE(slots.holds(asker(1))) << "nobody else's slot is touched";
    EXPECT_EQ(slots.give_back(asker(1)), std::nullopt);
    EXPECT_FALSE(slots.holds(asker(2)));
}

} // namespace
} // namespace cloudlet::rados
