#include "storage_commands.h"

#include <cstdio>

#include <fmt/format.h>

#include "cloudlet/base/clock.h"
#include "cloudlet/io/file.h"
#include "cloudlet/rados/crush_codec.h"
#include "cloudlet/rados/osd_map_codec.h"
#include "cloudlet/rados/plan.h"
#include "commands.h"

namespace cloudlet::app {
namespace {

constexpr size_t largest_map = size_t{1} << 30;

Result<rados::OsdMap> read_map(const std::string& path) {
    std::string bytes = TRY(io::read_file(path, largest_map));
    auto map = rados::decode_osd_map(bytes);
    if (map) return map;
    if (rados::decode_crush_map(bytes))
        return fail(
            Code::invalid,
            fmt::format("{} is a CRUSH map, and a plan needs the OSD map with its pools; get "
                        "it by: ceph osd getmap -o FILE",
                        path));
    return fail(map.error().code,
                fmt::format("{} is no OSD map: {}; get one by: ceph osd getmap -o "
                            "FILE",
                            path, map.error().to_string()));
}

Result<rados::PlanOptions> plan_options(const StoragePlanOptions& options) {
    rados::PlanOptions plan;
    if (!options.pg_bytes.empty())
        plan.pg_bytes = TRY(with_context(rados::parse_bytes(options.pg_bytes), "--pg-bytes"));
    for (const std::string& given : options.pool_bytes) {
        size_t equals = given.rfind('=');
        if (equals == std::string::npos || equals == 0)
            return fail(Code::invalid,
                        fmt::format("--pool-bytes {}: write NAME=SIZE, as in rbd=10T", given));
        plan.pool_bytes[given.substr(0, equals)] =
            TRY(with_context(rados::parse_bytes(given.substr(equals + 1)), "--pool-bytes"));
    }
    return plan;
}

/// Maps of `osdmaptool --createsimple` have OSDs that were never started.
void mark_up_in(rados::OsdMap& map) {
    for (uint32_t& state : map.osd_state) state |= rados::osd_exists | rados::osd_up;
    for (uint32_t& weight : map.osd_weight) weight = rados::crush_weight_one;
}

bool has_osds(const rados::OsdMap& map) {
    for (int32_t osd = 0; osd < map.max_osd(); ++osd)
        if (map.exists(osd)) return true;
    return false;
}

/// A bar on the progress line, once the plan takes long enough to wonder.
class Bar {
public:
    void operator()(size_t done, size_t of) const {
        constexpr auto patience = std::chrono::milliseconds(300);
        constexpr size_t width = 30;
        if (system_clock().monotonic() - begin_ < patience) return;
        size_t filled = width * done / of;
        show_progress(fmt::format("planning [{}{}] {} of {}", std::string(filled, '#'),
                                  std::string(width - filled, ' '), done, of));
    }

private:
    decltype(system_clock().monotonic()) begin_ = system_clock().monotonic();
};

} // namespace

Result<> storage_plan(const StoragePlanOptions& options) {
    auto settings = TRY(plan_options(options));
    auto changes = TRY(rados::parse_changes(options.changes));
    auto map = TRY(read_map(options.map));
    if (options.mark_up_in) mark_up_in(map);
    if (!has_osds(map))
        return fail(Code::invalid,
                    fmt::format("{} knows no OSD that exists; to plan with all {} of "
                                "its slots as up and in, say --mark-up-in",
                                options.map, map.max_osd()));
    settings.progress = Bar();
    auto plan = rados::make_plan(map, changes, settings);
    end_progress();
    if (!plan) return tl::unexpected(plan.error());
    if (!options.svg.empty()) TRY(io::write_file_atomic(options.svg, rados::plan_svg(*plan)));
    std::string text = options.output == "json"  ? rados::plan_json(*plan)
                       : options.output == "svg" ? rados::plan_svg(*plan)
                                                 : rados::plan_text(*plan);
    fmt::print("{}", text);
    return {};
}

std::string storage_plan_help() {
    return "Changes, in the order in which they are made:\n" + rados::change_grammar() +
           "\n\n`ceph`'s own words work, too: osd crush reweight osd.3 0. Each change is left to "
           "settle "
           "before the\nnext, unless norebalance, nobackfill or norecover is set.\n\n"
           "  cloudlet storage plan osdmap out osd.3 remove osd.3 add osd.16 weight 1.8 host=b\n"
           "  cloudlet storage plan osdmap replace osd.3 --pool-bytes rbd=10T --svg plan.svg\n";
}

} // namespace cloudlet::app
