// Reactor: one thread's epoll loop. Nothing in msb sleeps or polls; every wait is
// a descriptor watched here.
//
//   MSB_TRY(auto reactor, Reactor::create());
//   MSB_TRY(auto watch, reactor->watch(fd, EPOLLIN, [&](uint32_t events) { ... }));
//   MSB_CHECK(reactor->run());        // until stop()
//
// A Watch or Timer unregisters itself when destroyed, also from inside a callback
// (its own included). All calls belong to the reactor's thread.
#pragma once

#include <sys/epoll.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>

#include "base/fd.h"
#include "base/result.h"

namespace msb {

class Reactor {
 public:
  using Callback = std::function<void(uint32_t events)>;

  // Keeps a descriptor watched. Does not own the descriptor, which must stay open as long.
  class [[nodiscard]] Watch {
   public:
    Watch() = default;
    Watch(Watch&& other) noexcept { *this = std::move(other); }
    Watch& operator=(Watch&& other) noexcept;
    ~Watch() { reset(); }
    void reset();
    // Changes the events of interest; 0 keeps only errors and hang-ups.
    Result<> set_events(uint32_t events);
    explicit operator bool() const { return reactor_ != nullptr; }

   private:
    friend class Reactor;
    Watch(Reactor* reactor, uint64_t id) : reactor_(reactor), id_(id) {}
    Reactor* reactor_ = nullptr;
    uint64_t id_ = 0;
  };

  static Result<std::unique_ptr<Reactor>> create();
  ~Reactor();
  Reactor(const Reactor&) = delete;
  Reactor& operator=(const Reactor&) = delete;

  Result<Watch> watch(int fd, uint32_t events, Callback callback);

  // Dispatches until stop() is called from a callback.
  Result<> run();
  // Waits for one batch of events and dispatches it.
  Result<> run_once();
  void stop() { stopping_ = true; }

 private:
  explicit Reactor(Fd epoll) : epoll_(std::move(epoll)) {}
  struct Entry {
    int fd;
    uint32_t events;
    Callback callback;
  };
  Fd epoll_;
  uint64_t next_id_ = 1;
  bool stopping_ = false;
  std::unordered_map<uint64_t, std::shared_ptr<Entry>> entries_;
};

// A one-shot timer on the monotonic clock. Re-armable; arming replaces the previous deadline.
class Timer {
 public:
  static Result<std::unique_ptr<Timer>> create(Reactor& reactor, std::function<void()> callback);
  Result<> arm(std::chrono::nanoseconds delay);
  void disarm();

 private:
  explicit Timer(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
  std::function<void()> callback_;
  Reactor::Watch watch_;
};

// Blocks the given signals for this thread (and those created later) and delivers them as events.
class SignalWatch {
 public:
  static Result<std::unique_ptr<SignalWatch>> create(Reactor& reactor, std::initializer_list<int> signals,
                                                     std::function<void(int signal)> callback);

 private:
  explicit SignalWatch(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
  std::function<void(int)> callback_;
  Reactor::Watch watch_;
};

}  // namespace msb
