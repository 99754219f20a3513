#include "sim/object_model.h"

#include <algorithm>
#include <cerrno>
#include <functional>

#include <fmt/format.h>

#include "sim/history.h"

namespace cloudlet::rados::sim {

namespace {

const Attributes no_attributes;

std::string_view bytes_of(const SharedBytes& data) {
    return data ? std::string_view(*data) : std::string_view();
}
const Attributes& values_of(const std::shared_ptr<const Attributes>& values) {
    return values ? *values : no_attributes;
}

uint64_t mix(uint64_t hash, uint64_t value) {
    hash = (hash ^ value) * 0x9e3779b97f4a7c15u;
    return hash ^ (hash >> 29);
}
uint64_t mix(uint64_t hash, std::string_view text) {
    return mix(hash, std::hash<std::string_view>()(text));
}
uint64_t mix(uint64_t hash, const Attributes& values) {
    for (const auto& [key, value] : values) hash = mix(mix(hash, key), value);
    return mix(hash, values.size());
}

/// A list on its way, operation by operation. Each gives 0 or a negative errno, and compares what
/// it reads with what the reply says, if there is one.
class Run {
public:
    Run(const ObjectState& before, const ObjectOps& ops, const message::ClientReply* reply)
        : before_(before), now_(before), ops_(ops), reply_(reply) {
        reads_ = static_cast<size_t>(
            std::count_if(ops.begin(), ops.end(), [](const ObjectOp& o) { return is_read(o); }));
    }

    Outcome go() {
        int32_t result = 0;
        for (const ObjectOp& op : ops_) {
            result = std::visit(*this, op);
            if (result < 0) break;
            ++at_;
            if (is_read(op)) ++reads_done_;
        }
        return reply_ ? judge(result) : imagine(result);
    }

    int32_t operator()(const op::AssertExists&) { return before_.present ? 0 : -ENOENT; }
    int32_t operator()(const op::AssertVersion& o) {
        const uint64_t wanted = o.user_version;
        if (!before_.present) {
            may_be_enoent_ = true;
            return wanted == 0 ? 0 : -ERANGE;
        }
        if (wanted < before_.version) return -EOVERFLOW;
        if (before_.exact) return wanted == before_.version ? 0 : -ERANGE;
        if (reply_ && reply_->result == -EOVERFLOW) return learn(wanted + 1, false), -EOVERFLOW;
        if (reply_ && reply_->result == -ERANGE && wanted > before_.version) return -ERANGE;
        learn(wanted, true);
        return 0;
    }
    int32_t operator()(const op::CompareXattr& o) {
        may_be_enoent_ |= !before_.present;
        const Attributes& has = values_of(before_.xattrs);
        auto found = has.find(o.name);
        return (found == has.end() ? std::string_view() : found->second) == o.value ? 0
                                                                                    : -ECANCELED;
    }
    int32_t operator()(const op::CompareData& o) {
        may_be_enoent_ |= !before_.present;
        std::string has(part(o.offset, o.data.size()));
        has.resize(o.data.size());
        return has == o.data ? 0 : -EILSEQ;
    }

    int32_t operator()(const op::Read& o) {
        if (!before_.present) return -ENOENT;
        const uint64_t length = o.length == 0 ? StoreLimits::object_bytes : o.length;
        expect([&](const OpResult& told) { return told.data == part(o.offset, length); });
        return 0;
    }
    int32_t operator()(const op::Stat&) {
        if (!before_.present) return -ENOENT;
        expect([&](const OpResult& told) { return told.size == bytes_of(before_.data).size(); });
        return 0;
    }
    int32_t operator()(const op::GetXattr& o) {
        if (!before_.present) return -ENOENT;
        const Attributes& has = values_of(before_.xattrs);
        auto found = has.find(o.name);
        if (found == has.end()) return -ENODATA;
        expect([&](const OpResult& told) { return told.data == found->second; });
        return 0;
    }
    int32_t operator()(const op::GetXattrs&) {
        if (!before_.present) return -ENOENT;
        expect([&](const OpResult& told) { return told.values == values_of(before_.xattrs); });
        return 0;
    }
    int32_t operator()(const op::GetOmap& o) {
        if (!before_.present) return -ENOENT;
        const Attributes& has = values_of(before_.omap);
        expect([&](const OpResult& told) {
            auto entry = has.upper_bound(o.after);
            if (o.after.empty()) entry = has.begin();
            for (const auto& item : told.values)
                if (entry == has.end() || item != *entry++) return false;
            const bool more = entry != has.end();
            return told.more == more && (!more || told.values.size() == o.limit);
        });
        return 0;
    }
    int32_t operator()(const op::GetOmapValues& o) {
        if (!before_.present) return -ENOENT;
        expect([&](const OpResult& told) {
            Attributes right;
            for (const std::string& key : o.keys)
                if (auto found = values_of(before_.omap).find(key);
                    found != values_of(before_.omap).end())
                    right.insert(*found);
            return told.values == right;
        });
        return 0;
    }

