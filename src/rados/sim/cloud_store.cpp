#include "sim/cloud_store.h"

#include <algorithm>

#include <fmt/format.h>

#include "cloudlet/rados/planted_bug.h"

namespace cloudlet::rados::sim {

using std::chrono::microseconds;
using std::chrono::milliseconds;

CloudStore::CloudStore(EventQueue& queue, size_t monitors, Epoch base, Random random,
                       StoreTimes times)
    : queue_(&queue), base_(base), random_(random), times_(times), monitors_(monitors) {}

const std::vector<MapStep>& CloudStore::connect(NodeId monitor, uint32_t life, MonotonicTime now) {
    Monitor& m = monitors_[monitor];
    m.life = life;
    m.told = newest();
    post({.kind = Letter::Kind::renew, .monitor = monitor, .life = life, .sent = now},
         now + delay());
    for (const MapStep& step : steps_) note_told(step);
    return steps_;
}

void CloudStore::append(NodeId monitor, uint64_t term, MapStep step, MonotonicTime now) {
    post({.kind = Letter::Kind::append,
          .monitor = monitor,
          .life = monitors_[monitor].life,
          .term = term,
          .step = std::move(step)},
         now + delay());
}

void CloudStore::join(NodeId monitor, MonotonicTime now) {
    Monitor& m = monitors_[monitor];
    m.cut_off = false;
    for (Letter& letter : std::exchange(m.waiting, {})) {
        if (letter.kind == Letter::Kind::renew) letter.sent = now;
        post(std::move(letter), now + delay());
    }
}

std::optional<CloudStore::Told> CloudStore::read_letter(const Event& event, MonotonicTime now) {
    Letter letter = letters_.take(event.number);
    Monitor& monitor = monitors_[letter.monitor];
    if (monitor.cut_off) {
        monitor.waiting.push_back(std::move(letter));
        return std::nullopt;
    }
    if (letter.kind == Letter::Kind::append) {
        take_append(letter, now); // of a former life, too: it was on its way
        return std::nullopt;
    }
    if (monitor.life == 0 || letter.life != monitor.life) return std::nullopt;
    if (letter.kind == Letter::Kind::renew) {
        take_renewal(letter, now);
        return std::nullopt;
    }
    Told told = letter.kind == Letter::Kind::news ? news_for(monitor) : Told{};
    switch (letter.kind) {
    case Letter::Kind::forked: told.steps.push_back(letter.step); break;
    case Letter::Kind::refusal: told.refused.emplace(letter.term, letter.step->epoch); break;
    case Letter::Kind::leader:
        if (letter.until)
            told.leads.emplace(letter.term, *letter.until);
        else
            told.follows = leader_;
        break;
    default: break;
    }
    for (const MapStep& step : told.steps) note_told(step);
    return told;
}

void CloudStore::post(Letter letter, MonotonicTime at) {
    const NodeId node = letter.monitor;
    queue_->push(
        at, {.kind = Event::Kind::store, .node = node, .number = letters_.put(std::move(letter))});
}

Duration CloudStore::delay() {
    if (random_.chance(0.01)) return random_span(random_, milliseconds(5), milliseconds(800));
    return random_span(random_, microseconds(500), milliseconds(5));
}

void CloudStore::take_append(const Letter& letter, MonotonicTime now) {
    const bool follows = letter.term == term_ && letter.step->epoch == newest() + 1;
    const bool overwrites = !follows && planted(PlantedBug::stale_leader_writes) &&
                            letter.step->epoch > base_ && letter.step->epoch <= newest();
    if (!follows && !overwrites) {
        ++refusals_;
        post({.kind = Letter::Kind::refusal,
              .monitor = letter.monitor,
              .life = letter.life,
              .term = letter.term,
              .step = letter.step},
             now + delay());
        return;
    }
    if (overwrites) {
        steps_[letter.step->epoch - base_ - 1] = letter.step;
        post({.kind = Letter::Kind::forked,
              .monitor = letter.monitor,
              .life = letter.life,
              .step = letter.step},
             now + delay());
        return;
    }
    steps_.push_back(letter.step);
    for (size_t i = 0; i < monitors_.size(); ++i)
        post({.kind = Letter::Kind::news,
              .monitor = static_cast<NodeId>(i),
              .life = monitors_[i].life},
             now + delay());
}

void CloudStore::take_renewal(const Letter& letter, MonotonicTime now) {
    const bool led = leader_ == letter.monitor && leader_life_ == letter.life;
    if (now >= lease_until_) {
        ++term_;
        leader_ = letter.monitor;
        leader_life_ = letter.life;
    } else if (!led) {
        post({.kind = Letter::Kind::leader, .monitor = letter.monitor, .life = letter.life},
             now + delay());
    }
    if (leader_ == letter.monitor && leader_life_ == letter.life) {
        lease_until_ = now + times_.lease;
        post({.kind = Letter::Kind::leader,
              .monitor = letter.monitor,
              .life = letter.life,
              .term = term_,
              .until = letter.sent + times_.lease},
             now + delay());
    }
    const MonotonicTime next = std::max(letter.sent + times_.renew, now);
    post(
        {.kind = Letter::Kind::renew, .monitor = letter.monitor, .life = letter.life, .sent = next},
        next + delay());
}

CloudStore::Told CloudStore::news_for(Monitor& monitor) {
    Told told;
    for (; monitor.told < newest(); ++monitor.told)
        told.steps.push_back(steps_[monitor.told - base_]);
    return told;
}

void CloudStore::note_told(const MapStep& step) {
    const size_t place = step->epoch - base_ - 1;
    if (place >= told_.size()) told_.resize(place + 1);
    if (!told_[place]) told_[place] = step;
    if (told_[place] != step && fork_.empty())
        fork_ = fmt::format("two steps lead to epoch {}: monitors heard both", step->epoch);
}

} // namespace cloudlet::rados::sim
