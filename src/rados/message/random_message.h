#pragma once
// Random messages for tests: a value of any alternative, with every field set.

#include <array>
#include <memory>
#include <utility>
#include <vector>

#include "cloudlet/rados/message.h"
#include "object_store/random_transaction.h"
#include "osd_map/osd_map_random.h"
#include "pg/random_pg.h"

namespace cloudlet::rados {

class RandomMessages {
public:
    explicit RandomMessages(Random& random) : random_(random), pg_(random), transactions_(random) {}

    static constexpr size_t kinds = std::variant_size_v<MessageBody>;
    /// Its body is the alternative of this number.
    Message next(size_t kind) {
        static const auto makers = all_makers(std::make_index_sequence<kinds>());
        return {pg_.epoch(), makers[kind](*this)};
    }
    /// Without maps, which are large.
    void without_maps() { maps_ = false; }

private:
    using Maker = MessageBody (*)(RandomMessages&);
    template <size_t I>
    static MessageBody make(RandomMessages& random) {
        std::variant_alternative_t<I, MessageBody> body;
        random.fill(body);
        return body;
    }
    template <size_t... I>
    static std::array<Maker, kinds> all_makers(std::index_sequence<I...>) {
        return {&make<I>...};
    }

    Duration span() { return Duration(static_cast<int64_t>(random_.next())); }
    Attributes attributes() {
        Attributes made;
        for (uint64_t n = random_.below(4); n > 0; --n) made[pg_.text(3)] = pg_.text();
        return made;
    }
    SharedBytes data() { return share(pg_.text(40)); }
    template <typename T, typename Make>
    std::shared_ptr<const T> maybe(Make make) {
        return pg_.flag() ? std::make_shared<const T>(make()) : nullptr;
    }
    std::vector<int32_t> osds() {
        return pg_.list([&] { return pg_.osd(); });
    }

    Address address() {
        auto kind = static_cast<Address::Kind>(random_.below(5));
        return {{1, 1, {}}, kind, pg_.number(), pg_.text(28)};
    }
    PgState state() {
        PgState made;
        for (uint8_t flag = 0; flag <= static_cast<uint8_t>(PgFlag::wait); ++flag)
            if (random_.chance(0.2)) made.set(static_cast<PgFlag>(flag));
        return made;
    }
    PgReport report() {
        return {pg_.pg(),       state(),        pg_.epoch(),    pg_.history(),
                pg_.version(),  osds(),         osds(),         random_.next(),
                random_.next(), random_.next(), random_.next(), random_.next()};
    }
    Command a_command() {
        switch (random_.below(std::variant_size_v<Command>)) {
        case 0: return command::SetFlags{pg_.number(), pg_.number()};
        case 1: return command::In{pg_.osd()};
        case 2: return command::Out{pg_.osd()};
        case 3: return command::Down{pg_.osd()};
        case 4: return command::Lost{pg_.osd()};
        case 5: return command::Reweight{pg_.osd(), pg_.number()};
        case 6: return command::CrushReweight{pg_.osd(), pg_.number()};
        case 7: return command::AddOsd{pg_.osd(), pg_.text(), pg_.number()};
        default: return command::RemoveOsd{pg_.osd()};
        }
    }
    ObjectOp read_or_guard() {
        switch (random_.below(10)) {
        case 0: return op::AssertExists{};
        case 1: return op::AssertVersion{random_.next()};
        case 2: return op::CompareXattr{pg_.text(), pg_.text()};
        case 3: return op::CompareData{random_.next(), pg_.text()};
        case 4: return op::Read{random_.next(), random_.next()};
        case 5: return op::Stat{};
        case 6: return op::GetXattr{pg_.text()};
        case 7: return op::GetXattrs{};
        case 8: return op::GetOmap{pg_.text(), random_.next()};
        default: return op::GetOmapValues{keys()};
        }
    }
    ObjectOp change() {
        switch (random_.below(12)) {
        case 0: return op::Create{pg_.flag()};
        case 1: return op::WriteFull{data()};
        case 2: return op::Write{random_.next(), data()};
        case 3: return op::Append{data()};
        case 4: return op::Zero{random_.next(), random_.next()};
        case 5: return op::Truncate{random_.next()};
        case 6: return op::Remove{};
        case 7: return op::SetXattr{pg_.text(), pg_.text()};
        case 8: return op::RemoveXattr{pg_.text()};
        case 9: return op::SetOmap{attributes()};
        case 10: return op::RemoveOmapKeys{keys()};
        default: return op::ClearOmap{};
        }
    }
    std::vector<std::string> keys() {
        return pg_.list([&] { return pg_.text(); });
    }
    ObjectOps ops() {
        return pg_.list([&] { return pg_.flag() ? read_or_guard() : change(); });
    }
    OpResult op_result() {
        return {pg_.result(), pg_.text(), attributes(), pg_.flag(), random_.next(), pg_.time()};
    }
    std::shared_ptr<const PgLog> log() { return std::make_shared<const PgLog>(pg_.log()); }

