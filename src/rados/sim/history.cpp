#include "sim/history.h"

#include <cstring>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace cloudlet::rados::sim {

namespace {

std::string quote(const SharedBytes& data) {
    return sim::quote(data ? std::string_view(*data) : std::string_view());
}

std::string quote(const Attributes& values) {
    std::vector<std::string> parts;
    for (const auto& [key, value] : values)
        parts.push_back(fmt::format("{}={}", key, sim::quote(value)));
    return fmt::format("{{{}}}", fmt::join(parts, ", "));
}

struct Words {
    std::string operator()(const op::AssertExists&) { return "assert exists"; }
    std::string operator()(const op::AssertVersion& o) {
        return fmt::format("assert v{}", o.user_version);
    }
    std::string operator()(const op::CompareXattr& o) {
        return fmt::format("cmpxattr {}={}", o.name, sim::quote(o.value));
    }
    std::string operator()(const op::CompareData& o) {
        return fmt::format("cmpext {}~{} {}", o.offset, o.data.size(), sim::quote(o.data));
    }
    std::string operator()(const op::Read& o) {
        return fmt::format("read {}~{}", o.offset, o.length);
    }
    std::string operator()(const op::Stat&) { return "stat"; }
    std::string operator()(const op::GetXattr& o) { return "getxattr " + o.name; }
    std::string operator()(const op::GetXattrs&) { return "getxattrs"; }
    std::string operator()(const op::GetOmap& o) {
        return fmt::format("omap after '{}' {}", o.after, o.limit);
    }
    std::string operator()(const op::GetOmapValues& o) {
        return fmt::format("omap keys {}", fmt::join(o.keys, ","));
    }
    std::string operator()(const op::Create& o) {
        return o.exclusive ? "create exclusive" : "create";
    }
    std::string operator()(const op::WriteFull& o) { return "write_full " + quote(o.data); }
    std::string operator()(const op::Write& o) {
        return fmt::format("write {}~{} {}", o.offset, o.data ? o.data->size() : 0, quote(o.data));
    }
    std::string operator()(const op::Append& o) { return "append " + quote(o.data); }
    std::string operator()(const op::Zero& o) {
        return fmt::format("zero {}~{}", o.offset, o.length);
    }
    std::string operator()(const op::Truncate& o) { return fmt::format("truncate {}", o.size); }
    std::string operator()(const op::Remove&) { return "remove"; }
    std::string operator()(const op::SetXattr& o) {
        return fmt::format("setxattr {}={}", o.name, sim::quote(o.value));
    }
    std::string operator()(const op::RemoveXattr& o) { return "rmxattr " + o.name; }
    std::string operator()(const op::SetOmap& o) { return "omap set " + quote(o.values); }
    std::string operator()(const op::RemoveOmapKeys& o) {
        return fmt::format("omap rm {}", fmt::join(o.keys, ","));
    }
    std::string operator()(const op::ClearOmap&) { return "omap clear"; }
};

std::string describe(const message::ClientReply& reply) {
    if (reply.result < 0) {
        const char* name = strerrorname_np(-reply.result);
        return name ? fmt::format("-{}", name) : fmt::format("{}", reply.result);
    }
    std::string text = fmt::format("0 v{}", reply.user_version);
    for (const OpResult& result : reply.results) {
        if (result.result < 0) text += fmt::format(" {}", result.result);
        if (!result.data.empty()) text += " " + sim::quote(result.data);
        if (!result.values.empty()) text += " " + quote(result.values);
        if (result.size > 0) text += fmt::format(" size {}", result.size);
    }
    return text;
}

double seconds(MonotonicTime time) {
    return std::chrono::duration<double>(time.time_since_epoch()).count();
}

} // namespace

size_t History::called(int32_t client, uint64_t number, std::string object, ObjectOps ops,
                       MonotonicTime when) {
    objects_[object].push_back(calls_.size());
    calls_.push_back({.client = client,
                      .number = number,
                      .object = std::move(object),
                      .ops = std::move(ops),
                      .called = when,
                      .begun = events_++});
    return calls_.size() - 1;
}

void History::returned(size_t call, message::ClientReply reply, MonotonicTime when) {
    Call& known = calls_.at(call);
    if (++known.answers > 1) return;
    known.returned = when;
    known.ended = events_++;
    known.reply = std::move(reply);
}

std::string quote(std::string_view bytes) {
    constexpr size_t shown = 12;
    std::string text = "'";
    for (char c : bytes.substr(0, shown)) {
        const bool printable = c > ' ' && c < '\x7f';
        text += printable ? std::string(1, c) : fmt::format("\\x{:02x}", static_cast<uint8_t>(c));
    }
    text += "'";
    return bytes.size() > shown ? fmt::format("{}... {} bytes", text, bytes.size()) : text;
}

std::string describe(const ObjectOps& ops) {
    std::vector<std::string> parts;
    for (const ObjectOp& op : ops) parts.push_back(std::visit(Words(), op));
    return fmt::format("{}", fmt::join(parts, ", "));
}

std::string describe(const Call& call) {
    const std::string what =
        fmt::format("client.{}:{} {}", call.client, call.number, describe(call.ops));
    if (!call.has_ended()) return fmt::format("{:.3f} s..never {}", seconds(call.called), what);
    return fmt::format("{:.3f} s..{:.3f} s {} -> {}", seconds(call.called), seconds(call.returned),
                       what, describe(call.reply));
}

} // namespace cloudlet::rados::sim
