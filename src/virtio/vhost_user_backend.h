// VhostUserBackend: shows a Device to a vhost-user front end (QEMU) over a Unix socket, as MmioTransport shows it to
// our own machine.
//
//   MSB_TRY(auto backend, VhostUserBackend::create(reactor, std::move(socket), *device, hooks));
//
// The front end answers for the transport's registers and its configuration space; here arrive memory, rings and their
// descriptors. The device is activated when every queue has been enabled and given addresses and a kick, and reset when
// one of them is stopped or the memory changes. After reset, rings go on where they were: requests are finished by
// then, so that is what the used ring says.
//
// The front end is as untrusted as the guest. What breaks the protocol ends the session: the device is reset, the
// socket closed, and `ended` called. One reactor thread; DeviceContext's calls come from any thread.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "base/reactor.h"
#include "virtio/device.h"
#include "virtio/vhost_user_memory.h"
#include "virtio/vhost_user_message.h"

namespace msb::virtio {

class VhostUserBackend {
 public:
  struct Hooks {
    std::function<void(const Error&)> warn = [](const Error&) {};   // the driver broke the rules; any thread
    std::function<void(const Error&)> ended = [](const Error&) {};  // no session any more; may destroy the back end
  };

  // `device` outlives the back end.
  static Result<std::unique_ptr<VhostUserBackend>> create(Reactor& reactor, Fd socket, Device& device, Hooks hooks);
  ~VhostUserBackend();
  VhostUserBackend(const VhostUserBackend&) = delete;
  VhostUserBackend& operator=(const VhostUserBackend&) = delete;

 private:
  struct Ring {
    uint16_t size = 0;
    uint16_t base = 0;
    std::optional<vhost_user::RingAddresses> addresses;
    Fd kick;
    bool enabled = false;
  };
  class Context;

  VhostUserBackend(Fd socket, Device& device, Hooks hooks);
  Result<> on_readable();
  Result<std::optional<vhost_user::Message>> receive();
  Result<size_t> receive_into(MutableByteView room);
  Result<> handle(vhost_user::Message message);
  Result<> handle_ring(vhost_user::Request request, vhost_user::Message& message);
  Result<> reply(vhost_user::Request request, ByteView payload);
  Result<Ring*> ring(uint64_t index);
  uint64_t offered_features() const;
  // Activates the device when everything for it is there.
  Result<> start_if_complete();
  Result<QueueLayout> layout_of(const Ring& ring) const;
  void stop();

  Fd socket_;
  Device& device_;
  Hooks hooks_;
  uint64_t features_ = 0;
  uint64_t protocol_features_ = 0;
  VhostUserMemory memory_;
  std::vector<Ring> rings_;
  std::unique_ptr<Context> context_;
  bool active_ = false;
  Bytes received_;  // the header and what has come of the payload
  std::vector<Fd> received_fds_;
  Reactor::Watch watch_;
};

}  // namespace msb::virtio
