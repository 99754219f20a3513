#pragma once
// Health probes that cost no thread: one GET or one connect on an event loop, with a deadline.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "cloudlet/base/clock.h"
#include "cloudlet/base/result.h"
#include "cloudlet/io/event_loop.h"
#include "cloudlet/net/http_message.h"

namespace cloudlet::net {

struct ProbeTarget {
    std::string address = {}; // numeric
    uint16_t port = 0;
    std::string path = "/";
    Headers headers = {}; // Host and User-Agent are set when they are not here
    bool https = false;   // the certificate is not checked, as the kubelet does
};

/// Cancels the probe when it is destroyed; the callback then never runs.
class ProbeHandle {
public:
    virtual ~ProbeHandle() = default;
};

/// The callback gets the status of the answer (redirects are not followed), once, on the loop's
/// thread, never from within this call. Errors: timeout, unavailable (refused), invalid. Loop
/// thread.
std::unique_ptr<ProbeHandle> async_get(io::EventLoop& loop, ProbeTarget target, Duration deadline,
                                       std::function<void(Result<int>)> callback);
/// Success as soon as the connection is there. Loop thread.
std::unique_ptr<ProbeHandle> async_connect(io::EventLoop& loop, const std::string& address,
                                           uint16_t port, Duration deadline,
                                           std::function<void(Result<>)> callback);

} // namespace cloudlet::net
