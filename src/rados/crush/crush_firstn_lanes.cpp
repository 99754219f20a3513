#include "crush_firstn_lanes.h"

#include <algorithm>

#include "cloudlet/rados/crush_hash.h"

namespace cloudlet::rados {

namespace {

constexpr uint32_t no_input = 0xffffffff;
constexpr int32_t nothing = crush_item_undef;

} // namespace

std::optional<FirstnLanes> FirstnLanes::plan(const CrushLayout& layout, const CrushQuery& query,
                                             const CrushRule& rule, CrushWorkspace::State& work) {
    WalkSettings settings(layout.tunables);
    size_t at = 0;
    const auto& steps = rule.steps;
    while (at < steps.size() && steps[at].op >= RuleOp::set_choose_tries) settings.set(steps[at++]);
    if (steps.size() != at + 3) return std::nullopt;
    const CrushStep &take = steps[at], &choose = steps[at + 1];
    bool leaf = choose.op == RuleOp::chooseleaf_firstn;
    bool shape = take.op == RuleOp::take && (leaf || choose.op == RuleOp::choose_firstn) &&
                 steps[at + 2].op == RuleOp::emit;
    bool plain = settings.local_retries == 0 && settings.local_fallback_retries == 0 &&
                 settings.tries > max_attempts &&
                 (!leaf || (settings.stable && settings.firstn_leaf_tries() == 1));
    bool usual = layout.all_straw2 && !layout.choose_args_for(query.choose_args) &&
                 !work.counts_tries && layout.bucket(take.arg1);
    if (!shape || !plain || !usual) return std::nullopt;
    int64_t wanted = choose.arg1 > 0 ? choose.arg1 : int64_t{choose.arg1} + query.result_max;
    wanted = std::min<int64_t>(wanted, query.result_max);
    if (wanted <= 0 || wanted > max_wanted) return std::nullopt;
    FirstnLanes lanes(layout, query, work, settings);
    lanes.root_ = layout.bucket(take.arg1);
    lanes.type_ = choose.arg2;
    lanes.wanted_ = static_cast<uint32_t>(wanted);
    lanes.leaf_ = leaf && choose.arg2 != 0;
    return lanes;
}

std::vector<uint32_t> FirstnLanes::run(std::span<const uint32_t> inputs, int32_t* items,
                                       size_t stride) {
    std::vector<uint32_t> left;
    size_t active = 0;
    next_ = 0;
    for (size_t lane = 0; lane < draw_lanes; ++lane) active += load_next(lane, inputs);
    while (active > 0) {
        attempt();
        for (size_t lane = 0; lane < draw_lanes; ++lane) {
            bool done = placed_[lane] == wanted_;
            bool unusual = host_[lane] == nothing || r_[lane] == max_attempts;
            if (!done && !unusual) continue;
            if (input_[lane] == no_input) continue;
            if (done) {
                int32_t* result = items + size_t{input_[lane]} * stride;
                for (size_t i = 0; i < wanted_; ++i) result[i] = devices_[i][lane];
            } else {
                left.push_back(input_[lane]);
            }
            active -= !load_next(lane, inputs);
        }
    }
    return left;
}

bool FirstnLanes::load_next(size_t lane, std::span<const uint32_t> inputs) {
    bool more = next_ < inputs.size();
    input_[lane] = more ? static_cast<uint32_t>(next_) : no_input;
    x_[lane] = more ? inputs[next_] : 0;
    next_ += more;
    r_[lane] = 0;
    placed_[lane] = 0;
    for (size_t i = 0; i < wanted_; ++i) hosts_[i][lane] = devices_[i][lane] = nothing;
    return more;
}

void FirstnLanes::attempt() {
    draw_hosts();
    if (leaf_) {
        draw_devices();
    } else {
        device_ = host_;
    }
    judge();
}

void FirstnLanes::draw_hosts() {
    LaneDraws::Buckets at;
    at.fill(root_);
    host_.fill(nothing);
    Items items;
    for (bool descends = true; descends;) {
        draws_.draw(at, x_.data(), r_.data(), items);
        descends = false;
        for (size_t lane = 0; lane < draw_lanes; ++lane) {
            if (!at[lane]) continue;
            int32_t item = items[lane];
            at[lane] = item < 0 ? layout_.bucket(item) : nullptr;
            bool reached = at[lane] ? at[lane]->type == type_ : type_ == 0;
            if (reached) {
                host_[lane] = item;
                at[lane] = nullptr;
            }
            descends |= at[lane] != nullptr;
        }
    }
}

void FirstnLanes::draw_devices() {
    LaneDraws::Buckets at;
    alignas(64) Words leaf_r;
    for (size_t lane = 0; lane < draw_lanes; ++lane) {
        at[lane] = layout_.bucket(host_[lane]);
        leaf_r[lane] = settings_.leaf_r(r_[lane]);
    }
    Items items;
    device_.fill(nothing);
    for (bool descends = true; descends;) {
        draws_.draw(at, x_.data(), leaf_r.data(), items);
        descends = false;
        for (size_t lane = 0; lane < draw_lanes; ++lane) {
            if (!at[lane]) continue;
            at[lane] = items[lane] < 0 ? layout_.bucket(items[lane]) : nullptr;
            if (!at[lane]) device_[lane] = items[lane];
            descends |= at[lane] != nullptr;
        }
    }
    // An empty host is refused by the walk; here it is unusual.
    for (size_t lane = 0; lane < draw_lanes; ++lane) {
        if (device_[lane] == nothing) host_[lane] = nothing;
    }
}

// Takes what is neither taken already nor out.
void FirstnLanes::judge() {
    refused_.fill(0);
    for (size_t i = 0; i < wanted_; ++i) {
        for (size_t lane = 0; lane < draw_lanes; ++lane) {
            refused_[lane] |= hosts_[i][lane] == host_[lane];
            refused_[lane] |= devices_[i][lane] == device_[lane];
        }
    }
    bool devices = leaf_ || type_ == 0;
    for (size_t lane = 0; lane < draw_lanes; ++lane) {
        bool out = devices && is_out(device_[lane], x_[lane]);
        bool take = !(refused_[lane] | out);
        size_t place = std::min(placed_[lane], wanted_ - 1);
        hosts_[place][lane] = take ? host_[lane] : hosts_[place][lane];
        devices_[place][lane] = take ? device_[lane] : devices_[place][lane];
        placed_[lane] += take;
        ++r_[lane];
    }
}

bool FirstnLanes::is_out(int32_t device, uint32_t x) const {
    if (static_cast<size_t>(device) >= query_.reweights.size()) return true;
    uint32_t weight = query_.reweights[static_cast<size_t>(device)];
    if (weight >= crush_weight_one) [[likely]]
        return false;
    return weight == 0 || (crush_hash32(x, static_cast<uint32_t>(device)) & 0xffff) >= weight;
}

} // namespace cloudlet::rados
