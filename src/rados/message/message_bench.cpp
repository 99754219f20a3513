// What a message costs as bytes: a write's Replicate, and a heartbeat.
#include <benchmark/benchmark.h>

#include "cloudlet/base/check.h"
#include "cloudlet/rados/message_codec.h"
#include "cloudlet/rados/pg_codec.h"

namespace {

using namespace cloudlet::rados;

const PgId pg{1, 0x1f};

LogEntry entry() {
    return {.object = {.hash = 0x12345678, .name = "rbd_data.1234567890ab.0000000000000000"},
            .version = {7, 4711},
            .prior_version = {7, 4710},
            .request = {4123, 1, 17},
            .user_version = 4711};
}

/// As a primary makes it: the data, the object's info, the log entry and the PG's info.
Message replicate(size_t bytes) {
    Transaction change;
    ObjectId object{0x1e6a2c48, entry().object.name};
    change.write(pg, object, 0, std::string(bytes, 'x'));
    change.add(pg, object, change::SetXattrs{{{"_", encode_object_info({{7, 4711}, 4711, {}})}}});
    change.add(pg, {0, "meta"},
               change::SetOmap{{{"log.4711", encode_log_entry(entry())},
                                {"info", encode_pg_info({.pg = pg, .last_update = {7, 4711}})}}});
    return {7, message::Replicate{.pg = pg,
                                  .entry = entry(),
                                  .change = std::make_shared<const Transaction>(std::move(change)),
                                  .trim_to = {7, 4000}}};
}

Message message_of(const benchmark::State& state) {
    if (state.range(0) == 0) return {7, message::Ping{}};
    return replicate(static_cast<size_t>(state.range(0)));
}

void encode(benchmark::State& state) {
    Message message = message_of(state);
    size_t bytes = 0;
    for (auto _ : state) {
        std::string made = encode_message(message);
        bytes += made.size();
        benchmark::DoNotOptimize(made.data());
    }
    state.SetBytesProcessed(static_cast<int64_t>(bytes));
}

void decode(benchmark::State& state) {
    std::string bytes = encode_message(message_of(state));
    for (auto _ : state) {
        auto message = decode_message(bytes);
        cloudlet::check(message.has_value(), "the benchmark's message is refused");
        benchmark::DoNotOptimize(message->get());
    }
    state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(bytes.size()));
}

// 0 is a Ping, else a Replicate of so much data.
BENCHMARK(encode)->Name("message_encode")->Arg(0)->Arg(4096)->Arg(65536)->ArgName("data");
BENCHMARK(decode)->Name("message_decode")->Arg(0)->Arg(4096)->Arg(65536)->ArgName("data");

} // namespace
