#pragma once
// Events: what `kubectl describe` shows below an object. Recording never blocks and never fails: a
// thread writes them behind, many repeats of one become one Event with a count, and what comes
// faster than it can be written is dropped.

#include <memory>
#include <string>
#include <string_view>

#include "cloudlet/api/client.h"
#include "cloudlet/base/clock.h"

namespace cloudlet::api {

/// Thread-safe. `client` and `clock` outlive it.
class EventRecorder {
public:
    enum class Type { normal, warning };

    /// `component` is who speaks ("default-scheduler"), `host` the node it runs on or empty.
    EventRecorder(Client& client, std::string component, std::string host = {},
                  const Clock& clock = system_clock());
    ~EventRecorder(); // stop()

    /// Notes something about an object (it needs kind, name, namespace and uid). `reason` is one
    /// CamelCase word; `field_path` names a part, as "spec.containers{web}".
    void record(const Object& about, Type type, std::string_view reason, std::string message,
                std::string_view field_path = {});
    /// Writes what waits, for a second at most, and ends the thread. Idempotent.
    void stop();

private:
    struct State;
    std::unique_ptr<State> state_;
};

} // namespace cloudlet::api