    int32_t operator()(const op::Create& o) {
        if (o.exclusive && now_.present) return -EEXIST;
        make();
        return 0;
    }
    int32_t operator()(const op::WriteFull& o) {
        make();
        now_.data = o.data;
        return 0;
    }
    int32_t operator()(const op::Write& o) { return put(o.offset, bytes_of(o.data)); }
    int32_t operator()(const op::Append& o) {
        return put(bytes_of(now_.data).size(), bytes_of(o.data));
    }
    int32_t operator()(const op::Zero& o) {
        if (!now_.present) return 0;
        make();
        // What reaches the end cuts it, and what lies beyond is not there (PrimaryLogPG,
        // do_osd_ops).
        const uint64_t size = bytes_of(now_.data).size();
        if (o.offset >= size || o.length == 0) return 0;
        if (o.length >= size - o.offset) return (*this)(op::Truncate{o.offset});
        return put(o.offset, std::string(o.length, '\0'));
    }
    int32_t operator()(const op::Truncate& o) {
        if (!now_.present) return 0;
        if (o.size > StoreLimits::object_bytes) return -EFBIG;
        make();
        std::string data(bytes_of(now_.data));
        data.resize(o.size);
        now_.data = share(std::move(data));
        return 0;
    }
    int32_t operator()(const op::Remove&) {
        if (!now_.present) return -ENOENT;
        now_ = {.version = now_.version, .exact = now_.exact};
        changed_ = true;
        return 0;
    }
    int32_t operator()(const op::SetXattr& o) {
        make();
        edit(now_.xattrs, [&](Attributes& has) { has[o.name] = o.value; });
        return 0;
    }
    int32_t operator()(const op::RemoveXattr& o) {
        may_be_enoent_ |= !now_.present;
        if (!now_.present) return 0;
        changed_ = true;
        edit(now_.xattrs, [&](Attributes& has) { has.erase(o.name); });
        return 0;
    }
    int32_t operator()(const op::SetOmap& o) {
        make();
        edit(now_.omap, [&](Attributes& has) {
            for (const auto& [key, value] : o.values) has[key] = value;
        });
        return 0;
    }
    int32_t operator()(const op::RemoveOmapKeys& o) {
        if (!now_.present) return -ENOENT;
        changed_ = true;
        edit(now_.omap, [&](Attributes& has) {
            for (const std::string& key : o.keys) has.erase(key);
        });
        return 0;
    }
    int32_t operator()(const op::ClearOmap&) {
        if (!now_.present) return -ENOENT;
        changed_ = true;
        now_.omap.reset();
        return 0;
    }

private:
    static bool is_read(const ObjectOp& op) {
        return std::visit(
            []<typename Op>(const Op&) {
                return std::is_same_v<Op, op::Read> || std::is_same_v<Op, op::Stat> ||
                       std::is_same_v<Op, op::GetXattr> || std::is_same_v<Op, op::GetXattrs> ||
                       std::is_same_v<Op, op::GetOmap> || std::is_same_v<Op, op::GetOmapValues>;
            },
            op);
    }

    std::string_view part(uint64_t offset, uint64_t length) const {
        auto has = bytes_of(before_.data);
        return offset >= has.size() ? std::string_view() : has.substr(offset, length);
    }

