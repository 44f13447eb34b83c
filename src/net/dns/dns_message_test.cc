#include "net/dns/dns_message.h"

#include <gtest/gtest.h>

#include "net/dns/dns_name.h"
#include "net/dns/testing/dns_messages.h"

namespace msb::net {
namespace {

using testing::Answer;
using testing::dns_query;
using testing::wire_name;

// The name that stands `offset` bytes behind a message's header.
std::string text_of(const Bytes& bytes, size_t offset) {
  Bytes message(kDnsHeaderSize);
  message.insert(message.end(), bytes.begin(), bytes.end());
  const auto name = read_dns_name(message, kDnsHeaderSize + offset);
  return name ? name->text : "(none)";
}

TEST(DnsNameTest, IsLowerCaseWithoutADotAtTheEnd) {
  EXPECT_EQ(text_of(wire_name("WWW.Example.com"), 0), "www.example.com");
  EXPECT_EQ(text_of(wire_name(""), 0), "");
}

TEST(DnsNameTest, ADotInALabelPartsNoLabels) {
  EXPECT_EQ(text_of({8, 'e', 'v', 'i', 'l', '.', 'c', 'o', 'm', 0}, 0), "evil\\046com");
  EXPECT_EQ(text_of({3, 'a', 0, 0xff, 0}, 0), "a\\000\\255");
  EXPECT_EQ(text_of({2, 'a', '\\', 0}, 0), "a\\092");
}

TEST(DnsNameTest, PointersLeadBackwardsAndNotIntoTheHeader) {
  Bytes bytes = wire_name("example.com");
  const size_t at = bytes.size();
  bytes.insert(bytes.end(), {1, 'a', 0xc0, 12});
  EXPECT_EQ(text_of(bytes, at), "a.example.com");
  EXPECT_EQ(text_of({0xc0, 12}, 0), "(none)");                // to itself
  EXPECT_EQ(text_of({0xc0, 14, 0xc0, 12}, 2), "(none)");      // to and fro
  EXPECT_EQ(text_of({1, 'a', 0xc0, 12}, 0), "(none)");        // to its own beginning
  EXPECT_EQ(text_of({0xc0, 15, 0, 1, 'a', 0}, 0), "(none)");  // forwards
  EXPECT_EQ(text_of({0xc0, 11}, 0), "(none)");                // into the header, where a zero is
  EXPECT_EQ(text_of({0xc0}, 0), "(none)");
}

TEST(DnsNameTest, EndsBehindItsPointer) {
  Bytes message(kDnsHeaderSize);
  const Bytes name = wire_name("example.com");
  message.insert(message.end(), name.begin(), name.end());
  const size_t at = message.size();
  message.insert(message.end(), {1, 'a', 0xc0, 12, 0xff});
  EXPECT_EQ(read_dns_name(message, at)->end, at + 4);
}

TEST(DnsNameTest, LabelsAndLengthsAreBounded) {
  Bytes longest;
  for (int i = 0; i < 127; ++i) longest.insert(longest.end(), {1, 'a'});
  longest.push_back(0);
  EXPECT_EQ(text_of(longest, 0).size(), 253U);
  longest.insert(longest.begin(), {1, 'b'});
  EXPECT_EQ(text_of(longest, 0), "(none)");
  EXPECT_EQ(text_of({3, 'a', 'b'}, 0), "(none)");
  EXPECT_EQ(text_of({1, 'a'}, 0), "(none)");
  EXPECT_EQ(text_of({0x41, 0}, 0), "(none)");  // a bit string of RFC 2673
}

TEST(DnsMessageTest, AQueryHasItsQuestionAndWhatItsSenderCanTake) {
  const Bytes bytes = dns_query("Example.com", DnsType::aaaa, {.id = 7, .edns_size = 1232});
  const auto query = DnsMessage::parse(bytes);
  ASSERT_TRUE(query);
  EXPECT_EQ(query->id(), 7);
  EXPECT_FALSE(query->is_response());
  EXPECT_EQ(query->questions(),
            (std::vector<DnsQuestion>{{.name = "example.com", .type = DnsType::aaaa, .klass = kDnsInternet}}));
  EXPECT_EQ(query->udp_size(), 1232U);
  EXPECT_EQ(DnsMessage::parse(dns_query("a.b", DnsType::a, {.edns_size = 100}))->udp_size(), 512U);
}

TEST(DnsMessageTest, AddressesAliasesAndHintsAreRead) {
  const Bytes query = dns_query("www.example.com", DnsType::a);
  const Bytes bytes = Answer(DnsMessage::parse(query).value())
                          .alias("www.example.com", "cdn.example.net")
                          .address("cdn.example.net", "1.2.3.4", 300)
                          .address("cdn.example.net", "2606:4700::1")
                          .https("cdn.example.net", {"1.2.3.5", "1.2.3.6"})
                          .bytes();
  const auto answer = DnsMessage::parse(bytes);
  ASSERT_TRUE(answer);
  ASSERT_EQ(answer->answers().size(), 4U);
  EXPECT_EQ(answer->owner(answer->answers()[0]), "www.example.com");
  EXPECT_EQ(answer->target(answer->answers()[0]), "cdn.example.net");
  EXPECT_EQ(answer->answers()[1].ttl, 300U);
  EXPECT_EQ(answer->addresses(answer->answers()[1])[0].to_string(), "1.2.3.4");
  EXPECT_EQ(answer->addresses(answer->answers()[2])[0].to_string(), "2606:4700::1");
  EXPECT_EQ(answer->addresses(answer->answers()[3]).size(), 2U);
}

TEST(DnsMessageTest, WhatIsMalformedDoesNotParse) {
  const Bytes query = dns_query("example.com", DnsType::a);
  const auto parsed = DnsMessage::parse(query).value();
  const auto with = [&](DnsType type, const Bytes& data) {
    return DnsMessage::parse(Answer(parsed).record("example.com", type, data).bytes()).has_value();
  };
  EXPECT_TRUE(with(DnsType::a, Bytes(4)));
  EXPECT_FALSE(with(DnsType::a, Bytes(5)));
  EXPECT_FALSE(with(DnsType::aaaa, Bytes(4)));
  EXPECT_FALSE(with(DnsType::cname, {3, 'a'}));
  EXPECT_FALSE(with(DnsType::cname, {0, 0}));  // something behind the name
  EXPECT_TRUE(with(DnsType::https, {0, 1, 0}));
  EXPECT_FALSE(with(DnsType::https, {0}));
  EXPECT_FALSE(with(DnsType::https, {0, 1, 0, 0, 4, 0, 3, 1, 2, 3}));  // a hint of three bytes
  EXPECT_FALSE(with(DnsType::https, {0, 1, 0, 0, 4, 0, 9}));           // longer than it is
  EXPECT_TRUE(with(static_cast<DnsType>(65280), {1, 2, 3}));           // anybody's
  EXPECT_FALSE(DnsMessage::parse(ByteView(query).first(11)));
  EXPECT_FALSE(DnsMessage::parse(ByteView(query).first(query.size() - 1)));
  Bytes longer = query;
  longer.push_back(0);
  EXPECT_FALSE(DnsMessage::parse(longer));
}

TEST(DnsMessageTest, TwoOptRecordsAreOneTooMany) {
  Bytes bytes = dns_query("example.com", DnsType::a, {.edns_size = 1232});
  const Bytes opt(bytes.end() - 11, bytes.end());
  bytes.insert(bytes.end(), opt.begin(), opt.end());
  bytes[11] = 2;
  EXPECT_FALSE(DnsMessage::parse(bytes));
}

}  // namespace
}  // namespace msb::net
