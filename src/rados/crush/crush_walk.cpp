#include "crush_walk.h"

#include <algorithm>

#include "cloudlet/rados/crush_hash.h"

namespace cloudlet::rados {

namespace {

// Draws after which a walk gives up. Real maps need some hundreds; a hostile one could ask for
// 2^60.
constexpr uint32_t walk_budget = 1 << 20;

} // namespace

WalkSettings::WalkSettings(const CrushTunables& tunables)
    : tries(tunables.choose_total_tries +
            1), // the tunable counts retries; a rule's step counts tries
      local_retries(tunables.choose_local_tries),
      local_fallback_retries(tunables.choose_local_fallback_tries),
      vary_r(tunables.chooseleaf_vary_r), stable(tunables.chooseleaf_stable != 0),
      descend_once(tunables.chooseleaf_descend_once != 0) {}

void WalkSettings::set(const CrushStep& step) {
    auto value = static_cast<uint32_t>(step.arg1);
    bool positive = step.arg1 > 0, given = step.arg1 >= 0;
    switch (step.op) {
    case RuleOp::set_choose_tries:
        if (positive) tries = value;
        break;
    case RuleOp::set_chooseleaf_tries:
        if (positive) leaf_tries = value;
        break;
    case RuleOp::set_choose_local_tries:
        if (given) local_retries = value;
        break;
    case RuleOp::set_choose_local_fallback_tries:
        if (given) local_fallback_retries = value;
        break;
    case RuleOp::set_chooseleaf_vary_r:
        if (given) vary_r = value;
        break;
    case RuleOp::set_chooseleaf_stable:
        if (given) stable = value != 0;
        break;
    default: break;
    }
}

uint32_t WalkSettings::firstn_leaf_tries() const {
    if (leaf_tries) return leaf_tries;
    return descend_once ? 1 : tries;
}

uint32_t WalkSettings::leaf_r(uint32_t r) const {
    if (!vary_r) return 0;
    // Shifts count modulo 32, as on the processors that Ceph runs on.
    return static_cast<uint32_t>(static_cast<int32_t>(r) >> ((vary_r - 1) & 31));
}

CrushWalk::CrushWalk(const CrushLayout& layout, const CrushQuery& query,
                     CrushWorkspace::State& work, uint32_t x, DrawMemo* memo)
    : layout_(layout), query_(query), work_(work), x_(x),
      result_max_(static_cast<uint32_t>(query.result_max)), memo_(memo),
      args_(layout.choose_args.empty() ? nullptr : layout.choose_args_for(query.choose_args)),
      budget_(walk_budget) {
    if (args_) memo_ = nullptr; // what was drawn ahead used the buckets' own weights
}

std::span<const int32_t> CrushWalk::run(const CrushRule& rule) {
    Settings settings(layout_.tunables);
    for (const CrushStep& step : rule.steps) {
        switch (step.op) {
        case RuleOp::take: take(step.arg1); break;
        case RuleOp::emit: emit(); break;
        case RuleOp::choose_firstn:
        case RuleOp::choose_indep:
        case RuleOp::chooseleaf_firstn:
        case RuleOp::chooseleaf_indep:
            if (front_size_ > 0) choose(step, settings);
            break;
        default: settings.set(step); break;
        }
    }
    return {work_.result.data(), result_size_};
}

void CrushWalk::take(int32_t item) {
    bool device = item >= 0 && item < layout_.max_devices;
    if (!device && !layout_.bucket(item)) return;
    work_.front[0] = item;
    front_size_ = 1;
}

void CrushWalk::emit() {
    for (size_t i = 0; i < front_size_ && result_size_ < result_max_; ++i) {
        work_.result[result_size_++] = work_.front[i];
    }
    front_size_ = 0;
}

void CrushWalk::choose(const CrushStep& step, const Settings& settings) {
    bool firstn = step.op == RuleOp::choose_firstn || step.op == RuleOp::chooseleaf_firstn;
    bool leaf = step.op == RuleOp::chooseleaf_firstn || step.op == RuleOp::chooseleaf_indep;
    uint32_t done = 0;
    for (size_t i = 0; i < front_size_; ++i) {
        int64_t wanted = step.arg1;
        if (wanted <= 0) wanted += result_max_;
        const PreparedBucket* start = layout_.bucket(work_.front[i]);
        if (wanted <= 0 || !start) continue;
        auto count = static_cast<uint32_t>(wanted);
        if (firstn) {
            done += choose_firstn(step, settings, *start, count, done);
            continue;
        }
        uint32_t size = std::min(count, result_max_ - done);
        choose_indep({.start = start,
                      .type = step.arg2,
                      .wanted = count,
                      .first = 0,
                      .end = size,
                      .parent_r = 0,
                      .tries = settings.tries,
                      .out = work_.chosen.data() + done,
                      .leaves = leaf ? work_.leaves.data() + done : nullptr,
                      .leaf_tries = settings.leaf_tries ? settings.leaf_tries : 1,
                      .memo = {0, done}});
        done += size;
    }
    std::swap(work_.front, leaf ? work_.leaves : work_.chosen);
    front_size_ = done;
}

uint32_t CrushWalk::choose_firstn(const CrushStep& step, const Settings& settings,
                                  const PreparedBucket& start, uint32_t wanted, uint32_t done) {
    bool leaf = step.op == RuleOp::chooseleaf_firstn;
    int32_t* out = work_.chosen.data() + done;
    Placement placement = {
        .start = &start,
        .type = step.arg2,
        .rep = 0,
        .parent_r = 0,
        .tries = settings.tries,
        .position = 0,
        .taken = out,
        .leaves = leaf ? work_.leaves.data() + done : nullptr,
        .leaf_tries = settings.firstn_leaf_tries(),
        .memo = {0, done},
    };
    uint32_t room = result_max_ - done;
    for (; placement.rep < wanted && placement.position < room && budget_ > 0; ++placement.rep) {
        int32_t item = 0;
        if (place_firstn(placement, settings, item)) out[placement.position++] = item;
    }
    return placement.position;
}

// Tries until an item is found that is neither out nor taken. A failure is retried in the same
// bucket as long as the local tunables say so, and from the start after that.
bool CrushWalk::place_firstn(const Placement& placement, const Settings& settings, int32_t& item) {
    uint32_t failures = 0;
    do {
        const PreparedBucket* in = placement.start;
        MemoKey memo = placement.memo;
        uint32_t local_failures = 0;
        for (;;) {
            if (budget_ == 0) return false;
            --budget_;
            Draw draw = draw_firstn(placement, settings, in, failures, local_failures, memo, item);
            if (draw == Draw::descend) continue;
            if (draw == Draw::hopeless) return false;
            if (draw == Draw::placed) {
                count_tries(failures);
                return true;
            }
            ++failures;
            ++local_failures;
            bool again = draw == Draw::collided && local_failures <= settings.local_retries;
            bool exhaustive = settings.local_fallback_retries > 0 &&
                              local_failures <= in->size + settings.local_fallback_retries;
            if (!again && !exhaustive) break;
        }
    } while (failures < placement.tries);
    return false;
}

CrushWalk::Draw CrushWalk::draw_firstn(const Placement& placement, const Settings& settings,
                                       const PreparedBucket*& in, uint32_t failures,
                                       uint32_t local_failures, MemoKey& memo, int32_t& item) {
    if (in->size == 0) return Draw::rejected;
    uint32_t r = placement.rep + placement.parent_r + failures;
    bool permute = settings.local_fallback_retries > 0 && local_failures >= in->size / 2 &&
                   local_failures > settings.local_fallback_retries;
    item = permute ? draw_permuted(*in, r) : draw(*in, r, placement.position, memo);
    if (item >= layout_.max_devices) return Draw::hopeless;
    int32_t type = type_of(item);
    if (type != placement.type) {
        if (item >= 0) return Draw::hopeless;
        in = layout_.bucket(item);
        memo = memo.below();
        return Draw::descend;
    }
    const int32_t* end = placement.taken + placement.position;
    if (std::find(placement.taken, end, item) != end) return Draw::collided;
    if (placement.leaves) {
        if (item >= 0) {
            placement.leaves[placement.position] = item;
        } else if (!place_leaf(placement, settings, item, r, memo.below())) {
            return Draw::rejected;
        }
    }
    if (type == 0 && is_out(item)) return Draw::rejected;
    return Draw::placed;
}

bool CrushWalk::place_leaf(const Placement& above, const Settings& settings, int32_t host,
                           uint32_t r, MemoKey memo) {
    Placement leaf = {
        .start = layout_.bucket(host),
        .type = 0,
        .rep = settings.stable ? 0 : above.position,
        .parent_r = settings.leaf_r(r),
        .tries = above.leaf_tries,
        .position = above.position,
        .taken = above.leaves,
        .leaves = nullptr,
        .memo = memo,
    };
    return place_firstn(leaf, settings, above.leaves[above.position]);
}

bool CrushWalk::is_out(int32_t device) const {
    if (static_cast<size_t>(device) >= query_.reweights.size()) return true;
    uint32_t weight = query_.reweights[static_cast<size_t>(device)];
    if (weight >= crush_weight_one) return false;
    if (weight == 0) return true;
    return (crush_hash32(x_, static_cast<uint32_t>(device)) & 0xffff) >= weight;
}

int32_t CrushWalk::type_of(int32_t item) const {
    return item >= 0 ? 0 : layout_.buckets[static_cast<size_t>(-1 - item)].type;
}

void CrushWalk::count_tries(uint32_t failures) {
    if (work_.counts_tries && failures < work_.tries.size()) ++work_.tries[failures];
}

// --- indep: every position keeps its place, so that a failure moves no other ---

void CrushWalk::choose_indep(const Positions& positions) {
    uint32_t left = positions.end - positions.first;
    for (uint32_t rep = positions.first; rep < positions.end; ++rep) {
        positions.out[rep] = crush_item_undef;
        if (positions.leaves) positions.leaves[rep] = crush_item_undef;
    }
    uint32_t failures = 0;
    for (; left > 0 && failures < positions.tries && budget_ > 0; ++failures) {
        for (uint32_t rep = positions.first; rep < positions.end; ++rep) {
            if (positions.out[rep] != crush_item_undef) continue;
            int32_t item = place_indep(positions, rep, failures);
            if (item == crush_item_undef) continue;
            positions.out[rep] = item;
            if (item == crush_item_none && positions.leaves) positions.leaves[rep] = item;
            --left;
        }
    }
    auto undef_to_none = [](int32_t& item) {
        if (item == crush_item_undef) item = crush_item_none;
    };
    for (uint32_t rep = positions.first; rep < positions.end; ++rep) {
        undef_to_none(positions.out[rep]);
        if (positions.leaves) undef_to_none(positions.leaves[rep]);
    }
    count_tries(failures);
}

// One try for one position: an item, or undef to try again later, or none to give the position up.
int32_t CrushWalk::place_indep(const Positions& positions, uint32_t rep, uint32_t failures) {
    const PreparedBucket* in = positions.start;
    MemoKey memo = positions.memo;
    for (;;) {
        if (budget_ == 0 || in->size == 0) return crush_item_undef;
        --budget_;
        // A uniform bucket whose size the stride divides would see the same items again.
        bool same_again = in->alg == BucketAlg::uniform && in->size % positions.wanted == 0;
        uint32_t stride = same_again ? positions.wanted + 1 : positions.wanted;
        uint32_t r = rep + positions.parent_r + stride * failures;
        int32_t item = draw(*in, r, positions.first, memo);
        if (item >= layout_.max_devices) return crush_item_none;
        int32_t type = type_of(item);
        if (type != positions.type) {
            if (item >= 0) return crush_item_none;
            in = layout_.bucket(item);
            memo = memo.below();
            continue;
        }
        std::span others(positions.out + positions.first, positions.out + positions.end);
        if (std::find(others.begin(), others.end(), item) != others.end()) return crush_item_undef;
        if (positions.leaves && item >= 0) positions.leaves[rep] = item;
        if (positions.leaves && item < 0) {
            choose_indep({.start = layout_.bucket(item),
                          .type = 0,
                          .wanted = positions.wanted,
                          .first = rep,
                          .end = rep + 1,
                          .parent_r = r,
                          .tries = positions.leaf_tries,
                          .out = positions.leaves,
                          .leaves = nullptr,
                          .memo = memo.below()});
            if (positions.leaves[rep] == crush_item_none) return crush_item_undef;
        }
        if (type == 0 && is_out(item)) return crush_item_undef;
        return item;
    }
}

// --- the draws of the five algorithms ---

int32_t CrushWalk::draw(const PreparedBucket& bucket, uint32_t r, uint32_t position,
                        const MemoKey& memo) {
    switch (bucket.alg) {
    case BucketAlg::uniform: return draw_permuted(bucket, r);
    case BucketAlg::list: return draw_list(bucket, r);
    case BucketAlg::tree: return draw_tree(bucket, r);
    case BucketAlg::straw: return draw_straw(bucket, r);
    case BucketAlg::straw2: break;
    }
    if (memo_) {
        if (const int32_t* item = memo_->find(memo, bucket.id, x_, r)) return *item;
        work_.misses += memo.depth == 0;
    }
    if (args_) {
        const PreparedArgs& args = (*args_)[static_cast<size_t>(-1 - bucket.id)];
        if (args.positions > 0) {
            uint32_t set = std::min(position, args.positions - 1);
            return draw_straw2(bucket, layout_.views[args.first_view + set], r);
        }
    }
    return draw_straw2(bucket, bucket.view, r);
}

int32_t CrushWalk::draw_straw2(const PreparedBucket& bucket, const Straw2View& view, uint32_t r) {
    if (view.count == 0) return layout_.items[bucket.first]; // all weights are 0
    if (view.count == 1) return layout_.draw_items[view.first];
    uint32_t winner = layout_.kernels->one(work_.draw_input(layout_), view, x_, r);
    return layout_.draw_items[winner];
}

int32_t CrushWalk::draw_permuted(const PreparedBucket& bucket, uint32_t r) {
    Permutation& permutation = work_.permutations[static_cast<size_t>(-1 - bucket.id)];
    auto& order = permutation.order;
    if (order.size() != bucket.size) order.resize(bucket.size);
    if (permutation.x != x_ || permutation.known == 0) {
        permutation.x = x_;
        permutation.known = 0;
        for (uint32_t i = 0; i < bucket.size; ++i) order[i] = i;
    }
    uint32_t wanted = r % bucket.size;
    for (; permutation.known <= wanted; ++permutation.known) {
        uint32_t at = permutation.known, left = bucket.size - at;
        if (left <= 1) continue;
        uint32_t step = crush_hash32(x_, static_cast<uint32_t>(bucket.id), at) % left;
        std::swap(order[at], order[at + step]);
    }
    return layout_.items[bucket.first + order[wanted]];
}

int32_t CrushWalk::draw_list(const PreparedBucket& bucket, uint32_t r) const {
    for (uint32_t i = bucket.first + bucket.size; i-- > bucket.first;) {
        uint64_t hash = crush_hash32(x_, static_cast<uint32_t>(layout_.items[i]), r,
                                     static_cast<uint32_t>(bucket.id));
        uint64_t drawn = ((hash & 0xffff) * layout_.derived[i]) >> 16;
        if (drawn < layout_.weights[i]) return layout_.items[i];
    }
    return layout_.items[bucket.first];
}

int32_t CrushWalk::draw_tree(const PreparedBucket& bucket, uint32_t r) const {
    const uint32_t* weights = layout_.nodes.data() + bucket.nodes;
    uint32_t node = bucket.node_count / 2;
    // A node's height is the number of its trailing zero bits; leaves are odd.
    for (uint32_t step = node / 2; step > 0; step /= 2) {
        uint64_t hash = crush_hash32(x_, node, r, static_cast<uint32_t>(bucket.id));
        uint64_t drawn = (hash * weights[node]) >> 32;
        node = drawn < weights[node - step] ? node - step : node + step;
    }
    uint32_t leaf = node / 2;
    return leaf < bucket.size ? layout_.items[bucket.first + leaf] : crush_item_none;
}

int32_t CrushWalk::draw_straw(const PreparedBucket& bucket, uint32_t r) const {
    uint32_t best = bucket.first;
    uint64_t longest = 0;
    for (uint32_t i = bucket.first; i < bucket.first + bucket.size; ++i) {
        uint64_t hash = crush_hash32(x_, static_cast<uint32_t>(layout_.items[i]), r);
        uint64_t drawn = (hash & 0xffff) * layout_.derived[i];
        if (i == bucket.first || drawn > longest) {
            best = i;
            longest = drawn;
        }
    }
    return layout_.items[best];
}

} // namespace cloudlet::rados
