#pragma once
// A private network namespace for tests.

#include <fcntl.h>
#include <sched.h>

#include <gtest/gtest.h>

#include "cloudlet/io/fd.h"
#include "cloudlet/linux/link.h"
#include "cloudlet/linux/netlink.h"

namespace cloudlet::linux::testing {

/// The calling thread is in a new network namespace, with its loopback up, while this lives.
class InNewNetns {
public:
    InNewNetns() : before_(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)) {
        own_ = create_netns().value();
        EXPECT_EQ(::setns(own_.get(), CLONE_NEWNET), 0);
        EXPECT_TRUE(RouteSocket::open()->set_up(1));
    }
    ~InNewNetns() { EXPECT_EQ(::setns(before_.get(), CLONE_NEWNET), 0); }
    int fd() const { return own_.get(); }

private:
    io::UniqueFd before_, own_;
};

inline Ipv4 ip(const char* text) { return *parse_ipv4(text); }
inline Ipv4Block block(const char* text) { return *parse_ipv4_block(text); }

} // namespace cloudlet::linux::testing
