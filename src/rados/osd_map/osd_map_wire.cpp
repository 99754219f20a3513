#include "osd_map_wire.h"

#include <fmt/format.h>

namespace cloudlet::rados::wire {

void WireReader::fail(std::string_view what) {
    if (error_.empty()) error_ = fmt::format("{} at offset {}", what, at_);
    end_ = at_; // whatever follows reads as nothing
}

std::string_view WireReader::take(size_t size, std::string_view what) {
    if (size > left()) {
        fail(fmt::format("the bytes end inside {} ({} bytes wanted, {} left)", what, size, left()));
        return {};
    }
    std::string_view bytes = bytes_.substr(at_, size);
    at_ += size;
    return bytes;
}

size_t WireReader::count(std::string_view what) {
    uint32_t count = 0;
    number(count);
    if (count <= left()) return count;
    at_ -= sizeof count;
    fail(fmt::format("{} of {} items cannot fit into the rest of the bytes", what, count));
    return 0;
}

bool WireReader::open(Envelope& envelope, uint8_t understood, std::string_view what) {
    uint32_t length = 0;
    number(envelope.version);
    number(envelope.compat);
    number(length);
    if (!ok()) return false;
    if (envelope.compat > understood) {
        fail(fmt::format("{} of version {} needs a reader of version {}, this one is {}", what,
                         envelope.version, envelope.compat, understood));
        return false;
    }
    if (length > left()) {
        fail(fmt::format("{} of {} bytes is cut off ({} left)", what, length, left()));
        return false;
    }
    end_ = at_ + length;
    return true;
}

void WireReader::close(Envelope& envelope, size_t outer_end) {
    if (!ok()) return;
    envelope.tail = bytes_.substr(at_, end_ - at_);
    at_ = end_;
    end_ = outer_end;
}

} // namespace cloudlet::rados::wire
