#pragma once
// Informers: a local copy of one collection, kept current by a watch, that everyone in the process
// shares. A controller reads the copy and is told which keys changed; it never polls.

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "cloudlet/api/client.h"

namespace cloudlet::api {

/// A copy of one collection, optionally narrowed by selectors. Reads are thread-safe at any time.
/// Handlers are called in order on one thread of the server and must not block: they put keys into
/// a WorkQueue. When the watch breaks (expired, slow), the informer lists anew and reports the
/// difference.
class Informer {
public:
    /// `before` is empty for an object that is new, `after` for one that is gone.
    using Handler = std::function<void(const Object& before, const Object& after)>;
    /// Index keys of an object, e.g. the uid of its controller.
    using IndexFunction = std::function<std::vector<std::string>(const Object&)>;

    Informer(Client& client, Resource resource, std::string ns = {}, WatchOptions selectors = {});
    ~Informer();
    Informer(const Informer&) = delete;
    Informer& operator=(const Informer&) = delete;

    /// Before start() only.
    void add_index(const std::string& name, IndexFunction function);
    /// Before start() or after: a late handler is first given every object there is.
    void add_handler(Handler handler);

    /// Lists, then watches. Blocks until the first list is in.
    Result<> start();
    void stop();
    bool synced() const;

    Object get(const ObjectKey& key) const; // empty when absent
    std::vector<Object> list(const std::string& ns = {}) const;
    std::vector<Object> by_index(const std::string& index, const std::string& value) const;
    size_t size() const;
    const Resource& resource() const;

private:
    struct State;
    std::shared_ptr<State> state_;
};

/// One shared Informer for each resource, made at first use; start() starts all that were asked
/// for.
class InformerSet {
public:
    explicit InformerSet(Client& client) : client_(client) {}
    /// The shared informer of all namespaces of a resource.
    Informer& of(const Resource& resource);
    Result<> start(); // those not yet started
    void stop();
    Client& client() { return client_; }

private:
    Client& client_;
    std::mutex mutex_;
    std::map<Resource, std::unique_ptr<Informer>> informers_;
};

} // namespace cloudlet::api
