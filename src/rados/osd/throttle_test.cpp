#include "osd/throttle.h"

#include <optional>

#include <gtest/gtest.h>

namespace cloudlet::rados {
namespace {

TEST(Throttle, has_no_room_for_more_requests_than_it_may_take_until_one_is_done) {
    Throttle throttle(2, 1000);
    auto first = throttle.admit(1), second = throttle.admit(1);
    EXPECT_FALSE(throttle.has_room());
    first.reset();
    EXPECT_TRUE(throttle.has_room());
}

TEST(Throttle, counts_bytes_but_takes_one_request_of_any_size) {
    Throttle throttle(10, 100);
    EXPECT_TRUE(throttle.has_room());
    auto large = throttle.admit(5000);
    EXPECT_FALSE(throttle.has_room());
    large.reset();
    auto small = throttle.admit(99);
    EXPECT_TRUE(throttle.has_room());
}

TEST(Throttle, counts_a_request_once_however_many_hold_its_ticket) {
    std::optional<Throttle> throttle(std::in_place, 10, 100);
    auto ticket = throttle->admit(1), other = ticket;
    EXPECT_EQ(throttle->requests(), 1u);
    ticket.reset();
    EXPECT_EQ(throttle->requests(), 1u);
    throttle.reset(); // the last ticket goes later
}

} // namespace
} // namespace cloudlet::rados
