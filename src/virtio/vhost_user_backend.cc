#include "virtio/vhost_user_backend.h"

#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

namespace msb::virtio {

using vhost_user::Header;
using vhost_user::Message;
using vhost_user::Request;

namespace {

constexpr size_t kMaxFds = vhost_user::kMaxRegions;

Error broken(std::string_view what) {
  return Error(ErrorKind::protocol, cat("the vhost-user front end ", what));
}

// A descriptor of the other side's choice: neither reading nor writing it may make us wait.
Result<Fd> take_event(Message& message) {
  if (message.fds.size() != 1) return fail(broken("sent a descriptor too many or too few"));
  Fd fd = std::move(message.fds[0]);
  MSB_CHECK(set_blocking(fd.get(), Blocking::no));
  return fd;
}

}  // namespace

// What the device tells its driver. Interrupts come from the device's thread, new descriptors for them from the
// front end.
class VhostUserBackend::Context final : public DeviceContext {
 public:
  Context(size_t queues, std::function<void(const Error&)> warn) : calls_(queues), warn_(std::move(warn)) {}

  void set_call(size_t queue, Fd call) {
    std::lock_guard lock(mutex_);
    calls_[queue] = std::move(call);
  }
  void interrupt(uint16_t queue) override {
    std::lock_guard lock(mutex_);
    if (queue < calls_.size() && calls_[queue]) (void)::eventfd_write(calls_[queue].get(), 1);
  }
  // The configuration space is the front end's.
  void config_changed() override {}
  // The protocol has no way to ask for a reset: the device does nothing more until the driver thinks of it.
  void broken(const Error& what) override { warn_(what); }

 private:
  std::mutex mutex_;
  std::vector<Fd> calls_;
  std::function<void(const Error&)> warn_;
};

Result<std::unique_ptr<VhostUserBackend>> VhostUserBackend::create(Reactor& reactor, Fd socket, Device& device,
                                                                   Hooks hooks) {
  MSB_CHECK(set_blocking(socket.get(), Blocking::no));
  std::unique_ptr<VhostUserBackend> backend(new VhostUserBackend(std::move(socket), device, std::move(hooks)));
  MSB_TRY(backend->watch_, reactor.watch(backend->socket_.get(), EPOLLIN, [self = backend.get()](uint32_t) {
    auto done = self->on_readable();
    if (done) return;
    self->stop();
    self->watch_.reset();
    self->socket_.reset();
    auto ended = self->hooks_.ended;  // a copy: the call may destroy this object
    ended(done.error());
  }));
  return backend;
}

VhostUserBackend::VhostUserBackend(Fd socket, Device& device, Hooks hooks)
    : socket_(std::move(socket)), device_(device), hooks_(std::move(hooks)), rings_(device.queue_sizes().size()) {
  context_ = std::make_unique<Context>(rings_.size(), hooks_.warn);
}

VhostUserBackend::~VhostUserBackend() {
  stop();
}

uint64_t VhostUserBackend::offered_features() const {
  return device_.features() | kFeatureVersion1 | kFeatureIndirect | kFeatureEventIndex | vhost_user::kFeatureProtocol;
}

// ---- messages ------------------------------------------------------------------------------------------------------

Result<> VhostUserBackend::on_readable() {
  while (true) {
    MSB_TRY(auto message, receive());
    if (!message) return {};
    MSB_CHECK(handle(std::move(*message)));
  }
}

// The next whole message; nothing when more of it has to come. Never reads beyond its end.
Result<std::optional<Message>> VhostUserBackend::receive() {
  while (true) {
    Header header;
    size_t wanted = sizeof(header);
    if (received_.size() >= sizeof(header)) {
      std::memcpy(&header, received_.data(), sizeof(header));
      if ((header.flags & 3) != vhost_user::kVersion || header.size > vhost_user::kMaxPayload)
        return fail(broken("sent a message of another version, or too long"));
      wanted += header.size;
      if (received_.size() == wanted) {
        Message message{header, Bytes(received_.begin() + sizeof(header), received_.end()), std::move(received_fds_)};
        received_.clear();
        received_fds_.clear();
        return std::optional(std::move(message));
      }
    }
    const size_t have = received_.size();
    received_.resize(wanted);
    auto count = receive_into(MutableByteView(received_).subspan(have));
    received_.resize(have + count.value_or(0));
    if (!count && count.error().errnum() == EAGAIN) return std::optional<Message>();
    MSB_CHECK(count);
    if (*count == 0) return fail(Error(ErrorKind::io, "the vhost-user front end has closed its socket"));
  }
}

// One recvmsg(2); descriptors gather in received_fds_.
Result<size_t> VhostUserBackend::receive_into(MutableByteView room) {
  iovec vector{room.data(), room.size()};
  alignas(cmsghdr) uint8_t control[CMSG_SPACE(kMaxFds * sizeof(int))];
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  ssize_t count = -1;
  do {
    count = ::recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC);
  } while (count < 0 && errno == EINTR);
  if (count < 0) return fail_errno("receive from the vhost-user front end");
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    for (size_t at = 0; at + sizeof(int) <= part->cmsg_len - CMSG_LEN(0); at += sizeof(int)) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + at, sizeof(fd));
      received_fds_.emplace_back(fd);
    }
  }
  if (message.msg_flags & MSG_CTRUNC || received_fds_.size() > kMaxFds)
    return fail(broken("sent too many descriptors"));
  return static_cast<size_t>(count);
}

