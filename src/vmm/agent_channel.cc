#include "vmm/agent_channel.h"

#include "base/fd.h"

namespace msb::vmm {
namespace {

constexpr size_t kHighWater = size_t{1} << 20;
constexpr size_t kLowWater = size_t{256} << 10;
// Read at most this much in one go, so that clients get their turn.
constexpr size_t kReadBurst = size_t{1} << 20;
constexpr size_t kReadSize = size_t{256} << 10;

}  // namespace

Result<std::unique_ptr<AgentChannel>> AgentChannel::create(Reactor& reactor, int socket, Observer observer) {
  std::unique_ptr<AgentChannel> channel(new AgentChannel(socket, std::move(observer)));
  MSB_TRY(channel->watch_,
          reactor.watch(socket, EPOLLIN, [raw = channel.get()](uint32_t events) { raw->on_events(events); }));
  return channel;
}

void AgentChannel::send(ByteView frame) {
  if (watch_) write_done(out_.send(socket_, frame));
}

void AgentChannel::on_events(uint32_t events) {
  if (events & EPOLLOUT) write_done(out_.flush(socket_));
  if (watch_ && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
    if (auto read = read_available(); !read) lose(read.error());
}

Result<> AgentChannel::read_available() {
  for (size_t total = 0; total < kReadBurst;) {
    auto count = read_some(socket_, reader_.prepare(kReadSize));
    if (!count && count.error().errnum() == EAGAIN) return {};
    MSB_CHECK(count);
    if (*count == 0) return fail(ErrorKind::runtime, "the guest's agent channel was closed");
    total += *count;
    reader_.commit(*count);
    while (true) {
      MSB_TRY(auto raw, reader_.next_raw());
      if (!raw) break;
      observer_.on_frame(*raw);
      if (!watch_) return {};
    }
  }
  return {};
}

void AgentChannel::write_done(Result<> outcome) {
  if (!outcome) return lose(outcome.error());
  (void)watch_.set_events(out_.empty() ? EPOLLIN : EPOLLIN | EPOLLOUT);
  if (out_.pending() > kHighWater) congested_ = true;
  if (congested_ && out_.pending() < kLowWater) {
    congested_ = false;
    observer_.on_drained();
  }
}

void AgentChannel::lose(const Error& error) {
  if (!watch_) return;
  watch_.reset();
  observer_.on_lost(error);
}

}  // namespace msb::vmm
