#pragma once
// One change as its watchers see it: each representation is encoded once and shared by all.

#include <map>
#include <string>
#include <tuple>

#include "cache.h"
#include "cloudlet/api/client.h"
#include "cloudlet/api/table.h"
#include "negotiation.h"

namespace cloudlet::kube::server {

using EventType = api::WatchEvent::Type;
std::string_view name_of(EventType type); // "ADDED"

/// How one watcher wants its events written.
struct EventStyle {
    Representation representation;
    api::IncludeObject include = api::IncludeObject::metadata;
};

/// An event line: `{"type":"ADDED","object":...}` and a newline.
std::string encode_event(EventType type, std::string_view object);
/// The text of `object` in a style; `with_columns` for the first Table of a watch.
std::string encode_object(const api::Kind& kind, const EventStyle& style, std::string_view json,
                          WallTime now, bool with_columns);
/// A BOOKMARK's line; `initial_end` marks the end of a watch's initial events.
enum class BookmarkKind { progress, initial_events_end };
std::string encode_bookmark(const api::Kind& kind, const EventStyle& style, int64_t revision,
                            BookmarkKind which);
std::string encode_error_event(const Failure& failure);

/// The encodings of one change while it is handed round. Loop thread.
class ChangeEncoder {
public:
    ChangeEncoder(const api::Kind& kind, const Change& change, WallTime now)
        : kind_(kind), change_(change), now_(now) {}
    const Change& change() const { return change_; }
    /// For EventType::deleted the last state, at the revision of the change.
    SharedBytes line(EventType type, const EventStyle& style, bool with_columns);
    api::Object object(EventType type);

private:
    const std::string& shown(EventType type);

    const api::Kind& kind_;
    const Change& change_;
    const WallTime now_;
    std::string last_state_;
    api::Object current_, removed_;
    using Key = std::tuple<EventType, Representation::Form, std::string, api::IncludeObject, bool>;
    std::map<Key, SharedBytes> lines_;
};

} // namespace cloudlet::kube::server
