#pragma once
// Where a process dies: not only between two events, but between two things that it puts out while
// it handles one. The gate counts them and, once it is shut, lets nothing through; the simulation
// ends the process when the event is over, and nobody can tell the difference.

#include <cstddef>
#include <cstdint>

namespace cloudlet::rados::sim {

class OutputGate {
public:
    /// Shuts after `count` more.
    void shut_after(size_t count) { left_ = count; }
    void open() { left_ = SIZE_MAX; }
    bool is_shut() const { return left_ == 0; }
    /// True when one more comes out.
    bool pass() {
        if (left_ == 0) return false;
        --left_;
        return true;
    }

private:
    size_t left_ = SIZE_MAX;
};

} // namespace cloudlet::rados::sim
