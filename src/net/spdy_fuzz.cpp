// A session that is fed anything: no crash, no endless growth, and it ends when it should.

#include <cstdint>
#include <cstdlib>

#include "cloudlet/net/spdy.h"

using namespace cloudlet::net;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    std::string_view bytes(reinterpret_cast<const char*>(data), size);
    size_t step = size ? 1 + data[0] % 64 : 1;
    size_t written = 0, closed = 0;
    auto session = SpdySession::create(
        SpdySession::Role::server, [&](std::string out) { written += out.size(); },
        {[](std::shared_ptr<SpdyStream> stream) {
             auto* raw = stream.get();
             raw->set_handlers({[raw](std::string_view some) { raw->write(some); },
                                [raw] { raw->close_write(); }});
             if (raw->id() % 4 == 1) raw->pause_reading();
         },
         [&] { ++closed; }},
        SpdySession::FlowControl::strict, 20);
    static_cast<void>(session->open_stream({{"ours", "1"}}));
    while (!bytes.empty()) {
        if (!session->receive(bytes.substr(0, step))) break;
        bytes.remove_prefix(std::min(step, bytes.size()));
    }
    if (session->stream_count() > 21) std::abort();
    session->end_of_input();
    if (closed != 1 || session->stream_count() != 0) std::abort();
    return 0;
}
