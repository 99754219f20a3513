#pragma once
// Random histories of objects that behave: clients that ask one thing at a time, answers that come
// late or never, changes that happen anywhere in between. For tests of the check.

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "cloudlet/base/random.h"
#include "sim/atomic_object.h"
#include "sim/history.h"
#include "sim/random_requests.h"

namespace cloudlet::rados::sim {

struct RandomHistoryOptions {
    size_t calls = 200, objects = 10, clients = 4;
    double lost = 0.02; // answers that never come
    /// May change the reply that a call is about to get.
    std::function<void(const History&, const Call&, message::ClientReply&)> meddle = {};
};

class RandomHistory {
public:
    RandomHistory(Random& random, RandomHistoryOptions options)
        : random_(random), options_(std::move(options)) {
        for (size_t i = 0; i < options_.clients; ++i)
            clients_.push_back({RandomRequests(fmt::format("c{}", i))});
    }

    History make() {
        for (;;) {
            bool busy = history_.calls().size() < options_.calls;
            for (const Client& client : clients_) busy |= client.call.has_value();
            if (!busy) return std::move(history_);
            now_ += std::chrono::microseconds(random_.below(1000));
            go_on(random_.below(clients_.size()));
        }
    }
    std::map<std::string, AtomicObject> objects;

private:
    struct Client {
        RandomRequests requests;
        std::optional<size_t> call = {};
        std::optional<message::ClientReply> reply = {};
        std::map<std::string, uint64_t> seen = {};
    };

    void go_on(size_t who) {
        Client& client = clients_[who];
        if (!client.call) {
            if (history_.calls().size() == options_.calls) return;
            const std::string object = fmt::format("o{}", random_.below(options_.objects));
            client.call =
                history_.called(static_cast<int32_t>(who), ++numbers_, object,
                                client.requests.random_ops(random_, client.seen[object]), now_);
            return;
        }
        const Call& call = history_.calls()[*client.call];
        const bool lost = random_.chance(options_.lost);
        if (!client.reply && !lost) {
            client.reply = objects[call.object].carry_out(call.ops, ++versions_);
            return;
        }
        if (!lost) {
            if (options_.meddle) options_.meddle(history_, call, *client.reply);
            client.seen[call.object] = client.reply->user_version;
            history_.returned(*client.call, *client.reply, now_);
        }
        client.call.reset();
        client.reply.reset();
    }

    Random& random_;
    RandomHistoryOptions options_;
    History history_;
    std::vector<Client> clients_;
    uint64_t numbers_ = 0, versions_ = 0;
    MonotonicTime now_ = {};
};

} // namespace cloudlet::rados::sim
