#include "pg/execute_ops.h"

#include <algorithm>
#include <cerrno>

#include "cloudlet/rados/planted_bug.h"

namespace cloudlet::rados {

namespace {

constexpr size_t omap_page = 1024;

std::string user_xattr(const std::string& name) { return std::string(user_xattr_prefix) + name; }

uint64_t size_of(const SharedBytes& data) { return data ? data->size() : 0; }

/// One run of execute_ops(). Each operation gives 0 or a negative errno.
class Executor {
public:
    Executor(const ObjectPlace& place, const ObjectInfo& next, Execution& run)
        : place_(place), next_(next), run_(run) {}

    void run(const ObjectOps& ops) {
        const bool changing = changes(ops);
        look();
        for (const ObjectOp& o : ops) {
            if (run_.damaged) return;
            result_ = {};
            run_.result = std::visit([this](const auto& one) { return apply(one); }, o);
            result_.result = run_.result;
            if (!changing) run_.results.push_back(std::move(result_));
            if (run_.result < 0) break;
        }
        if (run_.result < 0 && !planted(PlantedBug::half_a_list)) {
            run_.change = {};
            run_.exists = run_.existed;
            return;
        }
        if (changing && run_.exists)
            add(change::SetXattrs{{{std::string(info_xattr), encode_object_info(next_)}}});
    }

private:
    void look() {
        auto info = read_object_info(place_);
        if (info) {
            auto stat = place_.store.stat(place_.collection, place_.id);
            if (stat) {
                run_.existed = run_.exists = true;
                run_.before = *info;
                size_ = old_size_ = stat->size;
                return;
            }
            run_.damaged = stat.error().code != Code::not_found;
            return;
        }
        if (info.error().code == Code::not_found) return;
        run_.damaged = !planted(PlantedBug::ignore_checksums);
    }

    void add(StoreChange change) {
        run_.change.add(place_.collection, place_.id, std::move(change));
    }

    /// The errno of a failed read; damage ends the run.
    int32_t failed(const Error& error, int32_t not_found) {
        if (error.code == Code::not_found) return not_found;
        if (planted(PlantedBug::ignore_checksums)) return 0;
        run_.damaged = true;
        return -EIO;
    }

    void make() {
        if (run_.exists) return;
        run_.exists = true;
        size_ = 0;
        add(change::Touch{});
    }

    // Guards

    int32_t apply(const op::AssertExists&) { return run_.existed ? 0 : -ENOENT; }
    int32_t apply(const op::AssertVersion& o) {
        if (!run_.existed) return -ENOENT;
        if (run_.before.user_version == o.user_version) return 0;
        return run_.before.user_version < o.user_version ? -ERANGE : -EOVERFLOW;
    }
    int32_t apply(const op::CompareXattr& o) {
        if (!run_.existed) return -ENOENT;
        auto value = place_.store.xattr(place_.collection, place_.id, user_xattr(o.name));
        if (!value && failed(value.error(), 0) < 0) return -EIO;
        return (value ? *value : std::string()) == o.value ? 0 : -ECANCELED;
    }
    int32_t apply(const op::CompareData& o) {
        if (!run_.existed) return -ENOENT;
        auto data = place_.store.read(place_.collection, place_.id, o.offset, o.data.size());
        if (!data) return failed(data.error(), -ENOENT);
        data->resize(o.data.size(), '\0');
        return *data == o.data ? 0 : -EILSEQ;
    }

    // Reads

    int32_t apply(const op::Read& o) {
        if (!run_.existed) return -ENOENT;
        const uint64_t rest = old_size_ - std::min(old_size_, o.offset);
        const uint64_t length = o.length ? std::min(o.length, rest) : rest;
        if (length == 0) return 0;
        auto data = place_.store.read(place_.collection, place_.id, o.offset, length);
        if (!data) return failed(data.error(), -ENOENT);
        result_.data = std::move(*data);
        return 0;
    }
    int32_t apply(const op::Stat&) {
        if (!run_.existed) return -ENOENT;
        result_.size = old_size_;
        result_.modified = run_.before.modified;
        return 0;
    }
    int32_t apply(const op::GetXattr& o) {
        if (!run_.existed) return -ENOENT;
        auto value = place_.store.xattr(place_.collection, place_.id, user_xattr(o.name));
        if (!value) return failed(value.error(), -ENODATA);
        result_.data = std::move(*value);
        return 0;
    }
    int32_t apply(const op::GetXattrs&) {
        if (!run_.existed) return -ENOENT;
        auto values = place_.store.xattrs(place_.collection, place_.id);
        if (!values) return failed(values.error(), -ENOENT);
        for (auto& [name, value] : *values)
            if (name != info_xattr)
                result_.values.emplace(name.substr(user_xattr_prefix.size()), std::move(value));
        return 0;
    }
    int32_t apply(const op::GetOmap& o) {
        if (!run_.existed) return -ENOENT;
        const std::string from = o.after.empty() ? std::string() : o.after + '\0';
        auto page = place_.store.omap(place_.collection, place_.id, from, "",
                                      std::min<uint64_t>(o.limit, StoreLimits::entries));
        if (!page) return failed(page.error(), -ENOENT);
        for (auto& entry : page->entries) result_.values.insert(std::move(entry));
        result_.more = page->more;
        return 0;
    }
    int32_t apply(const op::GetOmapValues& o) {
        if (!run_.existed) return -ENOENT;
        auto values = place_.store.omap_values(place_.collection, place_.id, o.keys);
        if (!values) return failed(values.error(), -ENOENT);
        result_.values = std::move(*values);
        return 0;
    }

