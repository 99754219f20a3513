#pragma once
// What happened in a simulated cluster, for people: who said or did what, and when. It listens only
// when asked to, for sentences cost more than the events that they tell of: a seed that failed is
// run again with a listener. One thread.

#include <cstdint>
#include <cstdio>
#include <deque>
#include <optional>
#include <string>

#include "cloudlet/base/clock.h"
#include "cloudlet/rados/entity.h"
#include "cloudlet/rados/message.h"

namespace cloudlet::rados::sim {

class Story {
public:
    enum class Mode : uint8_t {
        deaf,
        keep,  // the last `kept` lines
        print, // every line at once, to stderr
    };
    explicit Story(Mode mode = Mode::deaf) : mode_(mode) {}

    bool listening() const { return mode_ != Mode::deaf; }
    /// "  12.034 osd.3 1.2f: get_info -> get_log (acting_agreed)"
    void tell(MonotonicTime now, const Entity& who, const std::string& sentence);
    /// What concerns the whole cluster: a fault, an operator, a phase.
    void announce(MonotonicTime now, const std::string& sentence);
    void tell_message(MonotonicTime now, const Entity& from, const Entity& to,
                      const Message& message);
    /// The last `most` lines that name `what` (a PG, an object) or concern the whole cluster; of
    /// all lines when it is empty.
    std::string last(size_t most, const std::string& what) const;

    static constexpr size_t kept = 50000; // lines

private:
    struct Line {
        std::string text;
        bool of_all = false;
    };
    void add(Line line);

    Mode mode_;
    std::deque<Line> lines_;
};

/// A message in a few words: "Replicate 1.2f 5'12 obj3".
std::string describe(const Message& message);

} // namespace cloudlet::rados::sim
