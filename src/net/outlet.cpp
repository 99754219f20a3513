#include "outlet.h"

namespace cloudlet::net {

bool Outlet::push(Operation operation) {
    std::unique_lock lock(mutex_);
    if (over_) return false;
    size_t queued = queued_.fetch_add(operation.size()) + operation.size();
    bool within = queued <= limit_;
    if (!within) operation = Operation{Operation::Kind::abort};
    mailbox_.push_back(std::move(operation));
    if (loop_.in_loop_thread()) {
        lock.unlock();
        deliver();
    } else if (!scheduled_) {
        scheduled_ = true;
        loop_.post([self = shared_from_this()] { self->deliver(); });
    }
    return within;
}

void Outlet::deliver() {
    std::vector<Operation> operations;
    {
        std::lock_guard lock(mutex_);
        scheduled_ = false;
        operations.swap(mailbox_);
    }
    if (operations.empty()) return;
    if (auto owner = owner_.lock()) owner->carry_out(*this, std::move(operations));
}

void Outlet::when_drained(size_t level, std::function<void()> function) {
    std::lock_guard lock(mutex_);
    if (over_ || queued_ <= level) {
        loop_.post(std::move(function));
        return;
    }
    drained_ = std::move(function);
    drained_level_ = level;
    watched_ = true;
}

void Outlet::on_close(std::function<void()> function) {
    std::lock_guard lock(mutex_);
    if (over_) {
        loop_.post(std::move(function));
    } else {
        close_functions_.push_back(std::move(function));
    }
}

void Outlet::sent(size_t bytes) {
    queued_.fetch_sub(bytes);
    if (!watched_) return;
    std::lock_guard lock(mutex_);
    if (!drained_ || queued_ > drained_level_) return;
    watched_ = false;
    loop_.post(std::exchange(drained_, nullptr));
}

void Outlet::end() {
    std::vector<Operation> dropped;
    {
        std::lock_guard lock(mutex_);
        if (over_) return;
        over_ = true;
        queued_ = 0;
        dropped.swap(mailbox_);
        if (drained_) loop_.post(std::exchange(drained_, nullptr));
        if (!close_functions_.empty()) {
            loop_.post([functions = std::exchange(close_functions_, {})] {
                for (const auto& function : functions) function();
            });
        }
    }
    discard(std::move(dropped));
}

void Outlet::discard(std::vector<Operation> operations) {
    for (auto& operation : operations) {
        if (!operation.handlers) continue;
        loop_.post([handlers = std::move(operation.handlers)] {
            if (handlers->on_close) handlers->on_close();
        });
    }
}

} // namespace cloudlet::net
