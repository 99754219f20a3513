#include "monitor/osd_commands.h"

#include <cerrno>
#include <functional>

#include <fmt/format.h>

#include "cloudlet/rados/crush_edit.h"
#include "cloudlet/rados/osd_liveness.h"

namespace cloudlet::rados {
namespace {

constexpr uint32_t last_flag = map_pglog_hardlimit;
constexpr uint32_t derived_flags = map_nearfull | map_full;

CommandVerdict taken(std::string text) { return {CommandVerdict::Kind::taken, 0, std::move(text)}; }
CommandVerdict later() { return {CommandVerdict::Kind::later, 0, {}}; }
CommandVerdict refused(int32_t result, std::string text) {
    return {CommandVerdict::Kind::refused, result, std::move(text)};
}
CommandVerdict refused(const Error& error) {
    int32_t result = error.code == Code::not_found        ? -ENOENT
                     : error.code == Code::already_exists ? -EEXIST
                                                          : -EINVAL;
    return refused(result, error.to_string());
}

uint32_t weight_of(const OsdMap& map, int32_t osd) {
    return map.osd_weight[static_cast<size_t>(osd)];
}
uint32_t state_of(const OsdMap& map, int32_t osd) {
    return map.osd_state[static_cast<size_t>(osd)];
}

/// What an OSD that stands in no location gets as its root: "default", else the first there is.
std::string root_name(const CrushMap& crush) {
    auto type = crush.type_of("root");
    std::string found;
    for (int32_t root : crush.roots_without_shadows()) {
        if (crush.type_of_item(root) != type) continue;
        std::string name = crush.item_name(root);
        if (found.empty() || name == "default") found = std::move(name);
    }
    return found.empty() ? "default" : found;
}

/// One visitor for all commands; those of one OSD that must exist go through with_osd().
class Drafting {
public:
    explicit Drafting(MapDraft& draft) : draft_(draft), map_(draft.map()) {}

    CommandVerdict operator()(const command::SetFlags& c) {
        uint32_t all = c.set | c.clear;
        if (all == 0 || all > last_flag * 2 - 1 || (c.set & c.clear))
            return refused(-EINVAL, fmt::format("flags to set {:#x} and to clear {:#x} contradict "
                                                "each other or are none of the map's",
                                                c.set, c.clear));
        if (all & derived_flags)
            return refused(-EINVAL, "full and nearfull follow from the disks; delete something, or "
                                    "change the ratios");
        draft_.set_flags((draft_.flags() | c.set) & ~c.clear);
        return taken("flags changed");
    }

    CommandVerdict operator()(const command::In& c) {
        return with_osd(c.osd, [&] {
            if (!map_.is_out(c.osd)) {
                draft_.touch();
                return taken(fmt::format("osd.{} is in already", c.osd));
            }
            uint32_t old = map_.osd_extra[static_cast<size_t>(c.osd)].old_weight;
            draft_.change().new_weight[c.osd] = old ? old : crush_weight_one;
            return taken(fmt::format("marked in osd.{}", c.osd));
        });
    }

    CommandVerdict operator()(const command::Out& c) {
        return with_osd(c.osd, [&] {
            OsdMapIncremental& step = draft_.change();
            step.new_weight[c.osd] = 0;
            if (uint32_t weight = weight_of(map_, c.osd)) {
                step.new_extra[c.osd] = map_.osd_extra[static_cast<size_t>(c.osd)];
                step.new_extra[c.osd].old_weight = weight;
            }
            // Who is taken out by hand does not come in by a boot.
            if (uint32_t own = state_of(map_, c.osd) & (osd_autoout | osd_new))
                step.new_state[c.osd] = own;
            return taken(fmt::format("marked out osd.{}", c.osd));
        });
    }

    CommandVerdict operator()(const command::Down& c) {
        return with_osd(c.osd, [&] {
            if (!map_.is_up(c.osd)) {
                draft_.touch();
                return taken(fmt::format("osd.{} is down already", c.osd));
            }
            mark_down(draft_.change(), c.osd);
            return taken(fmt::format("marked down osd.{}", c.osd));
        });
    }

    CommandVerdict operator()(const command::Lost& c) {
        return with_down_osd(c.osd, [&] {
            Epoch since = map_.osd_info[static_cast<size_t>(c.osd)].down_at;
            draft_.change().new_lost[c.osd] = since;
            return taken(fmt::format("marked osd.{} lost in epoch {}", c.osd, since));
        });
    }