    /// What a read was told. A list that changes, too, may come without: its first answer was lost.
    template <typename Right>
    void expect(Right right) {
        if (!reply_ || reply_->result < 0) return;
        const auto& told = reply_->results;
        if (told.empty() && changes(ops_)) return;
        if (told.size() == ops_.size())
            right_ &= right(told[at_]) && told[at_].result >= 0;
        else if (told.size() == reads_)
            right_ &= right(told[reads_done_]) && told[reads_done_].result >= 0;
        else
            right_ = false;
    }

    void make() { now_.present = changed_ = true; }
    int32_t put(uint64_t offset, std::string_view bytes) {
        constexpr uint64_t most = StoreLimits::object_bytes;
        if (offset > most || bytes.size() > most - offset) return -EFBIG;
        make();
        if (bytes.empty()) return 0;
        std::string data(bytes_of(now_.data));
        data.resize(std::max<size_t>(data.size(), offset + bytes.size()));
        bytes.copy(data.data() + offset, bytes.size());
        now_.data = share(std::move(data));
        return 0;
    }
    template <typename Edit>
    static void edit(std::shared_ptr<const Attributes>& values, Edit change) {
        auto changed = std::make_shared<Attributes>(values_of(values));
        change(*changed);
        values = std::move(changed);
    }
    void learn(uint64_t version, bool exact) {
        now_.version = version;
        now_.exact = exact;
        learnt_ = true;
    }

    /// The object of before, with what is known of its version now.
    Outcome unchanged() const {
        if (!learnt_) return {};
        Outcome outcome{Outcome::Effect::learnt, before_};
        outcome.state.version = now_.version;
        outcome.state.exact = now_.exact;
        return outcome;
    }

    Outcome judge(int32_t result) {
        constexpr Outcome::Effect wrong = Outcome::Effect::wrong;
        if (result != reply_->result)
            return {may_be_enoent_ && reply_->result == -ENOENT ? Outcome::Effect::none : wrong,
                    {}};
        if (result < 0) return unchanged();
        if (!right_) return {wrong, {}};
        const uint64_t told = reply_->user_version;
        if (changed_) {
            if (told <= now_.version) return {wrong, {}};
            now_.version = told;
            now_.exact = true;
            return {Outcome::Effect::changed, std::move(now_)};
        }
        if (!before_.present) return {};
        if (told < now_.version || (now_.exact && told != now_.version)) return {wrong, {}};
        if (!now_.exact) learn(told, true);
        return unchanged();
    }

    Outcome imagine(int32_t result) {
        if (result < 0 || !changed_) return {};
        ++now_.version;
        now_.exact = false;
        return {Outcome::Effect::changed, std::move(now_)};
    }

    const ObjectState& before_;
    ObjectState now_;
    const ObjectOps& ops_;
    const message::ClientReply* reply_;
    size_t at_ = 0, reads_ = 0, reads_done_ = 0;
    bool changed_ = false, learnt_ = false, right_ = true, may_be_enoent_ = false;
};

std::string to_text(const Attributes& values) {
    std::string text;
    for (const auto& [key, value] : values)
        text += fmt::format("{}{}={}", text.empty() ? "" : ", ", key, quote(value));
    return text;
}

} // namespace

uint64_t ObjectState::hash() const {
    uint64_t hash = mix(mix(0, version), uint64_t{present} * 2 + uint64_t{exact});
    if (!present) return hash;
    return mix(mix(mix(hash, bytes_of(data)), values_of(xattrs)), values_of(omap));
}

bool ObjectState::holds(const ObjectContent& content) const {
    if (present != content.present) return false;
    return !present || (bytes_of(data) == content.data && values_of(xattrs) == content.xattrs &&
                        values_of(omap) == content.omap);
}

std::string ObjectState::to_string() const {
    const std::string known = fmt::format("{}v{}", exact ? "" : "at least ", version);
    if (!present) return version == 0 ? "missing" : known + " removed";
    return fmt::format("{} {} xattrs {{{}}} omap {{{}}}", known, quote(bytes_of(data)),
                       to_text(values_of(xattrs)), to_text(values_of(omap)));
}

Outcome carry_out(const ObjectState& before, const ObjectOps& ops,
                  const message::ClientReply& reply) {
    return Run(before, ops, &reply).go();
}

Outcome carry_out(const ObjectState& before, const ObjectOps& ops) {
    return Run(before, ops, nullptr).go();
}

} // namespace cloudlet::rados::sim
