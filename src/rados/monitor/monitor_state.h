#pragma once
// The inside of a MonitorMachine: what every monitor has (the maps), what only a leader has
// (Office, which ends with its lease), and the append that is under way (which outlives the lease:
// its outcome is known only by the store's answer).

#include <deque>
#include <optional>

#include "cloudlet/rados/monitor_machine.h"
#include "monitor/map_draft.h"
#include "monitor/map_server.h"
#include "monitor/osd_wishes.h"
#include "monitor/report_book.h"
#include "monitor/space_book.h"
#include "monitor/temp_wishes.h"

namespace cloudlet::rados {

class MonitorState {
public:
    MonitorState(int32_t number, World& world, MapStore& store, MapCache& cache,
                 MonitorOptions options)
        : number_(number), world_(world), store_(store), cache_(cache),
          options_(std::move(options)), maps_(world) {}

    void start(const std::shared_ptr<const OsdMap>& base, const std::vector<MapStep>& steps);
    void committed(const MapStep& step);
    void refused(uint64_t term, Epoch epoch);
    void lead(uint64_t term, MonotonicTime until);
    void follow(int32_t leader);
    void receive(const Entity& from, const Message& message);
    void reset(const Entity& peer);
    void wake();

    bool leads() const;
    const MapEpochPtr& newest() const { return maps_.newest(); }
    std::map<PgId, PgReport> reports() const;
    const OsdSpaces& spaces() const;
    std::vector<HealthCheck> health() const;

private:
    struct AskedCommand {
        Entity who = {};
        message::DoCommand asked = {};
        std::string text = {}; // of the answer, once it is in a step
    };
    struct Office {
        Office(uint64_t its_term, MonotonicTime now, const MonitorOptions& options)
            : term(its_term), liveness(options.liveness), reports(now, options.create_retry) {}
        uint64_t term;
        MonotonicTime until = {};
        OsdLiveness liveness;
        OsdWishes wishes = {};
        TempWishes temps = {};
        SpaceBook space = {};
        ReportBook reports;
        std::deque<AskedCommand> commands = {};
        /// After a refusal: nothing is appended before this epoch, or this time.
        Epoch await_epoch = 0;
        MonotonicTime await_until = {};
    };
    struct Append {
        uint64_t term = 0;
        MapStep step = {};
        std::vector<AskedCommand> commands = {};
    };

    // monitor_machine.cpp
    void advance(const MapStep& step);
    void leave_office();
    void notice_lease();
    void answer(const AskedCommand& command, int32_t result, std::string text);
    void answer_all(const std::vector<AskedCommand>& commands, int32_t result);
    void say(std::string_view what);
    // monitor_proposal.cpp
    void propose();
    std::vector<AskedCommand> draft_commands(MapDraft& draft);
    void draft_judgement(MapDraft& draft);
    // monitor_hearing.cpp
    bool serve(const Entity& from, const Message& message);
    void hear(int32_t osd, Epoch epoch, const message::Boot& boot);
    void hear(int32_t osd, Epoch epoch, const message::Failure& failure);
    void hear(int32_t osd, Epoch epoch, const message::Beacon& beacon);
    void hear(int32_t osd, Epoch epoch, const message::Alive& alive);
    void hear(int32_t osd, Epoch epoch, const message::WantTemp& want);
    void hear(int32_t osd, Epoch epoch, const message::Reports& reports);
    void create_pgs();

    int32_t number_;
    World& world_;
    MapStore& store_;
    MapCache& cache_;
    MonitorOptions options_;
    MapServer maps_;
    PgPasts pasts_;
    int32_t leader_ = -1;
    std::optional<Office> office_;
    std::optional<Append> append_;
};

} // namespace cloudlet::rados