    CommandVerdict operator()(const command::Reweight& c) {
        if (c.weight > crush_weight_one)
            return refused(-EINVAL, fmt::format("a weight is between 0 and 1, not {}",
                                                crush_weight_to_float(c.weight)));
        return with_osd(c.osd, [&] {
            draft_.change().new_weight[c.osd] = c.weight;
            return taken(
                fmt::format("reweighted osd.{} to {}", c.osd, crush_weight_to_float(c.weight)));
        });
    }

    CommandVerdict operator()(const command::CrushReweight& c) {
        if (!map_.exists(c.osd) || !draft_.crush().type_of_item(c.osd)) return no_such(c.osd);
        return edit_crush([&](CrushMap& crush) { return reweight_item(crush, c.osd, c.weight); },
                          [&] {
                              return fmt::format("reweighted item osd.{} to {} in the hierarchy",
                                                 c.osd, crush_weight_to_float(c.weight));
                          });
    }

    CommandVerdict operator()(const command::AddOsd& c) {
        if (c.osd < 0 || c.osd >= max_osd_limit)
            return refused(-EINVAL, fmt::format("osd.{} cannot be: a number is from 0 to {}", c.osd,
                                                max_osd_limit - 1));
        if (draft_.is_claimed(c.osd)) return later();
        if (map_.exists(c.osd))
            return refused(-EEXIST, fmt::format("osd.{} exists already", c.osd));
        CrushLocation location = {{"host", c.host}, {"root", root_name(draft_.crush())}};
        auto verdict = edit_crush(
            [&](CrushMap& crush) {
                return update_item(crush, c.osd, fmt::format("osd.{}", c.osd), c.weight, location);
            },
            [&] { return fmt::format("added osd.{} to host {}", c.osd, c.host); });
        if (verdict.kind != CommandVerdict::Kind::taken) return verdict;
        draft_.claim(c.osd);
        OsdMapIncremental& step = draft_.change();
        if (c.osd >= draft_.max_osd()) step.new_max_osd = c.osd + 1;
        uint32_t old = map_.has_osd(c.osd) ? state_of(map_, c.osd) : 0;
        step.new_state[c.osd] = old ^ (osd_exists | osd_new);
        step.new_weight[c.osd] = 0;
        // Nobody shall wait for the data of an OSD that once had this number.
        step.new_lost[c.osd] = map_.epoch;
        return verdict;
    }

    CommandVerdict operator()(const command::RemoveOsd& c) {
        return with_down_osd(c.osd, [&] {
            if (draft_.crush().type_of_item(c.osd)) {
                auto verdict =
                    edit_crush([&](CrushMap& crush) { return remove_item(crush, c.osd); },
                               [] { return std::string(); });
                if (verdict.kind != CommandVerdict::Kind::taken) return verdict;
            }
            draft_.change().new_state[c.osd] = osd_exists;
            draft_.change().new_weight[c.osd] = 0;
            return taken(fmt::format("purged osd.{}", c.osd));
        });
    }

private:
    static CommandVerdict no_such(int32_t osd) {
        return refused(-ENOENT, fmt::format("osd.{} does not exist", osd));
    }

    template <typename Change>
    CommandVerdict with_osd(int32_t osd, Change change) {
        if (!map_.exists(osd)) return no_such(osd);
        return draft_.claim(osd) ? change() : later();
    }

    template <typename Change>
    CommandVerdict with_down_osd(int32_t osd, Change change) {
        if (draft_.is_claimed(osd)) return later(); // it may be going down right now
        if (map_.is_up(osd))
            return refused(-EBUSY, fmt::format("osd.{} is up; stop it first", osd));
        return with_osd(osd, change);
    }

    template <typename Edit, typename Text>
    CommandVerdict edit_crush(Edit edit, Text text) {
        CrushMap crush = draft_.crush();
        auto edited = edit(crush);
        if (!edited) return refused(edited.error());
        draft_.set_crush(std::move(crush));
        return taken(text());
    }

    MapDraft& draft_;
    const OsdMap& map_;
};

} // namespace

CommandVerdict draft_command(MapDraft& draft, const Command& command) {
    return std::visit(Drafting(draft), command);
}

} // namespace cloudlet::rados
