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

TEST(Slots, go_to_the_highest_priority_and_of_equals_to_who_asked_first) {
    Slots slots(1);
    slots.ask(asker(1), 200);
    slots.ask(asker(2), 100);
    slots.ask(asker(3), 180);
    slots.ask(asker(4), 180);
    slots.ask(asker(2), 100); // keeps its place
    slots.ask(asker(5), 100);
    EXPECT_EQ(slots.give_back(asker(1)), asker(3));
    EXPECT_EQ(slots.give_back(asker(3)), asker(4));
    EXPECT_EQ(slots.give_back(asker(4)), asker(2));
    EXPECT_EQ(slots.give_back(asker(2)), asker(5));
}

TEST(Slots, are_taken_from_the_lowest_priority_and_of_equals_from_the_newest) {
    Slots slots(3);
    slots.ask(asker(1), 100);
    slots.ask(asker(2), 180);
    slots.ask(asker(3), 100);
    EXPECT_FALSE(slots.ask(asker(4), 100).granted) << "an equal one waits";
    const Slots::Outcome higher = slots.ask(asker(5), 140);
    EXPECT_TRUE(higher.granted);
    EXPECT_EQ(higher.preempted, asker(3));
    EXPECT_FALSE(slots.holds(asker(3)) || slots.waits(asker(3))) << "it has to ask again";
    EXPECT_EQ(slots.ask(asker(6), 220).preempted, asker(1));
    EXPECT_FALSE(slots.ask(asker(3), 100).granted);
    EXPECT_EQ(slots.held(), 3u);
    EXPECT_EQ(slots.give_back(asker(5)), asker(4)) << "who waits longer";
}

TEST(Slots, are_waited_for_with_the_newest_priority) {
    Slots slots(1);
    slots.ask(asker(1), 200);
    slots.ask(asker(2), 100);
    slots.ask(asker(3), 110);
    EXPECT_FALSE(slots.ask(asker(2), 120).granted);
    EXPECT_EQ(slots.waiting(), 2u);
    EXPECT_EQ(slots.give_back(asker(1)), asker(2));
}

} // namespace
} // namespace cloudlet::rados
