#pragma once
// What clients of a simulation asked and were told, in the order in which it happened. Plain data;
// one thread.

#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "cloudlet/base/clock.h"
#include "cloudlet/rados/message.h"
#include "cloudlet/rados/object_op.h"

namespace cloudlet::rados::sim {

inline constexpr uint64_t never = std::numeric_limits<uint64_t>::max();

/// A request to one object. `begun` and `ended` count what the history was told, which orders what
/// happens in the same instant, too.
struct Call {
    int32_t client = 0;
    uint64_t number = 0; // the client's
    std::string object = {};
    ObjectOps ops = {};
    MonotonicTime called = {}, returned = {};
    uint64_t begun = 0, ended = never;
    message::ClientReply reply = {}; // once ended
    size_t answers = 0;
    bool has_ended() const { return ended != never; }
};

class History {
public:
    /// The call's place, for returned().
    size_t called(int32_t client, uint64_t number, std::string object, ObjectOps ops,
                  MonotonicTime when);
    /// A second answer to the same call is counted, and else ignored.
    void returned(size_t call, message::ClientReply reply, MonotonicTime when);

    const std::vector<Call>& calls() const { return calls_; }
    /// The calls to each object, in the order in which they began.
    const std::map<std::string, std::vector<size_t>>& objects() const { return objects_; }

private:
    std::vector<Call> calls_;
    std::map<std::string, std::vector<size_t>> objects_;
    uint64_t events_ = 0;
};

/// "write 0~4 'ab12', setxattr k='v'".
std::string describe(const ObjectOps& ops);
/// "12.034 s..12.101 s client.2:17 write 0~4 'ab12' -> 0 v5"; "..never" without an answer.
std::string describe(const Call& call);
/// Short and printable: "'ab12'", "'abcdefgh'... 5000 bytes".
std::string quote(std::string_view bytes);

} // namespace cloudlet::rados::sim