Result<> VhostUserBackend::reply(Request request, ByteView payload) {
  Header header{static_cast<uint32_t>(request), vhost_user::kVersion | vhost_user::kFlagReply,
                static_cast<uint32_t>(payload.size())};
  Bytes bytes(sizeof(header) + payload.size());
  std::memcpy(bytes.data(), &header, sizeof(header));
  std::ranges::copy(payload, bytes.begin() + sizeof(header));
  // It waits for the answer, so there is room; one that sends on without reading is none we go on with.
  return write_full(socket_.get(), bytes);
}

Result<> VhostUserBackend::handle(Message message) {
  const auto request = static_cast<Request>(message.header.request);
  switch (request) {
    case Request::get_features:
      return reply(request, vhost_user::number_payload(offered_features()));
    case Request::get_protocol_features:
      return reply(request,
                   vhost_user::number_payload(vhost_user::kProtocolMultiqueue | vhost_user::kProtocolReplyAck));
    case Request::get_queue_num:
      return reply(request, vhost_user::number_payload(rings_.size()));
    case Request::get_vring_base: {
      auto state = vhost_user::parse_ring_state(message.payload);
      if (!state) return fail(broken("sent a message that is too short"));
      MSB_TRY(Ring * stopped, ring(state->index));
      stop();
      stopped->kick.reset();
      return reply(request, vhost_user::ring_state_payload({state->index, stopped->base}));
    }
    case Request::set_owner:
    case Request::reset_owner:
      break;
    case Request::set_features: {
      auto features = vhost_user::parse_number(message.payload);
      if (!features || *features & ~offered_features()) return fail(broken("wants features that were not offered"));
      stop();
      features_ = *features;
      break;
    }
    case Request::set_protocol_features: {
      auto features = vhost_user::parse_number(message.payload);
      if (!features) return fail(broken("sent a message that is too short"));
      protocol_features_ = *features;
      break;
    }
    case Request::set_mem_table: {
      auto regions = vhost_user::parse_memory_table(message.payload);
      if (!regions) return fail(broken("sent a memory table that is none"));
      stop();
      MSB_TRY(memory_, VhostUserMemory::map(*regions, std::move(message.fds)));
      break;
    }
    case Request::set_vring_num:
    case Request::set_vring_addr:
    case Request::set_vring_base:
    case Request::set_vring_kick:
    case Request::set_vring_call:
    case Request::set_vring_err:
    case Request::set_vring_enable:
      MSB_CHECK(handle_ring(request, message));
      break;
    default:
      return fail(broken(cat("sent a request that was not offered, number ", message.header.request)));
  }
  MSB_CHECK(start_if_complete());
  if (message.needs_reply() && protocol_features_ & vhost_user::kProtocolReplyAck)
    return reply(request, vhost_user::number_payload(0));
  return {};
}

