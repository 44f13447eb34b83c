// Frames of a guest into a GuestStack whose hooks accept, answer and send back. Each frame: its size (two bytes, little
// endian) and a whole message. The checksum of IPv4 headers is put right, and acknowledgements are counted from our
// first sequence number, or a fuzzer would never get past them.
#include <unordered_map>

#include "net/packet/checksum.h"
#include "net/packet/ethernet.h"
#include "net/packet/net_header.h"
#include "net/packet/tcp.h"
#include "net/testing/raw_guest.h"
#include "net/testing/tap_guest.h"

using namespace msb;
using namespace msb::net;

namespace {

constexpr size_t kIp = NetHeader::kSize + EthernetHeader::kSize;

class Fuzzer {
 public:
  void frame(Bytes message) {
    repair(message);
    if (!guest_.send(message)) return;
    while (true) {
      const auto packet = guest_.receive_packet();
      if (!packet) return;
      if (packet->header.protocol != kTcp) continue;
      const auto tcp = parse_tcp(packet->payload);
      if (tcp && tcp->header.has(kSyn)) starts_[tcp->header.destination_port] = tcp->header.sequence;
    }
  }

 private:
  void repair(Bytes& message) {
    if (message.size() < kIp + 20) return;
    uint8_t* ip = &message[kIp];
    size_t header = 40;
    if (ip[0] >> 4 == 4) {
      header = std::min<size_t>((ip[0] & 0xfu) * 4, message.size() - kIp);
      store_be(ip + 10, uint16_t{0});
      Checksum sum;
      sum.add({ip, header});
      store_be(ip + 10, sum.complement());
    }
    if (message.size() < kIp + header + 20 || ip[header == 40 ? 6 : 9] != kTcp) return;
    uint8_t* tcp = ip + header;
    const auto start = starts_.find(load_be<uint16_t>(tcp));
    if (start != starts_.end()) store_be(tcp + 8, load_be<uint32_t>(tcp + 8) + start->second);
  }

  testing::RawGuest guest_{{.connections = 16, .pending = 16, .send_buffer = 8192, .receive_buffer = 8192}};
  std::unordered_map<uint16_t, uint32_t> starts_;  // of our sequence numbers, by the guest's port
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Fuzzer fuzzer;
  ByteReader input({data, size});
  while (const auto count = input.le<uint16_t>()) {
    const ByteView message = *input.take(std::min<size_t>(*count, input.remaining()));
    if (message.empty()) break;
    fuzzer.frame(Bytes(message.begin(), message.end()));
  }
  return 0;
}
