#include "cloudlet/api/event_recorder.h"

#include <condition_variable>
#include <deque>
#include <list>
#include <map>
#include <mutex>
#include <thread>

#include <pthread.h>

#include <fmt/format.h>

#include "cloudlet/base/log.h"

namespace cloudlet::api {

namespace {

constexpr size_t kQueueLimit = 1024;
constexpr size_t kRemembered = 1024; // events whose repeats are counted

struct Note {
    codec::Json about; // an ObjectReference
    std::string type;
    std::string reason;
    std::string message;
    WallTime time;

    std::string identity() const {
        return about.dump() + '\n' + type + '\n' + reason + '\n' + message;
    }
};

codec::Json reference_to(const Object& object, std::string_view field_path) {
    auto reference = codec::Json::object(
        {{"kind", object.kind()}, {"name", object.name()}, {"uid", object.uid()}});
    if (!object.ns().empty()) reference.set("namespace", object.ns());
    if (!object.api_version().empty()) reference.set("apiVersion", object.api_version());
    if (!field_path.empty()) reference.set("fieldPath", field_path);
    return reference;
}

} // namespace

struct EventRecorder::State {
    struct Written {
        std::string identity;
        ObjectKey key;
        int64_t count;
    };

    Client& client;
    const std::string component;
    const std::string host;
    const Clock& clock;

    std::mutex mutex;
    std::condition_variable changed;
    std::deque<Note> queue;
    bool stopping = false;
    MonotonicTime give_up;
    std::thread thread;

    std::list<Written> recent; // the thread's own, latest first
    std::map<std::string, std::list<Written>::iterator, std::less<>> by_identity;

    State(Client& c, std::string who, std::string where, const Clock& time)
        : client(c), component(std::move(who)), host(std::move(where)), clock(time) {}

    void run() {
        pthread_setname_np(pthread_self(), "events");
        std::unique_lock lock(mutex);
        for (;;) {
            changed.wait(lock, [this] { return stopping || !queue.empty(); });
            if (queue.empty() || (stopping && std::chrono::steady_clock::now() > give_up)) return;
            Note note = std::move(queue.front());
            queue.pop_front();
            lock.unlock();
            if (auto done = write(note); !done)
                log_debug("api", "event {} is lost: {}", note.reason, done.error().to_string());
            lock.lock();
        }
    }

    Result<> write(const Note& note) {
        const std::string identity = note.identity();
        auto known = by_identity.find(identity);
        if (known != by_identity.end()) {
            Written& written = *known->second;
            recent.splice(recent.begin(), recent, known->second);
            auto patch = codec::Json::object(
                {{"count", ++written.count}, {"lastTimestamp", format_time(note.time)}});
            auto patched = client.patch(resources::events, written.key, PatchType::merge, patch);
            if (patched || patched.error().code != Code::not_found)
                return with_context(forget(patched), "count");
            by_identity.erase(known);
            recent.pop_front();
        }
        auto created = TRY(client.create(resources::events, namespace_of(note), event_of(note)));
        recent.push_front({identity, created.key(), 1});
        by_identity[identity] = recent.begin();
        if (recent.size() > kRemembered) {
            by_identity.erase(recent.back().identity);
            recent.pop_back();
        }
        return {};
    }

    static Result<> forget(const Result<Object>& result) {
        if (!result) return tl::unexpected(result.error());
        return {};
    }

    static std::string namespace_of(const Note& note) {
        return std::string(
            note.about["namespace"].as_string("default")); // cluster-scoped objects' too
    }

    codec::Json event_of(const Note& note) const {
        const auto nanos = static_cast<uint64_t>(note.time.time_since_epoch().count());
        // A name has 253 letters at most, and the object's may have all of them.
        auto about = note.about["name"].as_string().substr(0, 253 - 17);
        while (about.ends_with('.') || about.ends_with('-')) about.remove_suffix(1);
        const auto name = fmt::format("{}.{:x}", about, nanos);
        auto source = codec::Json::object({{"component", component}});
        if (!host.empty()) source.set("host", host);
        const std::string time = format_time(note.time);
        return codec::Json::object(
            {{"metadata", codec::Json::object({{"name", name}, {"namespace", namespace_of(note)}})},
             {"involvedObject", note.about},
             {"reason", note.reason},
             {"message", note.message},
             {"source", std::move(source)},
             {"firstTimestamp", time},
             {"lastTimestamp", time},
             {"count", 1},
             {"type", note.type},
             {"reportingComponent", component},
             {"reportingInstance", host}});
    }
};

EventRecorder::EventRecorder(Client& client, std::string component, std::string host,
                             const Clock& clock)
    : state_(std::make_unique<State>(client, std::move(component), std::move(host), clock)) {
    state_->thread = std::thread([state = state_.get()] { state->run(); });
}

EventRecorder::~EventRecorder() { stop(); }

void EventRecorder::record(const Object& about, Type type, std::string_view reason,
                           std::string message, std::string_view field_path) {
    if (!about) return;
    Note note{reference_to(about, field_path), type == Type::normal ? "Normal" : "Warning",
              std::string(reason), std::move(message), state_->clock.wall()};
    std::lock_guard lock(state_->mutex);
    if (state_->stopping || state_->queue.size() >= kQueueLimit) return;
    state_->queue.push_back(std::move(note));
    state_->changed.notify_one();
}

void EventRecorder::stop() {
    {
        std::lock_guard lock(state_->mutex);
        if (!state_->stopping)
            state_->give_up = std::chrono::steady_clock::now() + std::chrono::seconds{1};
        state_->stopping = true;
    }
    state_->changed.notify_all();
    if (state_->thread.joinable()) state_->thread.join();
}

} // namespace cloudlet::api
