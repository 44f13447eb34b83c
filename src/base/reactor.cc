#include "base/reactor.h"

#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <csignal>

namespace msb {

Reactor::Watch& Reactor::Watch::operator=(Watch&& other) noexcept {
  if (this != &other) {
    reset();
    reactor_ = std::exchange(other.reactor_, nullptr);
    id_ = other.id_;
  }
  return *this;
}

void Reactor::Watch::reset() {
  Reactor* reactor = std::exchange(reactor_, nullptr);
  if (!reactor) return;
  auto found = reactor->entries_.find(id_);
  if (found == reactor->entries_.end()) return;
  ::epoll_ctl(reactor->epoll_.get(), EPOLL_CTL_DEL, found->second->fd, nullptr);
  reactor->entries_.erase(found);
}

Result<> Reactor::Watch::set_events(uint32_t events) {
  auto& entry = *reactor_->entries_.at(id_);
  if (entry.events == events) return {};
  epoll_event event{.events = events, .data = {.u64 = id_}};
  if (::epoll_ctl(reactor_->epoll_.get(), EPOLL_CTL_MOD, entry.fd, &event) < 0) return fail_errno("change a watch");
  entry.events = events;
  return {};
}

Result<std::unique_ptr<Reactor>> Reactor::create() {
  Fd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return fail_errno("create an epoll instance");
  return std::unique_ptr<Reactor>(new Reactor(std::move(epoll)));
}

Reactor::~Reactor() = default;

Result<Reactor::Watch> Reactor::watch(int fd, uint32_t events, Callback callback) {
  uint64_t id = next_id_++;
  epoll_event event{.events = events, .data = {.u64 = id}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) < 0) return fail_errno("watch a descriptor");
  entries_.emplace(id, std::make_shared<Entry>(Entry{fd, events, std::move(callback)}));
  return Watch(this, id);
}

Result<> Reactor::run() {
  stopping_ = false;
  while (!stopping_) MSB_CHECK(run_once());
  return {};
}

Result<> Reactor::run_once() {
  epoll_event events[64];
  int count = ::epoll_wait(epoll_.get(), events, 64, -1);
  if (count < 0 && errno == EINTR) return {};
  if (count < 0) return fail_errno("wait for events");
  for (int i = 0; i < count && !stopping_; ++i) {
    // An earlier callback of this batch may have removed the entry: look it up by
    // its never-reused id, and hold it so that it may remove itself. The id is copied:
    // epoll_event is packed, and find() would take a reference to a misaligned member.
    uint64_t id = events[i].data.u64;
    auto found = entries_.find(id);
    if (found == entries_.end()) continue;
    auto entry = found->second;
    entry->callback(events[i].events);
  }
  return {};
}

Result<std::unique_ptr<Timer>> Timer::create(Reactor& reactor, std::function<void()> callback) {
  Fd fd(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!fd) return fail_errno("create a timer");
  std::unique_ptr<Timer> timer(new Timer(std::move(fd)));
  timer->callback_ = std::move(callback);
  MSB_TRY(timer->watch_, reactor.watch(timer->fd_.get(), EPOLLIN, [raw = timer.get()](uint32_t) {
    uint64_t expirations;
    if (::read(raw->fd_.get(), &expirations, sizeof(expirations)) == sizeof(expirations)) raw->callback_();
  }));
  return timer;
}

Result<> Timer::arm(std::chrono::nanoseconds delay) {
  // A zero it_value would disarm: round up to one nanosecond.
  auto count = delay.count() > 0 ? delay.count() : 1;
  itimerspec spec{};
  spec.it_value.tv_sec = static_cast<time_t>(count / 1'000'000'000);
  spec.it_value.tv_nsec = static_cast<long>(count % 1'000'000'000);
  if (::timerfd_settime(fd_.get(), 0, &spec, nullptr) < 0) return fail_errno("arm a timer");
  return {};
}

void Timer::disarm() {
  itimerspec none{};
  ::timerfd_settime(fd_.get(), 0, &none, nullptr);
}

Result<std::unique_ptr<SignalWatch>> SignalWatch::create(Reactor& reactor, std::initializer_list<int> signals,
                                                         std::function<void(int)> callback) {
  sigset_t set;
  ::sigemptyset(&set);
  for (int signal : signals) ::sigaddset(&set, signal);
  if (int error = ::pthread_sigmask(SIG_BLOCK, &set, nullptr)) return fail_errno("block signals", error);
  Fd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return fail_errno("create a signal descriptor");
  std::unique_ptr<SignalWatch> watch(new SignalWatch(std::move(fd)));
  watch->callback_ = std::move(callback);
  MSB_TRY(watch->watch_, reactor.watch(watch->fd_.get(), EPOLLIN, [raw = watch.get()](uint32_t) {
    // Copied out first: the callback may destroy this object.
    signalfd_siginfo info;
    auto deliver = raw->callback_;
    if (::read(raw->fd_.get(), &info, sizeof(info)) == sizeof(info)) deliver(static_cast<int>(info.ssi_signo));
  }));
  return watch;
}

}  // namespace msb
