#include "writer.h"

#include "cloudlet/io/worker_pool.h"

namespace cloudlet::kube::server {

namespace {

constexpr int attempt_limit = 32; // each lost to a change of something else that was compared

Outcome<Written> preview(const api::Kind& kind, const ObjectPointer& current, Decision decision) {
    Written written;
    if (decision.action == Decision::Action::put) {
        std::string bytes = encode_for_store(kind, decision.object);
        written.json =
            share(current ? splice_revision(kind, bytes, current->revision()) : std::move(bytes));
        return written;
    }
    if (!current) return refuse(internal("a decision to keep nothing"));
    written.object = current;
    written.json = current->json();
    written.removed = decision.action == Decision::Action::remove;
    return written;
}

} // namespace

struct Writer::Job {
    const api::Kind* kind;
    std::string ns, name, key;
    Mode mode;
    Decide decide;
    WriteDone done;
    int attempts = 0;
};

Writer::~Writer() {
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [this] { return under_way_ == 0; });
}

void Writer::write(const api::Kind& kind, std::string ns, std::string name, Mode mode,
                   Decide decide, WriteDone done) {
    auto job = std::make_shared<Job>();
    job->kind = &kind;
    job->key = store_key(kind, ns, name);
    job->ns = std::move(ns);
    job->name = std::move(name);
    job->mode = mode;
    job->decide = std::move(decide);
    job->done = std::move(done);
    {
        std::lock_guard lock(mutex_);
        ++under_way_;
    }
    if (take_turn(job)) attempt(std::move(job));
}

bool Writer::take_turn(const std::shared_ptr<Job>& job) {
    std::lock_guard lock(mutex_);
    auto [queue, first] = waiting_.try_emplace(job->key);
    if (!first) queue->second.push_back(job);
    return first;
}

std::shared_ptr<Writer::Job> Writer::next_turn(const std::string& key) {
    std::lock_guard lock(mutex_);
    auto queue = waiting_.find(key);
    if (queue->second.empty()) {
        waiting_.erase(queue);
        return nullptr;
    }
    auto next = std::move(queue->second.front());
    queue->second.pop_front();
    return next;
}

void Writer::attempt(std::shared_ptr<Job> job) {
    const ObjectPointer current = cache_.find(*job->kind)->get(object_path(job->ns, job->name));
    auto decision = job->decide(current);
    if (!decision) return finish(job, tl::unexpected(std::move(decision.error())));
    const bool writes = decision->action != Decision::Action::keep;
    if (!writes || job->mode == Mode::dry_run)
        return finish(job, preview(*job->kind, current, std::move(*decision)));
    commit(std::move(job), current, std::move(*decision));
}

void Writer::commit(std::shared_ptr<Job> job, const ObjectPointer& current, Decision decision) {
    store::Transaction transaction = std::move(decision.also);
    transaction.compares.push_back({job->key, store::Compare::Target::mod_revision,
                                    store::Compare::Op::equal, current ? current->revision() : 0});
    SharedBytes bytes;
    if (decision.action == Decision::Action::put) {
        bytes = share(encode_for_store(*job->kind, decision.object));
        cache_.expect(job->key, bytes, std::move(decision.object));
        transaction.then.emplace_back(store::Put{job->key, bytes, decision.lease});
    } else {
        transaction.then.emplace_back(store::Delete{job->key, {}});
    }
    auto holds = std::make_shared<std::vector<std::shared_ptr<void>>>(std::move(decision.holds));
    store_.commit(std::move(transaction),
                  [this, job, current, bytes, holds](Result<store::TransactionResult> result) {
                      if (bytes) cache_.forget(job->key, bytes); // in case no event took it
                      holds->clear();
                      committed(job, current, bytes, std::move(result));
                  });
}

void Writer::committed(const std::shared_ptr<Job>& job, const ObjectPointer& current,
                       const SharedBytes& bytes, Result<store::TransactionResult> result) {
    if (!result) return finish(job, refuse(from_error(result.error())));
    if (!result->succeeded) return retry(job);
    Written written;
    if (!bytes) {
        written.removed = true;
        written.object = current;
        written.json = share(current->json_at(result->revision));
        return finish(job, std::move(written));
    }
    written.object = cache_.find(*job->kind)->get(object_path(job->ns, job->name));
    if (!written.object ||
        written.object->revision() != result->revision) { // somebody wrote after us
        auto own = CachedObject::make(*job->kind, bytes, result->revision);
        if (!own) return finish(job, refuse(from_error(own.error())));
        written.object = std::move(*own);
    }
    written.json = written.object->json();
    finish(job, std::move(written));
}

void Writer::retry(std::shared_ptr<Job> job) {
    if (++job->attempts >= attempt_limit)
        return finish(job, refuse(modified(resource_of(*job->kind), job->name)));
    if (!pool_.submit([this, job] { attempt(job); }))
        finish(job, refuse(unavailable("the server is busy; try again")));
}

void Writer::finish(const std::shared_ptr<Job>& job, Outcome<Written> outcome) {
    std::exchange(job->done, {})(std::move(outcome));
    size_t finished = 1;
    auto next = next_turn(job->key);
    while (next && !pool_.submit([this, next] { attempt(next); })) {
        std::exchange(next->done, {})(refuse(unavailable("the server is busy; try again")));
        ++finished;
        next = next_turn(job->key);
    }
    std::lock_guard lock(mutex_); // last: the destructor waits for this count
    under_way_ -= finished;
    if (under_way_ == 0) idle_.notify_all();
}

} // namespace cloudlet::kube::server
