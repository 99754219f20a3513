#include "tools/pg_report.h"

#include <cmath>
#include <map>

namespace cloudlet::rados {
namespace {

size_t at(int32_t osd) { return static_cast<size_t>(osd); }

/// A double as an output stream prints it; what came of a division by nothing prints as it does
/// there, too.
std::string short_number(double value) {
    if (std::isnan(value)) return "-nan";
    return fmt::format("{:g}", value);
}

struct Counts {
    std::vector<uint32_t> pgs, first, primary; // by OSD
    std::map<size_t, uint32_t> sizes;          // how many PGs have so many OSDs

    void add(const PoolPlacement& placement, uint32_t pg) {
        auto acting = placement.acting[pg];
        ++sizes[acting.size()];
        for (size_t i = 0; i < acting.size(); ++i) {
            if (acting[i] < 0 || at(acting[i]) >= pgs.size()) continue;
            ++pgs[at(acting[i])];
            if (i == 0) ++first[at(acting[i])];
        }
        int32_t leader = placement.acting_primary[pg];
        if (leader >= 0 && at(leader) < primary.size()) ++primary[at(leader)];
    }
};

/// The device's weight in the first bucket that holds it (shadow trees included), or -1.
double crush_weight(const CrushMap& crush, int32_t osd) {
    for (const auto& bucket : crush.buckets)
        if (bucket)
            if (auto place = bucket->find(osd))
                return static_cast<float>(bucket->item_weight(*place)) / 65536.0f;
    return -1;
}

void print_summary(const OsdMap& map, const Counts& counts, ToolOutput& out) {
    out.write("#osd\tcount\tfirst\tprimary\tc wt\twt\n");
    uint64_t total = 0;
    std::vector<int32_t> in;
    int32_t least = no_osd, most = no_osd;
    for (int32_t osd = 0; osd < map.max_osd(); ++osd) {
        double weight = crush_weight(*map.crush, osd);
        if (map.is_out(osd) || weight <= 0) continue;
        in.push_back(osd);
        uint32_t count = counts.pgs[at(osd)];
        out.print("osd.{}\t{}\t{}\t{}\t{}\t{}\n", osd, count, counts.first[at(osd)],
                  counts.primary[at(osd)], short_number(weight),
                  short_number(map.osd_weight[at(osd)] / 65536.0));
        total += count;
        if (!count) continue;
        if (least == no_osd || count < counts.pgs[at(least)]) least = osd;
        if (most == no_osd || count > counts.pgs[at(most)]) most = osd;
    }
    uint64_t average = in.empty() ? 0 : total / in.size();
    double deviation = 0;
    for (int32_t osd : in)
        deviation += std::pow(static_cast<double>(average) - counts.pgs[at(osd)], 2);
    auto devices = static_cast<double>(in.size());
    deviation = std::sqrt(deviation / devices);
    // What a fair coin for each PG would give.
    double share = 1.0 / devices;
    double expected =
        in.empty() ? std::nan("") : std::sqrt(static_cast<double>(total) * share * (1.0 - share));
    out.print(" in {}\n avg {} stddev {} ({}x) (expected {} {}x))\n", in.size(), average,
              short_number(deviation), short_number(deviation / static_cast<double>(average)),
              short_number(expected), short_number(expected / static_cast<double>(average)));
    if (least != no_osd) out.print(" min osd.{} {}\n", least, counts.pgs[at(least)]);
    if (most != no_osd) out.print(" max osd.{} {}\n", most, counts.pgs[at(most)]);
    for (const auto& [size, pgs] : counts.sizes) out.print("size {}\t{}\n", size, pgs);
}

void print_pg(const Placer& placer, CrushWorkspace& work, const PoolPlacement& placement,
              uint32_t seed, PgLines lines, ToolOutput& out) {
    PgId pg{placement.pool, seed};
    if (lines == PgLines::all) {
        PgSets sets = placer.place(work, pg);
        out.print("{} raw {} up {} acting {}\n", pg.to_string(), sets.raw.to_string(),
                  sets.up.to_string(), sets.acting.to_string());
    } else if (lines == PgLines::acting) {
        out.print("{}\t{}\t{}\n", pg.to_string(), osds_to_string(placement.acting[seed]),
                  placement.acting_primary[seed]);
    }
}

} // namespace

std::vector<PoolPlacement> report_pgs(const Placer& placer, std::optional<PoolId> only,
                                      PgLines lines, ToolOutput& out) {
    const OsdMap& map = placer.map();
    std::vector<PoolPlacement> placements;
    CrushWorkspace work;
    Counts counts;
    for (auto* column : {&counts.pgs, &counts.first, &counts.primary})
        column->resize(at(map.max_osd()));
    for (const auto& [id, pool] : map.pools) {
        if (only && *only != id) continue;
        out.print("pool {} pg_num {}\n", id, pool.pg_num);
        placements.push_back(placer.place_pool(work, id));
        for (uint32_t seed = 0; seed < pool.pg_num; ++seed) {
            print_pg(placer, work, placements.back(), seed, lines, out);
            counts.add(placements.back(), seed);
        }
    }
    print_summary(map, counts, out);
    return placements;
}

} // namespace cloudlet::rados
