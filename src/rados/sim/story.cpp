#include "sim/story.h"

#include <cctype>
#include <vector>

#include <fmt/format.h>

namespace cloudlet::rados::sim {

namespace {

std::string stamp(MonotonicTime now) {
    return fmt::format("{:10.4f}", std::chrono::duration<double>(now.time_since_epoch()).count());
}

/// What is worth knowing of a message beside its name and its PG.
struct Details {
    std::string operator()(const message::ClientOp& m) const {
        return fmt::format("{} {} {} {} ops", m.request.to_string(), m.pg.to_string(),
                           m.object.name, m.ops.size());
    }
    std::string operator()(const message::ClientReply& m) const {
        return fmt::format("{} result {} at {} user version {}", m.request.to_string(), m.result,
                           m.version.to_string(), m.user_version);
    }
    std::string operator()(const message::ScrubCommand& m) const {
        return fmt::format("{}{}{}", m.pg.to_string(), m.deep ? " deep" : "",
                           m.repair ? " repair" : "");
    }
    std::string operator()(const message::Replicate& m) const {
        return fmt::format("{} {} of {}{}", m.entry.version.to_string(), m.entry.object.name,
                           m.entry.request.to_string(), m.change ? "" : " without its change");
    }
    std::string operator()(const message::Replicated& m) const {
        return m.version.to_string() + (m.lacks_object ? " lacks the object" : "");
    }
    std::string operator()(const message::Pull& m) const { return of(m.object, m.version); }
    std::string operator()(const message::Push& m) const {
        return fmt::format("{}{}", of(m.object, m.version), m.content ? "" : " (none)");
    }
    std::string operator()(const message::Pushed& m) const {
        return fmt::format("{} result {}", of(m.object, m.version), m.result);
    }
    std::string operator()(const message::Notify& m) const { return of(m.info); }
    std::string operator()(const message::FullRecord& m) const {
        return fmt::format("{}, {} missing", of(m.info), m.missing.size());
    }
    std::string operator()(const message::Activate& m) const {
        return fmt::format("{}{}{}", of(m.info), m.backfill ? ", backfill" : "",
                           m.from_nothing ? " from nothing" : "");
    }
    std::string operator()(const message::Maps& m) const {
        if (m.steps.empty()) return m.full ? fmt::format("full {}", m.full->epoch) : "none";
        return fmt::format("{} to {}", m.steps.front()->epoch, m.steps.back()->epoch);
    }
    std::string operator()(const message::Failure& m) const {
        return fmt::format("osd.{}{}{}", m.target, m.withdrawn ? " withdrawn" : "",
                           m.gone ? " gone" : "");
    }
    std::string operator()(const message::CommandDone& m) const {
        return fmt::format("{} result {} {}", m.number, m.result, m.text);
    }
    std::string operator()(const message::Scanned& m) const {
        return fmt::format("{} objects", m.objects.size());
    }
    std::string operator()(const auto&) const { return {}; }

    static std::string of(const PgObject& object, const LogVersion& version) {
        return object.name + " " + version.to_string();
    }
    static std::string of(const PgInfo& info) {
        return fmt::format("{} to {}, started {}{}", info.log_tail.to_string(),
                           info.last_update.to_string(), info.last_epoch_started,
                           info.complete() ? "" : ", in backfill");
    }
};

/// As a word of its own: the PG 1.2 is not the second 11.25.
bool names(const std::string& line, const std::string& what) {
    if (what.empty()) return true;
    for (size_t at = line.find(what); at != std::string::npos; at = line.find(what, at + 1)) {
        const size_t end = at + what.size();
        if (at > 0 && std::isalnum(static_cast<unsigned char>(line[at - 1]))) continue;
        if (end == line.size() || !std::isalnum(static_cast<unsigned char>(line[end]))) return true;
    }
    return false;
}

} // namespace

std::string describe(const Message& message) {
    std::string words(name_of(message.body));
    if (auto pg = pg_of(message.body)) words += " " + pg->to_string();
    const std::string details = std::visit(Details{}, message.body);
    if (!details.empty()) words += " " + details;
    return words + fmt::format(" e{}", message.epoch);
}

void Story::tell(MonotonicTime now, const Entity& who, const std::string& sentence) {
    if (listening()) add({fmt::format("{} {} {}", stamp(now), who.to_string(), sentence), false});
}

void Story::announce(MonotonicTime now, const std::string& sentence) {
    if (listening()) add({fmt::format("{} ---- {}", stamp(now), sentence), true});
}

void Story::tell_message(MonotonicTime now, const Entity& from, const Entity& to,
                         const Message& message) {
    if (!listening() || std::holds_alternative<message::Ping>(message.body)) return;
    add({fmt::format("{} {} <- {} {}", stamp(now), to.to_string(), from.to_string(),
                     describe(message)),
         false});
}

std::string Story::last(size_t most, const std::string& what) const {
    std::vector<const std::string*> chosen;
    for (auto line = lines_.rbegin(); line != lines_.rend() && chosen.size() < most; ++line)
        if (line->of_all || names(line->text, what)) chosen.push_back(&line->text);
    std::string text;
    for (auto line = chosen.rbegin(); line != chosen.rend(); ++line) text += **line + "\n";
    return text;
}

void Story::add(Line line) {
    if (mode_ == Mode::print) {
        fmt::print(stderr, "{}\n", line.text);
        return;
    }
    lines_.push_back(std::move(line));
    if (lines_.size() > kept) lines_.pop_front();
}

} // namespace cloudlet::rados::sim