Result<> VhostUserBackend::handle_ring(Request request, Message& message) {
  if (request == Request::set_vring_addr) {
    auto addresses = vhost_user::parse_ring_addresses(message.payload);
    if (!addresses) return fail(broken("sent a message that is too short"));
    MSB_TRY(Ring * target, ring(addresses->index));
    stop();
    target->addresses = *addresses;
    return {};
  }
  const bool with_descriptor =
      request == Request::set_vring_kick || request == Request::set_vring_call || request == Request::set_vring_err;
  if (with_descriptor) {
    auto which = vhost_user::parse_ring_descriptor(message.payload);
    if (!which) return fail(broken("sent a message that is too short"));
    MSB_TRY(Ring * target, ring(which->index));
    Fd event;
    if (which->has_descriptor) {
      MSB_TRY(event, take_event(message));
    }
    if (request == Request::set_vring_call) context_->set_call(which->index, std::move(event));
    if (request != Request::set_vring_kick) return {};
    // Without a descriptor it would want us to look again and again.
    if (!event) return fail(broken("sent a ring without a kick"));
    stop();
    target->kick = std::move(event);
    return {};
  }
  auto state = vhost_user::parse_ring_state(message.payload);
  if (!state) return fail(broken("sent a message that is too short"));
  MSB_TRY(Ring * target, ring(state->index));
  stop();
  if (state->number > UINT16_MAX) return fail(broken("sent a ring with a number that is too large"));
  const auto number = static_cast<uint16_t>(state->number);
  if (request == Request::set_vring_num) target->size = number;
  if (request == Request::set_vring_base) target->base = number;
  if (request == Request::set_vring_enable) target->enabled = number == 1;
  return {};
}

Result<VhostUserBackend::Ring*> VhostUserBackend::ring(uint64_t index) {
  if (index >= rings_.size()) return fail(broken(cat("speaks of queue ", index, ", which is not there")));
  return &rings_[index];
}

// ---- the device ----------------------------------------------------------------------------------------------------

Result<QueueLayout> VhostUserBackend::layout_of(const Ring& ring) const {
  auto descriptors = memory_.guest_address(ring.addresses->descriptors);
  auto driver = memory_.guest_address(ring.addresses->available);
  auto device = memory_.guest_address(ring.addresses->used);
  if (!descriptors || !driver || !device) return fail(broken("put a ring outside of the guest's memory"));
  return QueueLayout{ring.size, true, *descriptors, *driver, *device};
}

Result<> VhostUserBackend::start_if_complete() {
  if (active_) return {};
  // Without protocol features there is no message to enable a ring.
  const bool always_enabled = !(features_ & vhost_user::kFeatureProtocol);
  for (const auto& ring : rings_)
    if (ring.size == 0 || !ring.addresses || !ring.kick || !(ring.enabled || always_enabled)) return {};

  if (!(features_ & kFeatureVersion1)) return fail(broken("has a legacy driver, which is not served"));
  Activation activation;
  activation.memory = &memory_.memory();
  activation.features = features_ & ~vhost_user::kFeatureProtocol;
  activation.context = context_.get();
  for (size_t i = 0; i < rings_.size(); ++i) {
    MSB_TRY(QueueLayout layout, layout_of(rings_[i]));
    // struct virtq_used: flags, index.
    auto used = memory_.memory().load<uint16_t>(GuestAddress{to_number(layout.device) + 2});
    if (!used) return fail(broken("put a ring outside of the guest's memory"));
    MSB_TRY(Queue queue, Queue::activate(memory_.memory(), layout, device_.queue_sizes()[i], activation.features,
                                         {rings_[i].base, *used}));
    activation.queues.emplace_back(ActiveQueue{std::move(queue), rings_[i].kick.get()});
  }
  active_ = true;
  return device_.activate(std::move(activation));
}

void VhostUserBackend::stop() {
  if (!std::exchange(active_, false)) return;
  device_.reset();
  for (auto& ring : rings_) {
    auto layout = layout_of(ring);
    auto used = layout ? memory_.memory().load<uint16_t>(GuestAddress{to_number(layout->device) + 2}) : std::nullopt;
    ring.base = used.value_or(0);
  }
}

}  // namespace msb::virtio