    void fill(message::Boot& m) {
        m = {pg_.uuid(),
             {pg_.list([&] { return address(); })},
             {pg_.list([&] { return address(); })},
             pg_.flag()};
    }
    void fill(message::Failure& m) { m = {pg_.osd(), span(), pg_.flag(), pg_.flag()}; }
    void fill(message::Beacon& m) { m = {random_.next(), random_.next()}; }
    void fill(message::Alive& m) { m = {pg_.epoch()}; }
    void fill(message::WantTemp& m) {
        for (uint64_t n = random_.below(4); n > 0; --n) m.wanted[pg_.pg()] = osds();
    }
    void fill(message::Reports& m) {
        m = {pg_.list([&] { return report(); })};
    }
    void fill(message::GetMaps& m) { m = {pg_.epoch(), pg_.flag(), pg_.flag()}; }
    void fill(message::DoCommand& m) { m = {random_.next(), a_command()}; }
    void fill(message::Maps& m) {
        if (!maps_) return;
        OsdMap map = random_osd_map(random_);
        for (uint64_t n = random_.below(3); n > 0; --n)
            m.steps.push_back(std::make_shared<const OsdMapIncremental>(random_step(random_, map)));
        m.full = maybe<OsdMap>([&] { return map; });
    }
    void fill(message::AskOther& m) { m = {pg_.result()}; }
    void fill(message::CommandDone& m) { m = {random_.next(), pg_.result(), pg_.text()}; }
    void fill(message::CreatePg& m) { m = {pg_.pg(), pg_.history(), pg_.past()}; }
    void fill(message::ClientOp& m) {
        m = {pg_.request(), pg_.pg(),   pg_.object(),
             ops(),         pg_.time(), static_cast<uint8_t>(random_.below(4)),
             pg_.number()};
    }
    void fill(message::ClientReply& m) {
        m = {pg_.request(),
             pg_.result(),
             pg_.version(),
             random_.next(),
             pg_.list([&] { return op_result(); }),
             pg_.number()};
    }
    void fill(message::MarkUnfoundLost& m) { m = {pg_.pg(), pg_.flag(), random_.next()}; }
    void fill(message::ScrubCommand& m) { m = {pg_.pg(), pg_.flag(), pg_.flag()}; }
    void fill(message::Ping& m) {
        m = {MonotonicTime(span()), pg_.flag(), static_cast<Wire>(random_.below(wires))};
    }
    void fill(message::Query& m) { m = {pg_.pg(), pg_.flag()}; }
    void fill(message::Notify& m) {
        m = {pg_.info(), pg_.past(), {}};
        for (uint64_t n = random_.below(4); n > 0; --n) m.reads_left[pg_.osd()] = span();
    }
    void fill(message::FullRecord& m) { m = {pg_.info(), log(), pg_.missing()}; }
    void fill(message::Activate& m) { m = {pg_.info(), log(), pg_.past(), pg_.flag(), pg_.flag()}; }
    void fill(message::Activated& m) { m = {pg_.pg(), pg_.flag()}; }
    void fill(message::Learn& m) { m = {pg_.pg(), pg_.history()}; }
    void fill(message::Drop& m) { m = {pg_.pg()}; }
    void fill(message::Replicate& m) {
        m = {pg_.pg(), pg_.entry(), maybe<Transaction>([&] { return transactions_.next(); }),
             pg_.version()};
    }
    void fill(message::Replicated& m) { m = {pg_.pg(), pg_.version(), pg_.flag()}; }
    void fill(message::Pull& m) { m = {pg_.pg(), pg_.object(), pg_.version()}; }
    void fill(message::Push& m) {
        m = {pg_.pg(),
             pg_.object(),
             pg_.version(),
             maybe<change::Replace>([&] {
                 return change::Replace{data(), attributes(), attributes()};
             }),
             pg_.result(),
             pg_.flag()};
    }
    void fill(message::Pushed& m) { m = {pg_.pg(), pg_.object(), pg_.version(), pg_.result()}; }
    void fill(message::Scan& m) {
        m = {pg_.pg(), pg_.cursor(), pg_.cursor(), pg_.number(), pg_.number()};
    }
    void fill(message::Scanned& m) {
        m = {pg_.pg(), pg_.cursor(), pg_.cursor(), pg_.list([&] {
                 return std::pair{pg_.object(), pg_.version()};
             }),
             pg_.number()};
    }
    void fill(message::BackfillProgress& m) { m = {pg_.pg(), pg_.cursor()}; }
    void fill(message::Reserve& m) {
        m = {pg_.pg(), static_cast<message::Reserve::Step>(random_.below(5)), pg_.flag(),
             pg_.number(), static_cast<uint8_t>(random_.below(256))};
    }
    void fill(message::ScrubReserve& m) {
        m = {pg_.pg(), static_cast<message::ScrubReserve::Step>(random_.below(4))};
    }
    void fill(message::ScrubAsk& m) {
        m = {pg_.pg(), random_.next(), pg_.cursor(), pg_.cursor(), pg_.flag()};
    }
    void fill(message::ScrubAnswer& m) {
        m = {pg_.pg(), random_.next(), {}};
        for (uint64_t n = random_.below(4); n > 0; --n)
            m.objects[pg_.object()] = {pg_.version(), random_.next(), pg_.number(), pg_.number(),
                                       pg_.flag()};
    }

    Random& random_;
    RandomPg pg_;
    RandomTransactions transactions_;
    bool maps_ = true;
};

} // namespace cloudlet::rados
