#pragma once
// The command line's end of the control socket.

#include <string>

#include "cloudlet/base/clock.h"
#include "cloudlet/base/result.h"
#include "cloudlet/codec/json.h"
#include "cloudlet/net/http_client.h"
#include "settings.h"

namespace cloudlet::app {

/// Blocking; one request for each call.
class ControlClient {
public:
    explicit ControlClient(const Settings& settings) : settings_(settings) {}

    /// Error: unavailable when no daemon answers (with what to do); else what the daemon said.
    Result<codec::Json> get(const std::string& path) const { return send("GET", path, {}); }
    Result<codec::Json> post(const std::string& path, const codec::Json& body) const {
        return send("POST", path, body);
    }
    Result<codec::Json> remove(const std::string& path) const { return send("DELETE", path, {}); }
    /// The answer's text as it is.
    Result<std::string> text(const std::string& path) const;
    /// The answer as it comes, until it ends.
    Result<> stream(const std::string& path, const net::ClientConnection::OnChunk& on_chunk) const;

private:
    Result<codec::Json> send(const std::string& method, const std::string& path,
                             const codec::Json& body) const;
    net::ClientOptions options() const;

    const Settings& settings_;
};

} // namespace cloudlet::app
