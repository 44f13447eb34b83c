// Headers that are written are read again; those that lie about their lengths are not.
#include <gtest/gtest.h>

#include "net/packet/icmp.h"
#include "net/packet/tcp.h"
#include "net/packet/udp.h"

namespace msb::net {
namespace {

const Ip kFromV6 = Ip::parse("2001:db8::1").value();
const Ip kToV6 = Ip::parse("2001:db8::2").value();

Bytes packet_of(const IpHeader& header, ByteView payload) {
  Bytes bytes(header.size());
  write_ip(header, payload.size(), bytes.data());
  bytes.insert(bytes.end(), payload.begin(), payload.end());
  return bytes;
}

// An IPv6 packet whose payload begins with the extension headers given.
Bytes with_extensions(uint8_t first, const Bytes& extensions) {
  return packet_of({.source = kFromV6, .destination = kToV6, .protocol = first}, extensions);
}

TEST(IpPacket, BothFamiliesComeBack) {
  const IpHeader headers[] = {
      {.source = Ip::v4(10, 0, 0, 1), .destination = Ip::v4(10, 0, 0, 2), .protocol = kUdp, .hop_limit = 7},
      {.source = kFromV6, .destination = kToV6, .protocol = kTcp},
      {.source = kFromV6, .destination = kToV6, .protocol = kUdp, .id = 77, .offset = 1480, .more = true},
      {.source = Ip::v4(1), .destination = Ip::v4(2), .protocol = kUdp, .id = 77, .offset = 1480}};
  for (const IpHeader& header : headers) {
    const Bytes bytes = packet_of(header, as_bytes("payload"));
    const auto packet = parse_ip(bytes);
    ASSERT_TRUE(packet);
    EXPECT_EQ(packet->header.source, header.source);
    EXPECT_EQ(packet->header.destination, header.destination);
    EXPECT_EQ(packet->header.protocol, header.protocol);
    EXPECT_EQ(packet->header.hop_limit, header.hop_limit);
    EXPECT_EQ(packet->header.offset, header.offset);
    EXPECT_EQ(packet->header.more, header.more);
    EXPECT_EQ(as_text(packet->payload), "payload");
  }
}

TEST(IpPacket, EveryPrefixOfAPacketIsMalformed) {
  for (const Ip& from : {Ip::v4(1), kFromV6}) {
    const Bytes bytes = packet_of({.source = from, .destination = from, .protocol = kUdp}, as_bytes("payload"));
    for (size_t size = 0; size < bytes.size(); ++size) EXPECT_FALSE(parse_ip(ByteView(bytes).first(size))) << size;
  }
}

TEST(IpPacket, ExtensionHeadersArePassedOverWithinLimits) {
  const Bytes options{kUdp, 0, 0, 0, 0, 0, 0, 0};
  EXPECT_EQ(parse_ip(with_extensions(60, options))->header.protocol, kUdp);
  Bytes many;
  for (int i = 0; i < 20; ++i) many.insert(many.end(), {60, 0, 0, 0, 0, 0, 0, 0});
  EXPECT_FALSE(parse_ip(with_extensions(60, many)));
  const Bytes too_long{kUdp, 9, 0, 0, 0, 0, 0, 0};
  EXPECT_FALSE(parse_ip(with_extensions(60, too_long)));
  const Bytes source_route{kUdp, 0, 0, 1, 0, 0, 0, 0};
  EXPECT_FALSE(parse_ip(with_extensions(43, source_route)));
}

TEST(TcpPacket, OptionsOfASynComeBackAndMalformedOnesEndThem) {
  const TcpHeader syn{.source_port = 1, .destination_port = 2, .flags = kSyn, .mss = 1460, .window_scale = 7};
  Bytes bytes(syn.size());
  write_tcp(kFromV6, kToV6, syn, 0, bytes.data());
  EXPECT_EQ(parse_tcp(bytes)->header.mss, 1460);
  EXPECT_EQ(parse_tcp(bytes)->header.window_scale, 7);
  bytes[21] = 0;  // an option of no size
  EXPECT_FALSE(parse_tcp(bytes)->header.mss);
  bytes[21] = 40;  // one that is larger than the header
  EXPECT_FALSE(parse_tcp(bytes)->header.mss);
  bytes[12] = 0x40;  // a header smaller than it can be
  EXPECT_FALSE(parse_tcp(bytes));
  bytes[12] = 0xf0;  // and one larger than the segment
  EXPECT_FALSE(parse_tcp(bytes));
}

TEST(UdpPacket, ItsSizeIsWhatItSaysWithinThePacket) {
  Bytes bytes(8);
  write_udp({kFromV6, 1}, {kToV6, 2}, as_bytes("abc"), bytes.data());
  for (const char c : {'a', 'b', 'c', 'x'}) bytes.push_back(static_cast<uint8_t>(c));
  EXPECT_EQ(as_text(parse_udp(bytes)->payload), "abc");
  EXPECT_FALSE(parse_udp(ByteView(bytes).first(10)));
  bytes[5] = 7;
  EXPECT_FALSE(parse_udp(bytes));
}

TEST(IcmpMessage, AnUnreachableOneHasWhatFits) {
  const Bytes original(2000, 'x');
  EXPECT_EQ(make_unreachable(Ip::v4(1), Ip::v4(2), Unreachable::port, original).size(), 576u - 20);
  EXPECT_EQ(make_unreachable(kFromV6, kToV6, Unreachable::port, original).size(), 1280u - 40);
}

}  // namespace
}  // namespace msb::net
