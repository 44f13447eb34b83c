#include "net/guest_stack.h"

#include <gtest/gtest.h>

#include <random>

#include "net/packet/checksum.h"
#include "net/packet/ethernet.h"
#include "net/packet/icmp.h"
#include "net/packet/tcp.h"
#include "net/packet/udp.h"
#include "net/tcp/testing/tcp_script.h"
#include "net/testing/raw_guest.h"
#include "net/testing/tap_guest.h"

namespace msb::net {
namespace {

using testing::make_tcp;
using testing::make_udp;
using testing::RawGuest;

const LinkConfig kConfig = testing::TapGuest::link_config();
const Ip kRemoteV4 = Ip::v4(198, 51, 100, 7);
const Ip kRemoteV6 = Ip::parse("2001:db8::7").value();
const IpHeader kTcpV4{.source = kConfig.v4->guest, .destination = kRemoteV4, .protocol = kTcp};
const IpHeader kUdpV4{.source = kConfig.v4->guest, .destination = kRemoteV4, .protocol = kUdp};
const IpHeader kUdpV6{.source = kConfig.v6->guest, .destination = kRemoteV6, .protocol = kUdp};

TEST(GuestStack, AnswersArpForTheGatewayAlone) {
  RawGuest guest;
  ArpPacket request{ArpPacket::Operation::request, kConfig.guest_mac, kConfig.v4->guest, {}, kConfig.v4->gateway};
  guest.send_arp(request);
  const Bytes frame = guest.receive();
  const auto reply = parse_arp(ByteView(frame).subspan(EthernetHeader::kSize));
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->operation, ArpPacket::Operation::reply);
  EXPECT_EQ(reply->sender_mac, kConfig.gateway_mac);
  EXPECT_EQ(reply->sender, kConfig.v4->gateway);
  EXPECT_EQ(reply->target_mac, kConfig.guest_mac);
  request.target = Ip::v4(172, 16, 0, 4);
  guest.send_arp(request);
  request.target = kConfig.v4->guest;
  guest.send_arp(request);
  EXPECT_TRUE(guest.receive().empty());
}

Bytes solicitation(const Ip& from, const Ip& to, const Ip& target) {
  // An echo request has the same checksum rules; the rest is put in and the sum corrected by its own inverse.
  Bytes message = make_echo(EchoKind::request, from, to, {0, 0, Bytes(16)});
  message[0] = 135;
  std::ranges::copy(target.bytes(), &message[8]);
  store_be(&message[2], uint16_t{0});
  const uint16_t sum = [&] {
    Checksum checksum;
    checksum.add_pseudo_header(from, to, kIcmpV6, message.size());
    checksum.add(message);
    return checksum.complement();
  }();
  store_be(&message[2], sum);
  return message;
}

TEST(GuestStack, AnswersNeighbourSolicitationsForTheGatewayAlone) {
  RawGuest guest;
  const Ip group = Ip::parse("ff02::1:ff00:1").value();
  const Ip local = Ip::parse("fe80::6d").value();
  for (const Ip& from : {kConfig.v6->guest, local}) {
    guest.send_packet({.source = from, .destination = group, .protocol = kIcmpV6, .hop_limit = 255},
                      solicitation(from, group, kConfig.v6->gateway));
    const auto packet = guest.receive_packet();
    ASSERT_TRUE(packet);
    EXPECT_TRUE(icmp_is_whole(*packet));
    EXPECT_EQ(packet->payload[0], 136);
    EXPECT_EQ(packet->header.destination, from);
  }
  guest.send_packet({.source = local, .destination = group, .protocol = kIcmpV6, .hop_limit = 255},
                    solicitation(local, group, kRemoteV6));
  // One that came through a router is none of a neighbour's.
  guest.send_packet({.source = local, .destination = group, .protocol = kIcmpV6, .hop_limit = 254},
                    solicitation(local, group, kConfig.v6->gateway));
  EXPECT_TRUE(guest.receive().empty());
}

TEST(GuestStack, WhatIsSpoofedIsDroppedAndCounted) {
  RawGuest guest;
  IpHeader spoofed = kUdpV4;
  spoofed.source = Ip::v4(172, 16, 0, 7);
  guest.send_packet(spoofed, make_udp(spoofed, 1, 7, {}));
  spoofed.source = kConfig.v4->gateway;
  guest.send_packet(spoofed, make_udp(spoofed, 1, 7, {}));
  IpHeader spoofed_v6 = kUdpV6;
  spoofed_v6.source = Ip::parse("fe80::6d").value();
  guest.send_packet(spoofed_v6, make_udp(spoofed_v6, 1, 7, {}));
  ArpPacket lie{ArpPacket::Operation::request, kConfig.gateway_mac, kConfig.v4->guest, {}, kConfig.v4->gateway};
  guest.send_arp(lie);
  Bytes frame(12 + 14 + 60);
  write_ethernet({kConfig.gateway_mac, kConfig.gateway_mac, EtherType::ipv4}, &frame[12]);
  guest.send(frame);
  EXPECT_EQ(guest.services().datagrams, 0);
  EXPECT_EQ(guest.stack().counters().dropped, 5u);
  EXPECT_TRUE(guest.receive().empty());
}

TEST(GuestStack, AFrameThatNamesTheOtherFamilyIsDropped) {
  RawGuest guest;
  const Bytes datagram = make_udp(kUdpV4, 1, 7, {});
  Bytes frame(12 + 14 + kUdpV4.size());
  write_ethernet({kConfig.gateway_mac, kConfig.guest_mac, EtherType::ipv6}, &frame[12]);
  write_ip(kUdpV4, datagram.size(), &frame[12 + 14]);
  frame.insert(frame.end(), datagram.begin(), datagram.end());
  guest.send(frame);
  EXPECT_EQ(guest.services().datagrams, 0);
  EXPECT_EQ(guest.stack().counters().dropped, 1u);
}

TEST(GuestStack, AWrongChecksumIsDropped) {
  RawGuest guest;
  Bytes datagram = make_udp(kUdpV4, 1, 7, as_bytes("hello"));
  datagram.back() ^= 1;
  guest.send_packet(kUdpV4, datagram);
  Bytes syn = make_tcp(kTcpV4, 1, 10, 0, kSyn);
  syn[4] ^= 1;
  guest.send_packet(kTcpV4, syn);
  EXPECT_EQ(guest.stack().counters().dropped, 2u);
  EXPECT_EQ(guest.services().datagrams, 0);
  EXPECT_TRUE(guest.services().late.empty());
}

TEST(GuestStack, GarbageIsDropped) {
  RawGuest guest;
  std::mt19937 random(1);
  for (int i = 0; i < 2000; ++i) {
    Bytes frame(1 + random() % 200);
    for (uint8_t& byte : frame) byte = static_cast<uint8_t>(random());
    guest.send(frame);
  }
  EXPECT_EQ(guest.stack().counters().dropped, 2000u);
}

TEST(GuestStack, AStormOfSynsIsBounded) {
  RawGuest guest({.connections = 64, .pending = 64});
  for (int port = 1; port < 60000; port += 7) {
    guest.send_packet(kTcpV4, make_tcp(kTcpV4, static_cast<uint16_t>(port), 10, 0, kSyn));
    if (port < 64 * 7) continue;
    const auto packet = guest.receive_packet();
    ASSERT_TRUE(packet);
    EXPECT_TRUE(parse_tcp(packet->payload)->header.has(kRst));
  }
  EXPECT_EQ(guest.services().late.size(), 64u);
}

TEST(GuestStack, AGuestThatReadsNothingCostsLittle) {
  RawGuest guest;
  const Bytes payload(1000);
  for (int i = 0; i < 10'000; ++i) guest.stack().send_udp({kRemoteV4, 7}, {kConfig.v4->guest, 9}, payload);
  // What the socket holds, and then what was kept: 512 KiB.
  while (!guest.receive().empty()) continue;
  guest.turn();
  size_t kept = 0;
  while (!guest.receive().empty()) ++kept;
  EXPECT_GT(kept, 0u);
  EXPECT_LE(kept, (size_t{512} << 10) / payload.size());
}

TEST(GuestStack, AFrameThatIsNotAdmittedWaits) {
  RawGuest guest;
  guest.admitting = false;
  guest.send_packet(kUdpV4, make_udp(kUdpV4, 1, 7, as_bytes("hello")));
  EXPECT_EQ(guest.services().datagrams, 0);
  guest.admitting = true;
  guest.stack().resume_reading();
  EXPECT_EQ(guest.services().datagrams, 1);
}

TEST(GuestStack, AFrameToTheGuestThatIsNotAdmittedWaits) {
  RawGuest guest;
  guest.admitting_sending = false;
  guest.send_packet(kUdpV4, make_udp(kUdpV4, 1, 7, as_bytes("hello")));
  EXPECT_TRUE(guest.receive().empty());
  guest.admitting_sending = true;
  guest.stack().resume_sending();
  const auto packet = guest.receive_packet();
  ASSERT_TRUE(packet);
  EXPECT_EQ(as_text(parse_udp(packet->payload)->payload), "hello");
}

TEST(GuestStack, AFirewallOfTheGuestsRefusesForIt) {
  for (const auto& addresses : {*kConfig.v4, *kConfig.v6}) {
    RawGuest guest;
    std::vector<std::string> events;
    ASSERT_TRUE(guest.stack().tcp().connect({addresses.gateway, 40000}, {addresses.guest, 80},
                                            std::make_unique<testing::RecordingUser>(events)));
    Bytes syn = guest.receive();
    syn.erase(syn.begin(), syn.begin() + EthernetHeader::kSize);
    const uint8_t protocol = icmp_protocol(addresses.guest.family());
    const auto object = [&] {
      guest.send_packet({.source = addresses.guest, .destination = addresses.gateway, .protocol = protocol},
                        make_unreachable(addresses.guest, addresses.gateway, Unreachable::port, syn));
    };
    uint8_t& sequence = syn[syn.size() - parse_ip(syn)->payload.size() + 7];
    sequence ^= 1;
    object();  // about a segment that was not sent
    EXPECT_EQ(events, std::vector<std::string>());
    sequence ^= 1;
    object();
    EXPECT_EQ(events, std::vector<std::string>{"ended refused"});
  }
}

TEST(GuestStack, FragmentsFromTheGuestAreOneDatagram) {
  RawGuest guest;
  const Bytes datagram = make_udp(kUdpV6, 1, 9, Bytes(5000, 'x'));
  IpHeader header = kUdpV6;
  header.id = 77;
  for (const size_t offset : {2400, 0, 4800, 1200, 3600}) {
    const size_t count = std::min<size_t>(1200, datagram.size() - offset);
    header.offset = static_cast<uint16_t>(offset);
    header.more = offset + count < datagram.size();
    guest.send_packet(header, ByteView(datagram).subspan(offset, count));
  }
  EXPECT_EQ(guest.services().datagrams, 1);
  EXPECT_EQ(guest.services().largest_datagram, 5000u);
}

TEST(GuestStack, TheEndOfTheLinkIsToldAndMayEndTheStack) {
  RawGuest guest;
  guest.close();
  guest.turn();
  EXPECT_TRUE(guest.link_ended);
}

}  // namespace
}  // namespace msb::net
