#pragma once
// Random lists of operations, as the clients of a simulation ask them of a few objects. Every
// payload is another one, so that what is read tells which write it was. One thread.

#include <cstdint>
#include <string>

#include "cloudlet/base/random.h"
#include "cloudlet/rados/object_op.h"

namespace cloudlet::rados::sim {

class RandomRequests {
public:
    /// Payloads begin with `prefix`, which tells the clients apart.
    explicit RandomRequests(std::string prefix) : prefix_(std::move(prefix)) {}

    /// `seen_version`: the user version that the client was told last of the object, for guards.
    ObjectOps random_ops(Random& random, uint64_t seen_version);

    ObjectOp random_append(Random& random);

private:
    std::string payload(Random& random);
    SharedBytes data(Random& random);
    ObjectOp random_write(Random& random);
    ObjectOp random_omap_change(Random& random);
    ObjectOps random_read(Random& random);
    ObjectOps random_guarded(Random& random, uint64_t seen_version);

    std::string prefix_;
    uint64_t payloads_ = 0;
    std::string last_tag_; // the value of the xattr that this client set last
};

} // namespace cloudlet::rados::sim
