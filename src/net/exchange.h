#pragma once
// What stands behind an Exchange and behind the raw stream it may become.

#include <atomic>

#include "cloudlet/net/http_server.h"
#include "http_format.h"
#include "outlet.h"

namespace cloudlet::net {

struct Exchange::Impl {
    enum class Phase { open, streaming, done };
    Request request;
    AnswerFrame frame;
    std::shared_ptr<Outlet> outlet;
    /// Renders the 500 of an exchange that nobody answers.
    std::shared_ptr<const ServerOptions> options;
    std::atomic<Phase> phase = Phase::open;

    bool advance(Phase from, Phase to) { return phase.compare_exchange_strong(from, to); }
    bool raw_body() const { return frame.http_1_0; }
    bool push_chunk(Piece piece);
};

Response render_error(const ServerOptions& options, int status, std::string message);

} // namespace cloudlet::net
