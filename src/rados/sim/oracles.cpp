#include "sim/oracles.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "pg/execute_ops.h"
#include "pg/object_id.h"
#include "sim/history_check.h"

namespace cloudlet::rados::sim {

namespace {

struct Content {
    std::string data;
    Attributes xattrs, omap;
    bool operator==(const Content&) const = default;
};

/// Error: of a damaged object.
Result<std::map<ObjectId, Content>> contents(const MemoryStore& store, PgId pg) {
    std::map<ObjectId, Content> all;
    for (const ObjectId& id : TRY(store.list(pg, std::nullopt, SIZE_MAX)).objects) {
        Content& content = all[id];
        content.data = TRY(store.read(pg, id, 0, StoreLimits::object_bytes));
        content.xattrs = TRY(store.xattrs(pg, id));
        for (auto& [key, value] : TRY(store.omap(pg, id, "", "", SIZE_MAX)).entries)
            content.omap.emplace(std::move(key), std::move(value));
    }
    return all;
}

std::string first_difference(const std::map<ObjectId, Content>& a,
                             const std::map<ObjectId, Content>& b) {
    for (const auto& [id, content] : a) {
        auto other = b.find(id);
        if (other == b.end()) return fmt::format("the second lacks {}", id.name);
        if (content.data != other->second.data)
            return fmt::format("the data of {} differ ({} and {} bytes)", id.name,
                               content.data.size(), other->second.data.size());
        if (content.xattrs != other->second.xattrs)
            return fmt::format("the xattrs of {} differ", id.name);
        if (content.omap != other->second.omap)
            return fmt::format("the omaps of {} differ", id.name);
    }
    for (const auto& [id, content] : b)
        if (!a.contains(id)) return fmt::format("the first lacks {}", id.name);
    return {};
}

/// What is wrong with the copies of a PG; empty when nothing is.
std::string wrong_with_copies(Cluster& cluster, PgId pg) {
    std::optional<std::map<ObjectId, Content>> first;
    int32_t first_osd = no_osd;
    for (int32_t osd : cluster.newest()->acting(pg).osds) {
        auto copy = contents(cluster.disk(static_cast<size_t>(osd)).contents(), pg);
        if (!copy) return fmt::format("osd.{}: {}", osd, copy.error().to_string());
        if (!first) {
            first = std::move(*copy);
            first_osd = osd;
            continue;
        }
        std::string difference = first_difference(*first, *copy);
        if (!difference.empty())
            return fmt::format("of osd.{} and osd.{}, {}", first_osd, osd, difference);
    }
    return {};
}

/// As a client may see it.
ObjectContent content_for_clients(Content content) {
    ObjectContent seen{.present = true, .data = std::move(content.data), .xattrs = {}};
    for (auto& [name, value] : content.xattrs)
        if (name != info_xattr)
            seen.xattrs[name.substr(user_xattr_prefix.size())] = std::move(value);
    seen.omap = std::move(content.omap);
    return seen;
}

Violation unexplained(std::string sentence, PgId pg) {
    return {"unexplained", std::move(sentence), pg.to_string()};
}

/// Adds the objects of a PG to `all`, by the history's names.
std::optional<Violation> collect(Cluster& cluster, PgId pg,
                                 std::map<std::string, std::pair<PgId, ObjectContent>>& all) {
    const OsdSet acting = cluster.newest()->acting(pg);
    if (acting.osds.empty()) return std::nullopt;
    const auto osd = static_cast<size_t>(acting.osds.front());
    auto copy = contents(cluster.disk(osd).contents(), pg);
    if (!copy) return unexplained(fmt::format("osd.{}: {}", osd, copy.error().to_string()), pg);
    for (auto& [id, content] : *copy) {
        const auto object = from_object_id(id);
        if (!object || cluster.newest()->pg_of(pg.pool, {.name = object->name}) != pg)
            return unexplained(fmt::format("{} of osd.{} holds \"{}\", which does not belong there",
                                           pg.to_string(), osd, id.name),
                               pg);
        all.insert_or_assign(fmt::format("{}/{}", pg.pool, object->name),
                             std::pair(pg, content_for_clients(std::move(content))));
    }
    return std::nullopt;
}

bool is_clean(const std::optional<PgReport>& report) {
    return report && report->state.has(PgFlag::active) && report->state.has(PgFlag::clean);
}

std::string sets(Cluster& cluster, PgId pg) {
    return fmt::format("up [{}] acting [{}]", fmt::join(cluster.newest()->up(pg).osds, ","),
                       fmt::join(cluster.newest()->acting(pg).osds, ","));
}

} // namespace

std::optional<PgId> first_unclean(Cluster& cluster) {
    for (PgId pg : cluster.pgs())
        if (!is_clean(cluster.report(pg))) return pg;
    return std::nullopt;
}

std::optional<Violation> must_be_clean(Cluster& cluster) {
    const auto pg = first_unclean(cluster);
    if (!pg) return std::nullopt;
    const auto report = cluster.report(*pg);
    std::string sentence = fmt::format("{} with {} in epoch {} is {}", pg->to_string(),
                                       sets(cluster, *pg), cluster.newest()->epoch(),
                                       report ? report->state.to_string() : "reported by nobody");
    const int32_t primary = cluster.newest()->acting(*pg).primary;
    if (primary >= 0)
        if (OsdMachine* machine = cluster.osd(static_cast<size_t>(primary)))
            sentence += fmt::format("; osd.{} in epoch {} says:\n  {}", primary, machine->epoch(),
                                    fmt::join(machine->describe(), "\n  "));
    return Violation{"not clean", std::move(sentence), pg->to_string()};
}

bool has_equal_copies(Cluster& cluster, PgId pg) { return wrong_with_copies(cluster, pg).empty(); }

std::optional<Violation> must_have_equal_copies(Cluster& cluster) {
    for (PgId pg : cluster.pgs()) {
        const std::string wrong = wrong_with_copies(cluster, pg);
        if (!wrong.empty())
            return Violation{"copies differ", fmt::format("{}: {}", pg.to_string(), wrong),
                             pg.to_string()};
    }
    return std::nullopt;
}

std::optional<Violation> must_be_explained(Cluster& cluster, const History& history) {
    std::map<std::string, std::pair<PgId, ObjectContent>> all;
    for (const auto& [object, calls] : history.objects()) all[object];
    for (PgId pg : cluster.pgs())
        if (auto violation = collect(cluster, pg, all)) return violation;
    for (const auto& [object, held] : all) {
        auto finding = check_final(history, object, held.second);
        if (finding) return unexplained(finding->story, held.first);
    }
    return std::nullopt;
}

std::optional<Violation> must_be_consistent(Cluster& cluster) {
    for (PgId pg : cluster.pgs()) {
        const auto report = cluster.report(pg);
        if (report && report->scrub_errors == 0 && !report->state.has(PgFlag::inconsistent))
            continue;
        return Violation{"inconsistent",
                         fmt::format("{} is {} with {} errors after repair and another deep scrub",
                                     pg.to_string(),
                                     report ? report->state.to_string() : "not reported",
                                     report ? report->scrub_errors : 0),
                         pg.to_string()};
    }
    return std::nullopt;
}

std::optional<Violation> must_have_few_epochs(const CloudStore& store, MonotonicTime now) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch());
    const auto allowed = static_cast<size_t>(300 + 5 * seconds.count());
    if (store.steps().size() <= allowed) return std::nullopt;
    std::string about;
    for (auto step = store.steps().rbegin(); about.empty() && step != store.steps().rend(); ++step)
        if (!(*step)->new_pg_temp.empty()) about = (*step)->new_pg_temp.begin()->first.to_string();
    return Violation{"maps without end",
                     fmt::format("{} epochs in {} s; the last temporary set is of {}",
                                 store.steps().size(), seconds.count(), about),
                     about};
}

std::optional<Violation> must_respect_slots(const Cluster& cluster) {
    if (cluster.too_many_at_once().empty()) return std::nullopt;
    return Violation{"too many at once", cluster.too_many_at_once(), ""};
}

std::optional<Violation> must_be_just(const Cluster& cluster) {
    if (cluster.injustice().empty()) return std::nullopt;
    return Violation{"unjust", cluster.injustice(), ""};
}

std::optional<Violation> must_keep_flags(const Cluster& cluster) {
    if (cluster.against_a_flag().empty()) return std::nullopt;
    return Violation{"against a flag", cluster.against_a_flag(), ""};
}

std::optional<Violation> must_be_one_history(const CloudStore& store) {
    if (store.fork().empty()) return std::nullopt;
    return Violation{"maps fork", store.fork(), ""};
}

} // namespace cloudlet::rados::sim
