// TapGuest: the kernel of this machine as the guest: a network namespace of its own with one tap device, whose
// descriptor speaks the link's format (virtio_net_hdr, checksums and segmentation left to the other side). The kernel's
// own TCP is what the stack is tried against.
//
//   MSB_TRY(auto guest, TapGuest::create(config));       // unsupported: not permitted here
//   GuestStack::create(reactor, guest->take_link(), config, ...);
//   Fd client = guest->socket(AF_INET, SOCK_STREAM);     // of the guest; used from anywhere
#pragma once

#include <functional>

#include "net/guest_stack.h"

namespace msb::net::testing {

class TapGuest {
 public:
  // The addresses that tests and benchmarks use.
  static LinkConfig link_config();

  static Result<std::unique_ptr<TapGuest>> create(const LinkConfig& config);

  Fd take_link() { return std::move(tap_); }
  Fd socket(int family, int type, int protocol = 0) const;
  int network_namespace() const { return namespace_.get(); }  // for nsenter
  // Runs it on a thread that lives in the guest's namespace.
  void run(const std::function<void()>& work) const;

 private:
  TapGuest() = default;
  Result<> begin(const LinkConfig& config);

  Fd namespace_;
  Fd tap_;
};

}  // namespace msb::net::testing
