#include "cloudlet/rados/crush_mapper.h"

#include <algorithm>

#include "cloudlet/rados/crush_codec.h"
#include "crush_ahead.h"
#include "crush_firstn_lanes.h"
#include "crush_walk.h"

namespace cloudlet::rados {

namespace {
constexpr size_t max_counted = 1 << 20; // a hostile map may announce any number of tries
} // namespace

CrushWorkspace::CrushWorkspace() : state_(std::make_unique<State>()) {}
CrushWorkspace::~CrushWorkspace() = default;
CrushWorkspace::CrushWorkspace(CrushWorkspace&&) noexcept = default;
CrushWorkspace& CrushWorkspace::operator=(CrushWorkspace&&) noexcept = default;

void CrushWorkspace::count_tries() {
    state_->counts_tries = true;
    state_->layout = 0; // the next mapping makes room for the counts
}

std::span<const uint64_t> CrushWorkspace::tries() const { return state_->tries; }

void CrushWorkspace::State::fit(const CrushLayout& new_layout, size_t result_max) {
    if (front.size() < result_max + 1) {
        for (auto* items : {&front, &chosen, &leaves, &result}) items->resize(result_max + 1);
    }
    if (layout == new_layout.serial) return;
    layout = new_layout.serial;
    permutations.assign(new_layout.buckets.size(), {});
    for (DrawMemo& memo : memos) memo.clear();
    ahead = 0;
    if (counts_tries) {
        size_t counted = std::min<size_t>(new_layout.tunables.choose_total_tries, max_counted);
        tries.resize(std::max(tries.size(), counted + 1));
    }
    size_t largest = 0;
    for (const PreparedBucket& bucket : new_layout.buckets) {
        largest = std::max<size_t>(largest, bucket.size);
    }
    if (size_t wanted = draw_scratch(largest); keys_size < wanted) {
        keys.reset(new (std::align_val_t(64)) uint32_t[wanted]);
        keys_size = wanted;
    }
}

void CrushWorkspace::State::learn() {
    walks += draw_lanes;
    if (walks < 1024) return;
    bool few = misses * 50 < walks, many = misses * 5 > walks;
    if (many && ahead < DrawMemo::attempts / 2) ++ahead;
    if (few && ahead > 0) --ahead;
    walks = misses = 0;
}

void CrushResults::resize(size_t count, size_t width) {
    width_ = width;
    items_.resize(count * width);
    sizes_.resize(count);
}

Result<CrushMapper> CrushMapper::prepare(const CrushMap& map) {
    TRY(check_crush_map(map));
    return CrushMapper(std::make_shared<const CrushLayout>(lay_out(map)));
}

namespace {

const CrushRule* find_rule(const CrushLayout& layout, int32_t id) {
    auto slot = static_cast<size_t>(id);
    if (id < 0 || slot >= layout.rules.size() || !layout.rules[slot]) return nullptr;
    return &*layout.rules[slot];
}

CrushQuery clamped(const CrushQuery& query) {
    CrushQuery result = query;
    result.result_max = std::clamp(query.result_max, 0, crush_max_result);
    return result;
}

} // namespace

std::span<const int32_t> CrushMapper::map(CrushWorkspace& work, const CrushQuery& query,
                                          uint32_t x) const {
    const CrushRule* rule = find_rule(*layout_, query.rule);
    if (!rule) return {};
    CrushQuery sane = clamped(query);
    work.state().fit(*layout_, static_cast<size_t>(sane.result_max));
    return CrushWalk(*layout_, sane, work.state(), x, nullptr).run(*rule);
}

void CrushMapper::map_many(CrushWorkspace& work, const CrushQuery& query,
                           std::span<const uint32_t> inputs, CrushResults& results) const {
    CrushQuery sane = clamped(query);
    auto width = static_cast<size_t>(sane.result_max);
    results.resize(inputs.size(), width);
    const CrushRule* rule = find_rule(*layout_, query.rule);
    if (!rule) {
        std::fill(results.sizes_.begin(), results.sizes_.end(), uint16_t{0});
        return;
    }
    auto& state = work.state();
    state.fit(*layout_, width);
    if (auto lanes = FirstnLanes::plan(*layout_, sane, *rule, state)) {
        auto left = lanes->run(inputs, results.items_.data(), width);
        std::fill(results.sizes_.begin(), results.sizes_.end(),
                  static_cast<uint16_t>(lanes->width()));
        for (uint32_t i : left) {
            auto items = CrushWalk(*layout_, sane, state, inputs[i], nullptr).run(*rule);
            std::copy(items.begin(), items.end(), results.items_.data() + i * width);
            results.sizes_[i] = static_cast<uint16_t>(items.size());
        }
        return;
    }
    DrawAhead ahead(*layout_, sane, *rule, state);
    for (size_t first = 0; first < inputs.size(); first += draw_lanes) {
        size_t count = std::min(draw_lanes, inputs.size() - first);
        alignas(64) uint32_t x[draw_lanes];
        for (size_t i = 0; i < draw_lanes; ++i) x[i] = inputs[first + std::min(i, count - 1)];
        ahead.draw(x);
        for (size_t i = 0; i < count; ++i) {
            auto items = CrushWalk(*layout_, sane, state, x[i], &state.memos[i]).run(*rule);
            std::copy(items.begin(), items.end(), &results.items_[(first + i) * width]);
            results.sizes_[first + i] = static_cast<uint16_t>(items.size());
        }
        state.learn();
    }
}

const char* CrushMapper::instruction_set() { return draw_kernels().name; }

} // namespace cloudlet::rados
