#pragma once
// The way from any thread to a connection: operations in order, a count of what is unsent, and the
// news that it is over. Shared by the connection (loop thread) and the exchange or stream.

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "cloudlet/io/event_loop.h"
#include "cloudlet/net/byte_stream.h"
#include "transport.h"

namespace cloudlet::net {

class Outlet;

/// One step of an answer or of a raw stream, encoded on the caller's thread.
struct Operation {
    enum class Kind {
        head,       // an answer of unknown length begins
        bytes,      // more of it, or of a raw stream
        last,       // the answer is complete with these bytes
        upgrade,    // these bytes, then the connection is raw
        handlers,   // who gets the raw stream's bytes
        half_close, // no more from us
        close,      // send what is queued, then close
        abort,      // close now
        pause,
        resume,
    };
    Kind kind = Kind::bytes;
    std::array<Piece, 3> pieces = {};
    std::shared_ptr<StreamHandlers> handlers = {};

    size_t size() const {
        return pieces[0].bytes().size() + pieces[1].bytes().size() + pieces[2].bytes().size();
    }
};

/// Carries operations out. Loop thread.
class OutletOwner {
public:
    virtual ~OutletOwner() = default;
    virtual void carry_out(Outlet& outlet, std::vector<Operation> operations) = 0;
};

class Outlet : public std::enable_shared_from_this<Outlet> {
public:
    Outlet(io::EventLoop& loop, std::weak_ptr<OutletOwner> owner, size_t limit)
        : loop_(loop), owner_(std::move(owner)), limit_(limit) {}

    /// Any thread. False when it is over, or when the limit of unsent bytes was passed: then the
    /// connection is cut.
    bool push(Operation operation);
    size_t queued() const { return queued_.load(std::memory_order_relaxed); }
    bool over() const { return over_.load(std::memory_order_acquire); }
    void when_drained(size_t level, std::function<void()> function);
    void on_close(std::function<void()> function);

    /// Loop thread: bytes left, or all is over. User functions run later, from the loop.
    void sent(size_t bytes);
    void end();
    /// Operations that will not be carried out: whoever waits for a stream's end hears of it.
    void discard(std::vector<Operation> operations);

private:
    void deliver();

    io::EventLoop& loop_;
    std::weak_ptr<OutletOwner> owner_;
    size_t limit_;
    std::mutex mutex_;
    std::vector<Operation> mailbox_;                     // under mutex_
    bool scheduled_ = false;                             // under mutex_
    std::vector<std::function<void()>> close_functions_; // under mutex_
    std::function<void()> drained_;                      // under mutex_
    size_t drained_level_ = 0;                           // under mutex_
    std::atomic<bool> watched_ = false;                  // drained_ is set
    std::atomic<bool> over_ = false;                     // written under mutex_
    std::atomic<size_t> queued_ = 0;
};

} // namespace cloudlet::net
