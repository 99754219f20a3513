#pragma once
// How much an OSD takes on: requests of clients that wait or are being carried out, by number and
// by bytes. Each has a ticket, which lives as long as anybody still has to do with the request, so
// nothing is forgotten, whatever becomes of it. One thread; tickets may outlive the throttle.

#include <cstddef>
#include <cstdint>
#include <memory>

namespace cloudlet::rados {

class Throttle {
public:
    Throttle(size_t most_requests, uint64_t most_bytes)
        : most_requests_(most_requests), most_bytes_(most_bytes) {}

    /// One request is always taken, however large it is.
    bool has_room() const {
        return load_->requests == 0 ||
               (load_->requests < most_requests_ && load_->bytes < most_bytes_);
    }
    std::shared_ptr<const void> admit(uint64_t bytes) {
        return std::make_shared<const Ticket>(load_, bytes);
    }
    size_t requests() const { return load_->requests; }

private:
    struct Load {
        size_t requests = 0;
        uint64_t bytes = 0;
    };
    struct Ticket {
        Ticket(std::shared_ptr<Load> load, uint64_t of) : to(std::move(load)), bytes(of) {
            ++to->requests;
            to->bytes += bytes;
        }
        ~Ticket() {
            --to->requests;
            to->bytes -= bytes;
        }
        Ticket(const Ticket&) = delete;
        Ticket& operator=(const Ticket&) = delete;
        std::shared_ptr<Load> to;
        uint64_t bytes;
    };

    size_t most_requests_;
    uint64_t most_bytes_;
    std::shared_ptr<Load> load_ = std::make_shared<Load>();
};

} // namespace cloudlet::rados
