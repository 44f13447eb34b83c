// How patient TCP is. The link itself answers in microseconds; a guest that does not is busy, paused or gone.
#pragma once

#include <chrono>

namespace msb::net {

struct TcpTimings {
  std::chrono::milliseconds first_timeout{1000};  // before a round trip has been measured; RFC 6298, 2.1
  std::chrono::milliseconds least_timeout{200};
  std::chrono::milliseconds longest_timeout{60'000};
  std::chrono::milliseconds handshake{60'000};    // unanswered SYN, unacknowledged SYN-ACK
  std::chrono::milliseconds unanswered{900'000};  // data or window probes that nobody acknowledges; as long as Linux
  std::chrono::milliseconds idle{7'200'000};      // before keep-alive probes; RFC 9293, 3.8.4
  std::chrono::milliseconds probe_interval{75'000};
  int probes = 9;
  // Segments in flight are gone when both ends have said so: the link keeps the order. What is left to wait for is a
  // FIN that is repeated because the guest dropped our last acknowledgement.
  std::chrono::milliseconds time_wait{2000};
};

}  // namespace msb::net
