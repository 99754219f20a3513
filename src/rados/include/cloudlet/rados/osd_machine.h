#pragma once
// An OSD: a disk's object store, the placement groups on it, and what they share: the map, the
// heartbeats, the reservations, the way to the monitors.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "cloudlet/rados/machine.h"
#include "cloudlet/rados/map_follower.h"
#include "cloudlet/rados/message.h"
#include "cloudlet/rados/object_store.h"
#include "cloudlet/rados/scrub_schedule.h"

namespace cloudlet::rados {

struct OsdOptions {
    std::vector<int32_t> monitors = {0};
    Duration heartbeat = std::chrono::seconds(6);   // osd_heartbeat_interval, plus jitter
    Duration grace = std::chrono::seconds(20);      // osd_heartbeat_grace
    Duration read_lease = std::chrono::seconds(16); // 0.8 of the grace
    Duration report_every = std::chrono::milliseconds(500);
    Duration beacon_every = std::chrono::seconds(300);
    PgLogLimits log = {};
    size_t recover_at_once = 3;       // objects of one PG
    size_t backfill_batch = 16;       // objects
    size_t scrub_chunk = 16;          // objects
    size_t most_backfills = 1;        // osd_max_backfills: PGs that this OSD fills, or is filled in
    size_t least_heartbeat_peers = 4; // osd_heartbeat_min_peers
    ScrubIntervals scrub = {};        // when a PG is scrubbed without being asked to
    size_t most_scrubs = 1;           // osd_max_scrubs: such PGs at once, ours and others'
    Duration scrub_tick = std::chrono::seconds(5);   // how often it looks what is due
    Duration scrub_retry = std::chrono::seconds(10); // half of it to one and a half, by dice
    AddressVector address = {};                      // where it is reached; each boot adds a nonce
    AddressVector cluster_address = {}; // ... by other OSDs, if there by another network
    Duration retry_too_full = std::chrono::seconds(30);
    size_t most_requests = 1024;                       // of clients, waiting or being carried out
    uint64_t most_request_bytes = uint64_t{500} << 20; // osd_client_message_size_cap
};

/// Scrubs that began because they were due.
struct ScrubCounts {
    uint64_t shallow = 0, deep = 0;
    bool operator==(const ScrubCounts&) const = default;
};

class OsdCore;

/// The shell gives it a store whose listener forwards to committed() and failed().
class OsdMachine final : public Machine, public StoreListener {
public:
    /// `store` and `maps` must outlive it. Reads what the disk holds; an empty disk becomes that
    /// of OSD `number` with the given uuid.
    OsdMachine(int32_t number, Uuid disk, World& world, ObjectStore& store, MapCache& maps,
               OsdOptions options = {});
    ~OsdMachine() override;

    /// Asks for maps and boots. Call it once.
    void start();
    void receive(const Entity& from, const MessagePtr& message) override;
    void reset(const Entity& peer) override;
    void gone(const Entity& peer, MonotonicTime asked) override;
    void wake() override;
    void committed(uint64_t token) override;
    void failed(const Error& error) override;

    /// True when it gave up: its disk failed, or it was marked down too often. The process ends.
    bool stopped() const;
    Epoch epoch() const;
    /// The map calls it up in its present life.
    bool is_up() const;
    /// That map does.
    bool is_up_in(const OsdMap& map) const;
    /// What each PG here is doing, for whoever looks: "1.2f active clean [1,2,0] 5'12".
    std::vector<std::string> describe() const;
    /// The reports of the PGs that this OSD is primary of, as the monitors would get them now.
    std::vector<PgReport> reports() const;
    /// One of them; nothing of a PG that it is not primary of.
    std::optional<PgReport> report(PgId pg) const;
    /// Of the PGs that this OSD is primary of, since the process began.
    ScrubCounts scheduled_scrubs() const;

private:
    std::unique_ptr<OsdCore> core_;
};

} // namespace cloudlet::rados
