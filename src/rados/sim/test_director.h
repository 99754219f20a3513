#pragma once
// A director for tests that are one themselves: nobody asks anything, and no faults come.

#include "sim/cluster.h"

namespace cloudlet::rados::sim {

class Nobody final : public Director, public ClientListener {
public:
    void direct(const Event&) override {}
    ClientListener& listener(int32_t) override { return *this; }
    void client_ended(int32_t) override {}
    void done(uint64_t, const message::ClientReply&) override {}
};

} // namespace cloudlet::rados::sim
