#include "cloudlet/rados/osdmaptool.h"

#include <algorithm>
#include <chrono>
#include <filesystem>

#include <fmt/ranges.h>

#include "cloudlet/io/file.h"
#include "cloudlet/rados/crush_codec.h"
#include "cloudlet/rados/crush_edit.h"
#include "cloudlet/rados/diagnose.h"
#include "cloudlet/rados/osd_map_codec.h"
#include "cloudlet/rados/osd_map_create.h"
#include "tools/osd_map_text.h"
#include "tools/osdmaptool_options.h"
#include "tools/pg_report.h"

namespace cloudlet::rados {
namespace {

size_t at(int32_t osd) { return static_cast<size_t>(osd); }

Timestamp now() {
    auto since = std::chrono::system_clock::now().time_since_epoch();
    auto nanoseconds = std::chrono::duration_cast<std::chrono::nanoseconds>(since).count();
    return {static_cast<uint32_t>(nanoseconds / 1'000'000'000),
            static_cast<uint32_t>(nanoseconds % 1'000'000'000)};
}

/// One run of the command: the map and what was asked for, in the order in which Ceph does things.
class Run {
public:
    Run(const OsdmaptoolOptions& options, ToolOutput& out)
        : options_(options), out_(out), file_(options.files[0]) {}

    Result<void> carry_out() {
        if (options_.range_first >= 0 && options_.range_last >= 0) return read_range();
        out_.error("osdmaptool: osdmap file '{}'\n", file_);
        TRY(open());
        opened_ = true;
        mark();
        TRY(adjust_weights());
        forget_temporaries();
        TRY(even_out());
        TRY(exchange_crush());
        TRY(test());
        TRY(require_an_action());
        if (modified_ && !options_.create_simple) ++map_.epoch; // what is written is a new map
        show();
        return save();
    }

    /// What a failed run exits with: a map that cannot be had is told apart from the rest.
    int failure_status() const { return opened_ ? 1 : 255; }

private:
    /// All that Ceph does with a range: it reads the maps that a cluster's monitor stored by epoch.
    Result<void> read_range() {
        opened_ = true;
        for (int64_t epoch = options_.range_first; epoch <= options_.range_last; ++epoch) {
            std::string path = fmt::format("{}/{}", file_, epoch);
            auto bytes = TRY(with_context(io::read_file(path), "unable to read " + path));
            out_.print("{} got {} bytes\n", path, bytes.size());
            TRY(with_context(decode_osd_map(bytes), path));
        }
        return {};
    }

    Result<void> open() {
        bool create = options_.create_simple.has_value();
        if (create && !options_.clobber && std::filesystem::exists(file_))
            return fail(Code::already_exists,
                        fmt::format("osdmaptool: {} exists, --clobber to overwrite", file_));
        if (!create) {
            auto bytes = io::read_file(file_);
            if (!bytes)
                return fail(bytes.error().code, fmt::format("osdmaptool: couldn't open {}: {}",
                                                            file_, bytes.error().to_string()));
            auto map = decode_osd_map(*bytes);
            if (!map)
                return fail(Code::invalid, fmt::format("osdmaptool: error decoding osdmap '{}': {}",
                                                       file_, map.error().to_string()));
            map_ = std::move(*map);
            map_.flags = map_.effective_flags();
            count_devices();
            return {};
        }
        opened_ = true; // from here on it is the request that is wrong, not the file
        auto map = create_simple_map({.osds = *options_.create_simple,
                                      .with_default_pool = options_.with_default_pool,
                                      .pg_bits = options_.pg_bits,
                                      .pgp_bits = options_.pgp_bits,
                                      .now = now()});
        if (!map)
            return fail(map.error().code, fmt::format("osdmaptool: {}", map.error().to_string()));
        map_ = std::move(*map);
        modified_ = acted_ = true;
        return {};
    }

    /// What is written holds as many devices as the buckets name, whatever the file said.
    void count_devices() {
        int32_t count = 0;
        for (const auto& bucket : map_.crush->buckets)
            if (bucket)
                for (int32_t item : bucket->items) count = std::max(count, item + 1);
        if (count == map_.crush->max_devices) return;
        CrushMap crush = *map_.crush;
        crush.max_devices = count;
        map_.set_crush(std::move(crush));
    }

    /// A device that is to get data needs a weight.
    void give_weight(int32_t osd) {
        bool weightless = std::any_of(map_.crush->buckets.begin(), map_.crush->buckets.end(),
                                      [&](const auto& bucket) {
                                          auto place = bucket ? bucket->find(osd) : std::nullopt;
                                          return place && bucket->item_weight(*place) == 0;
                                      });
        if (!weightless) return;
        CrushMap crush = *map_.crush;
        if (reweight_item(crush, osd, crush_weight_one)) map_.set_crush(std::move(crush));
    }

    void mark() {
        if (options_.mark_up_in) {
            out_.write("marking all OSDs up and in\n");
            for (int32_t osd = 0; osd < map_.max_osd(); ++osd) {
                map_.osd_state[at(osd)] |= osd_exists | osd_up;
                map_.osd_weight[at(osd)] = crush_weight_one;
                give_weight(osd);
            }
        }
        if (auto osd = markable(options_.mark_out)) {
            out_.print("marking OSD@{} as out\n", *osd);
            map_.osd_state[at(*osd)] |= osd_up;
            map_.osd_weight[at(*osd)] = 0;
        }
        if (auto osd = markable(options_.mark_up)) {
            out_.print("marking OSD@{} as up\n", *osd);
            map_.osd_state[at(*osd)] |= osd_up;
        }
        if (auto osd = markable(options_.mark_in)) {
            out_.print("marking OSD@{} as up\n", *osd); // as Ceph says it
            map_.osd_state[at(*osd)] |= osd_exists;
            map_.osd_weight[at(*osd)] = crush_weight_one;
        }
    }

    std::optional<int32_t> markable(std::optional<int32_t> osd) {
        if (!osd || map_.has_osd(*osd)) return osd;
        out_.error("osdmaptool: there is no osd.{} in the map (max_osd is {}); nothing is marked\n",
                   *osd, map_.max_osd());
        return std::nullopt;
    }

    Result<void> adjust_weights() {
        for (const auto& [osd, weight] : options_.crush_weights) {
            CrushMap crush = *map_.crush;
            auto changed = reweight_item(crush, osd, crush_weight_of(weight));
            if (!changed) out_.error("osdmaptool: {}\n", changed.error().to_string());
            map_.set_crush(std::move(crush));
            if (options_.save) TRY(next_epoch({}));
            out_.print("Adjusted osd.{} CRUSH weight to {:g}\n", osd, weight);
        }
        return {};
    }

    void forget_temporaries() {
        if (options_.clear_temp) {
            out_.write("clearing pg/primary temp\n");
            map_.pg_temp.clear();
            map_.primary_temp.clear();
        }
        if (options_.clean_temps) out_.write("cleaning pg temps\n");
    }

    /// A change that is to be written is an epoch of its own.
    Result<void> next_epoch(OsdMapIncremental step) {
        step.fsid = map_.fsid;
        step.epoch = map_.epoch + 1;
        map_ = TRY(apply_incremental(map_, step));
        modified_ = true;
        return {};
    }

    Result<void> even_out() {
        if (!options_.upmap && !options_.upmap_cleanup) return {};
        acted_ = true;
        const std::string& file = options_.upmap ? *options_.upmap : *options_.upmap_cleanup;
        if (file != "-") out_.print("writing upmap command output to: {}\n", file);
        out_.write("checking for upmap cleanups\n");
        UpmapChanges changes = TRY(stale_upmaps(map_));
        std::string commands = changes.commands();
        if (file == "-") out_.write(commands);
        OsdMap before = map_;
        apply_upmap_changes(map_, changes);
        if (options_.upmap) {
            UpmapChanges found = TRY(balance());
            if (found.empty())
                out_.write("Unable to find further optimization, or distribution is already "
                           "perfect\n");
            if (file == "-") out_.write(found.commands());
            commands += found.commands();
            merge(changes, found);
        }
        if (file != "-") TRY(io::write_file_atomic(file, commands));
        if (changes.empty() || !options_.save) return {};
        map_ = std::move(before);
        OsdMapIncremental step;
        step.old_pg_upmap = changes.old_upmap;
        step.old_pg_upmap_items = changes.old_items;
        step.new_pg_upmap_items = changes.new_items;
        return next_epoch(std::move(step));
    }

    Result<std::vector<PoolId>> pools_to_balance() {
        std::vector<PoolId> ids;
        if (options_.upmap_pools.empty()) {
            for (const auto& [id, pool] : map_.pools) ids.push_back(id);
            return ids;
        }
        for (const std::string& name : options_.upmap_pools) {
            auto found = std::find_if(map_.pool_names.begin(), map_.pool_names.end(),
                                      [&](const auto& entry) { return entry.second == name; });
            if (found == map_.pool_names.end())
                return fail(Code::not_found, fmt::format(" pool {} does not exist", name));
            ids.push_back(found->first);
        }
        out_.print(" limiting to pools {} ([{}])\n", fmt::join(options_.upmap_pools, ","),
                   fmt::join(ids, ","));
        return ids;
    }

    /// Pool by pool, at most max_changes in a round; an active balancer goes on until nothing
    /// helps.
    Result<UpmapChanges> balance() {
        out_.print("upmap, max-count {}, max deviation {}\n", options_.balance.max_changes,
                   options_.balance.max_deviation);
        std::vector<PoolId> ids = TRY(pools_to_balance());
        if (ids.empty()) {
            out_.write("No pools available\n");
            return UpmapChanges{};
        }
        UpmapChanges all;
        for (;;) {
            out_.write("pools ");
            for (PoolId id : ids) out_.print("{} ", map_.pool_name(id));
            out_.write("\n");
            size_t done = 0;
            for (PoolId id : ids) {
                BalanceOptions left = options_.balance;
                left.max_changes -= done;
                if (!left.max_changes) break;
                UpmapChanges found = TRY(balance_pool(map_, id, left));
                done += found.size();
                apply_upmap_changes(map_, found);
                merge(all, found);
            }
            out_.print("prepared {}/{} changes\n", done, options_.balance.max_changes);
            if (!done || !options_.upmap_active) return all;
        }
    }

    static void merge(UpmapChanges& all, const UpmapChanges& found) {
        for (const PgId& pg : found.old_items) {
            all.new_items.erase(pg);
            all.old_items.insert(pg);
        }
        for (const auto& [pg, items] : found.new_items) {
            all.old_items.erase(pg);
            all.new_items[pg] = items;
        }
    }

    Result<void> exchange_crush() {
        if (!options_.import_crush.empty()) {
            auto bytes = io::read_file(options_.import_crush);
            if (!bytes)
                return fail(bytes.error().code,
                            fmt::format("osdmaptool: error reading crush map from {}: {}",
                                        options_.import_crush, bytes.error().to_string()));
            CrushMap crush = TRY(with_context(decode_crush_map(*bytes), options_.import_crush));
            if (crush.max_devices > map_.max_osd())
                return fail(Code::invalid,
                            fmt::format("osdmaptool: crushmap max_devices {} > osdmap max_osd {}",
                                        crush.max_devices, map_.max_osd()));
            OsdMapIncremental step;
            step.crush = *bytes;
            TRY(next_epoch(std::move(step)));
            acted_ = true;
            out_.print("osdmaptool: imported {} byte crush map from {}\n", bytes->size(),
                       options_.import_crush);
        }
        if (!options_.export_crush.empty()) {
            TRY(io::write_file_atomic(options_.export_crush, encode_crush_map(*map_.crush)));
            acted_ = true;
            out_.print("osdmaptool: exported crush map to {}\n", options_.export_crush);
        }
        return {};
    }

    Result<void> test() {
        bool pgs = options_.test_pgs || options_.test_pgs_dump || options_.test_pgs_dump_all;
        if (!options_.object && !options_.pg && !pgs) return {};
        acted_ = true;
        TRY(choose_pg_num());
        Placer placer = TRY(Placer::prepare(std::make_shared<const OsdMap>(map_)));
        CrushWorkspace work;
        if (options_.object) TRY(test_object(placer, work));
        if (options_.pg) {
            PgSets sets = placer.place(work, *options_.pg);
            out_.print(" parsed '{}' -> {}\n", options_.pg_text, options_.pg->to_string());
            out_.print("{} raw {} up {} acting {}\n", options_.pg->to_string(),
                       sets.raw.to_string(), sets.up.to_string(), sets.acting.to_string());
        }
        if (!pgs) return {};
        if (pool_ && !map_.pool(*pool_)) return no_pool(*pool_);
        auto lines = options_.test_pgs_dump_all ? PgLines::all
                     : options_.test_pgs_dump   ? PgLines::acting
                                                : PgLines::none;
        explain(report_pgs(placer, pool_, lines, out_));
        return {};
    }

    /// --pg_num stands for the pools' own during the test.
    Result<void> choose_pg_num() {
        if (!options_.pg_num) return {};
        if (*options_.pg_num == 0 || *options_.pg_num > max_pg_num)
            return fail(Code::invalid, fmt::format("osdmaptool: --pg_num must be 1 to {}, not {}",
                                                   max_pg_num, *options_.pg_num));
        for (auto& [id, pool] : map_.pools)
            if (!options_.pool || *options_.pool == id) pool.pg_num = *options_.pg_num;
        return {};
    }

    static Result<void> no_pool(PoolId id) {
        return fail(Code::not_found, fmt::format("There is no pool {}", id));
    }

    Result<void> test_object(const Placer& placer, CrushWorkspace& work) {
        PoolId id = pool_.value_or(1);
        if (!pool_) {
            out_.print("osdmaptool: assuming pool 1 (use --pool to override)\n");
            pool_ = id; // for what is tested after it, too
        }
        const Pool* pool = map_.pool(id);
        if (!pool) return no_pool(id);
        PgId raw{id, object_hash(*pool, {.name = *options_.object})};
        PgId pg = pg_of_raw(*pool, raw);
        out_.print(" object '{}' -> {} -> {}\n", *options_.object, pg.to_string(),
                   osds_to_string(placer.place(work, raw).acting.osds));
        return {};
    }

    void explain(const std::vector<PoolPlacement>& placements) {
        std::vector<const PoolPlacement*> pointers;
        for (const PoolPlacement& placement : placements) pointers.push_back(&placement);
        for (const Finding& finding : diagnose(map_, pointers))
            out_.error("osdmaptool: {}; {}\n", finding.cause, finding.remedy);
    }

    Result<void> require_an_action() {
        bool shows = options_.print || options_.dump || options_.tree || options_.health;
        if (acted_ || modified_ || shows) return {};
        out_.error("osdmaptool: no action specified?\n");
        out_.write(osdmaptool_help());
        return fail(Code::invalid, "");
    }

    void show() {
        if (options_.health)
            for (const Finding& finding : diagnose(map_))
                out_.print("{}; {}\n", finding.cause, finding.remedy);
        if (options_.print) out_.write(print_osd_map(map_));
        if (options_.dump) show_as(*options_.dump, print_osd_map, dump_osd_map, "");
        if (options_.tree) show_as(*options_.tree, print_osd_tree, dump_osd_tree, "\n");
    }

    template <typename Print, typename Dump>
    void show_as(const std::string& format, Print print, Dump dump, std::string_view end) {
        if (format.empty() || format == "plain") return out_.write(print(map_));
        DumpWriter writer(dump_format_of(format).value_or(DumpWriter::Format::json));
        dump(map_, writer);
        out_.write(writer.take());
        out_.write(end);
    }

    Result<void> save() {
        if (!modified_) return {};
        out_.print("osdmaptool: writing epoch {} to {}\n", map_.epoch, file_);
        return io::write_file_atomic(file_, encode_osd_map(map_));
    }

    const OsdmaptoolOptions& options_;
    ToolOutput& out_;
    std::string file_;
    std::optional<PoolId> pool_ = options_.pool;
    OsdMap map_;
    bool opened_ = false, modified_ = false, acted_ = false;
};

} // namespace

int osdmaptool(std::span<const std::string> arguments, const ToolStreams& streams) {
    ToolOutput out(streams);
    auto options = parse_osdmaptool(arguments);
    if (!options) {
        out.error("{}\n", options.error().to_string());
        return 1;
    }
    if (options->help) {
        out.write(osdmaptool_help());
        return 1;
    }
    if (options->files.size() != 1) {
        out.error("osdmaptool: {}\n",
                  options->files.empty() ? "must specify osdmap filename" : "too many arguments");
        out.write(osdmaptool_help());
        return 1;
    }
    Run run(*options, out);
    auto done = run.carry_out();
    if (done) return 0;
    if (std::string message = done.error().to_string(); !message.empty())
        out.error("{}\n", message);
    return run.failure_status();
}

} // namespace cloudlet::rados
