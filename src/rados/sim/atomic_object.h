#pragma once
// An object that carries lists out one after the other and answers rightly: what a cluster should
// look like. For tests of the check, written apart from its model.

#include <cerrno>
#include <string>

#include "cloudlet/rados/message.h"
#include "sim/object_model.h"

namespace cloudlet::rados::sim {

class AtomicObject {
public:
    /// `next_version` is that of a change; objects may share a counter, as those of a PG do.
    message::ClientReply carry_out(const ObjectOps& ops, uint64_t next_version) {
        const ObjectContent before = content_;
        message::ClientReply reply;
        for (const ObjectOp& op : ops) {
            OpResult result;
            reply.result = std::visit([&](const auto& o) { return does(o, before, result); }, op);
            if (reply.result < 0) {
                content_ = before;
                reply.results.clear();
                return reply;
            }
            reply.results.push_back(std::move(result));
        }
        const bool is_change = changes(ops) && (before.present || content_.present);
        if (is_change) version_ = next_version;
        reply.user_version = content_.present || is_change ? version_ : 0;
        if (changes(ops) && !reads_something(ops)) reply.results.clear();
        return reply;
    }
    const ObjectContent& content() const { return content_; }

private:
    static bool reads_something(const ObjectOps& ops) {
        for (const ObjectOp& op : ops)
            if (std::holds_alternative<op::Read>(op)) return true;
        return false;
    }
    template <typename Op>
    int32_t does(const Op& o, const ObjectContent& before, OpResult& result) {
        if constexpr (requires { guard(o, before); })
            return guard(o, before);
        else if constexpr (requires { read(o, before, result); })
            return before.present ? read(o, before, result) : -ENOENT;
        else
            return change(o);
    }

    int32_t guard(const op::AssertExists&, const ObjectContent& is) {
        return is.present ? 0 : -ENOENT;
    }
    int32_t guard(const op::AssertVersion& o, const ObjectContent& is) {
        const uint64_t has = is.present ? version_ : 0;
        return has == o.user_version ? 0 : has < o.user_version ? -ERANGE : -EOVERFLOW;
    }
    int32_t guard(const op::CompareXattr& o, const ObjectContent& is) {
        return (is.xattrs.contains(o.name) ? is.xattrs.at(o.name) : "") == o.value ? 0 : -ECANCELED;
    }
    int32_t guard(const op::CompareData& o, const ObjectContent& is) {
        std::string has = o.offset < is.data.size() ? is.data.substr(o.offset, o.data.size()) : "";
        has.resize(o.data.size(), '\0');
        return has == o.data ? 0 : -EILSEQ;
    }

    int32_t read(const op::Read& o, const ObjectContent& is, OpResult& result) {
        if (o.offset < is.data.size())
            result.data = is.data.substr(o.offset, o.length ? o.length : std::string::npos);
        return 0;
    }
    int32_t read(const op::Stat&, const ObjectContent& is, OpResult& result) {
        result.size = is.data.size();
        return 0;
    }
    int32_t read(const op::GetXattr& o, const ObjectContent& is, OpResult& result) {
        if (!is.xattrs.contains(o.name)) return -ENODATA;
        result.data = is.xattrs.at(o.name);
        return 0;
    }
    int32_t read(const op::GetXattrs&, const ObjectContent& is, OpResult& result) {
        result.values = is.xattrs;
        return 0;
    }
    int32_t read(const op::GetOmap& o, const ObjectContent& is, OpResult& result) {
        for (const auto& [key, value] : is.omap) {
            if (key <= o.after) continue;
            result.more = result.values.size() == o.limit;
            if (result.more) break;
            result.values[key] = value;
        }
        return 0;
    }
    int32_t read(const op::GetOmapValues& o, const ObjectContent& is, OpResult& result) {
        for (const auto& key : o.keys)
            if (is.omap.contains(key)) result.values[key] = is.omap.at(key);
        return 0;
    }

    int32_t change(const op::Create& o) {
        if (o.exclusive && content_.present) return -EEXIST;
        content_.present = true;
        return 0;
    }
    int32_t change(const op::WriteFull& o) {
        content_.present = true;
        content_.data = *o.data;
        return 0;
    }
    int32_t change(const op::Write& o) {
        content_.present = true;
        const uint64_t end = o.offset + o.data->size();
        if (content_.data.size() < end) content_.data.resize(end, '\0');
        content_.data.replace(o.offset, o.data->size(), *o.data);
        return 0;
    }
    int32_t change(const op::Append& o) { return change(op::Write{content_.data.size(), o.data}); }
    int32_t change(const op::Zero& o) {
        if (!content_.present) return 0;
        const uint64_t size = content_.data.size();
        if (o.offset >= size) return 0;
        if (o.length >= size - o.offset) return change(op::Truncate{o.offset});
        return change(op::Write{o.offset, share(std::string(o.length, '\0'))});
    }
    int32_t change(const op::Truncate& o) {
        if (content_.present) content_.data.resize(o.size, '\0');
        return 0;
    }
    int32_t change(const op::Remove&) {
        if (!content_.present) return -ENOENT;
        content_ = {};
        return 0;
    }
    int32_t change(const op::SetXattr& o) {
        content_.present = true;
        content_.xattrs[o.name] = o.value;
        return 0;
    }
    int32_t change(const op::RemoveXattr& o) {
        content_.xattrs.erase(o.name);
        return 0;
    }
    int32_t change(const op::SetOmap& o) {
        content_.present = true;
        for (const auto& [key, value] : o.values) content_.omap[key] = value;
        return 0;
    }
    int32_t change(const op::RemoveOmapKeys& o) {
        if (!content_.present) return -ENOENT;
        for (const auto& key : o.keys) content_.omap.erase(key);
        return 0;
    }
    int32_t change(const op::ClearOmap&) {
        if (!content_.present) return -ENOENT;
        content_.omap.clear();
        return 0;
    }

    ObjectContent content_;
    uint64_t version_ = 0;
};

} // namespace cloudlet::rados::sim
