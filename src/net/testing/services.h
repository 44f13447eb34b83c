// Services: what answers behind a GuestStack in tests, whatever the address. The port says how:
//
//   TCP 7   sends back what it gets           UDP 7   the same
//   TCP 9   takes everything                  UDP 2-5 unreachable, as TCP
//   TCP 19  sends kSourceSize bytes of the pattern, then ends
//   TCP 8   takes nothing until release()
//   TCP 1   refuses                           TCP 2-5 unreachable: network, host, port, prohibited
//   TCP 10  answers when answer_late() is called
//   TCP 11  resets at the first byte
//   ping    answered, but for 192.0.2.1
#pragma once

#include <atomic>

#include "net/guest_stack.h"

namespace msb::net::testing {

// The byte at each place of a stream.
uint8_t pattern_at(uint64_t place);
void fill_pattern(uint64_t place, MutableByteView out);
bool is_pattern(uint64_t place, ByteView bytes);

struct Services {
  static constexpr uint64_t kSourceSize = 16 << 20;

  GuestStack::Hooks hooks();
  void attach(GuestStack& made) { stack = &made; }
  void release();                                  // port 8, from now on
  void answer_late();                              // port 10
  void dial(uint16_t port, const Endpoint& from);  // sends back what the guest's port sends

  GuestStack* stack = nullptr;
  bool holding = true;
  std::vector<TcpRequest> late;
  std::vector<TcpConnection*> held;
  std::atomic<int> open = 0;  // users that live
  std::atomic<uint64_t> taken = 0;
  std::atomic<bool> all_as_sent = true;  // port 9 and 8: what came was the pattern
  std::atomic<int> resets = 0;
  std::atomic<int> closed = 0;
  std::atomic<int> refused = 0;
  std::atomic<int> datagrams = 0;
  std::atomic<size_t> largest_datagram = 0;
};

}  // namespace msb::net::testing