    // Changes

    int32_t apply(const op::Create& o) {
        if (run_.exists) return o.exclusive ? -EEXIST : 0;
        make();
        return 0;
    }
    int32_t apply(const op::WriteFull& o) {
        if (size_of(o.data) > StoreLimits::object_bytes) return -EFBIG;
        make();
        if (size_ > size_of(o.data)) add(change::Truncate{0});
        size_ = size_of(o.data);
        if (size_ > 0) add(change::Write{0, o.data});
        return 0;
    }
    int32_t apply(const op::Write& o) { return write(o.offset, o.data); }
    int32_t apply(const op::Append& o) { return write(run_.exists ? size_ : 0, o.data); }
    int32_t apply(const op::Zero& o) {
        if (!run_.exists || o.offset >= size_ || o.length == 0) return 0;
        if (o.length >= size_ - o.offset) return truncate(o.offset);
        add(change::Zero{o.offset, o.length});
        return 0;
    }
    int32_t apply(const op::Truncate& o) {
        if (o.size > StoreLimits::object_bytes) return -EFBIG;
        return run_.exists ? truncate(o.size) : 0;
    }
    int32_t apply(const op::Remove&) {
        if (!run_.exists) return -ENOENT;
        run_.exists = false;
        add(change::Remove{});
        return 0;
    }
    int32_t apply(const op::SetXattr& o) {
        if (o.name.size() >= StoreLimits::name_bytes) return -ENAMETOOLONG;
        if (o.value.size() > StoreLimits::xattr_bytes) return -E2BIG;
        make();
        add(change::SetXattrs{{{user_xattr(o.name), o.value}}});
        return 0;
    }
    int32_t apply(const op::RemoveXattr& o) {
        if (!run_.exists) return -ENOENT;
        add(change::RemoveXattr{user_xattr(o.name)});
        return 0;
    }
    int32_t apply(const op::SetOmap& o) {
        for (const auto& [key, value] : o.values) {
            if (key.size() > StoreLimits::name_bytes) return -ENAMETOOLONG;
            if (value.size() > StoreLimits::omap_value_bytes) return -E2BIG;
        }
        make();
        if (!o.values.empty()) add(change::SetOmap{o.values});
        return 0;
    }
    int32_t apply(const op::RemoveOmapKeys& o) {
        if (!run_.exists) return -ENOENT;
        add(change::RemoveOmapKeys{o.keys});
        return 0;
    }
    int32_t apply(const op::ClearOmap&) {
        if (!run_.exists) return -ENOENT;
        add(change::ClearOmap{});
        return 0;
    }

    int32_t write(uint64_t offset, const SharedBytes& data) {
        const uint64_t length = size_of(data);
        if (offset > StoreLimits::object_bytes || length > StoreLimits::object_bytes - offset)
            return -EFBIG;
        make();
        if (length == 0) return 0;
        add(change::Write{offset, data});
        size_ = std::max(size_, offset + length);
        return 0;
    }
    int32_t truncate(uint64_t size) {
        add(change::Truncate{size});
        size_ = size;
        return 0;
    }

    const ObjectPlace& place_;
    const ObjectInfo& next_;
    Execution& run_;
    uint64_t size_ = 0, old_size_ = 0;
    OpResult result_;
};

} // namespace

Execution execute_ops(const ObjectPlace& place, const ObjectOps& ops, const ObjectInfo& next) {
    Execution run;
    Executor(place, next, run).run(ops);
    return run;
}

Result<ObjectInfo> read_object_info(const ObjectPlace& place) {
    auto bytes = place.store.xattr(place.collection, place.id, std::string(info_xattr));
    if (!bytes) return tl::unexpected<Error>(std::move(bytes.error()));
    auto info = decode_object_info(*bytes);
    if (!info) return fail(Code::io, info.error().message);
    return info;
}

Result<change::Replace> read_whole_object(const ObjectPlace& place) {
    auto stat = TRY(place.store.stat(place.collection, place.id));
    change::Replace whole;
    whole.data = share(TRY(place.store.read(place.collection, place.id, 0, stat.size)));
    whole.xattrs = TRY(place.store.xattrs(place.collection, place.id));
    std::string from;
    for (;;) {
        auto page = TRY(place.store.omap(place.collection, place.id, from, "", omap_page));
        for (auto& entry : page.entries) whole.omap.insert(std::move(entry));
        if (!page.more) return whole;
        from = whole.omap.rbegin()->first + '\0';
    }
}

} // namespace cloudlet::rados
