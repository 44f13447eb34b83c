#include "net/dns/dns_reply.h"

#include <gtest/gtest.h>

#include "net/dns/testing/dns_messages.h"

namespace msb::net {
namespace {

using testing::Answer;
using testing::dns_query;

TEST(DnsReplyTest, ARefusalRepeatsTheQuestionAndSaysWhyToThoseWhoCanRead) {
  const Bytes plain = dns_query("evil.example", DnsType::a, {.id = 9});
  const Bytes bytes = dns_refusal(DnsMessage::parse(plain).value(), DnsRcode::name_error, DnsExtendedError::blocked);
  const auto reply = DnsMessage::parse(bytes);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->id(), 9);
  EXPECT_TRUE(reply->is_response());
  EXPECT_EQ(reply->rcode(), DnsRcode::name_error);
  EXPECT_EQ(reply->questions()[0].name, "evil.example");
  EXPECT_FALSE(reply->opt());

  const Bytes edns = dns_query("evil.example", DnsType::a, {.edns_size = 1232});
  const Bytes said = dns_refusal(DnsMessage::parse(edns).value(), DnsRcode::name_error, DnsExtendedError::blocked);
  const auto extended = DnsMessage::parse(said);
  ASSERT_TRUE(extended && extended->opt());
  const ByteView option = ByteView(said).subspan(extended->opt()->data);
  EXPECT_EQ(load_be<uint16_t>(option.data()), 15);      // EDE
  EXPECT_EQ(load_be<uint16_t>(option.data() + 4), 15);  // blocked
}

TEST(DnsReplyTest, AHeaderAloneIsRefusedToo) {
  const Bytes header = {0xab, 0xcd, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0};
  const auto bytes = dns_refusal(ByteView(header), DnsRcode::format_error);
  const auto reply = DnsMessage::parse(bytes);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->id(), 0xabcd);
  EXPECT_EQ(reply->rcode(), DnsRcode::format_error);
}

TEST(DnsReplyTest, OnlyQuestionFlagsAndEdnsAreForwarded) {
  Bytes query = dns_query("Example.com", DnsType::a, {.edns_size = 4096});
  query[3] |= 0x10;  // checking disabled
  // A record of the guest's own behind the OPT: room for a message in a bottle.
  const Bytes bottle = {1, 'x', 0, 0, 16, 0, 1, 0, 0, 0, 0, 0, 3, 2, 'h', 'i'};
  query.insert(query.end(), bottle.begin(), bottle.end());
  query[11] = 2;
  const auto message = DnsMessage::parse(query);
  ASSERT_TRUE(message);
  const Bytes bytes = dns_forwarded(*message, 77);
  EXPECT_EQ(bytes.size(), query.size() - bottle.size());
  const auto forwarded = DnsMessage::parse(bytes);
  ASSERT_TRUE(forwarded);
  EXPECT_EQ(forwarded->id(), 77);
  EXPECT_EQ(forwarded->flags(), 0x0110);
  EXPECT_EQ(forwarded->udp_size(), 4096U);
  EXPECT_EQ(forwarded->additional().size(), 1U);
  EXPECT_NE(std::search(bytes.begin(), bytes.end(), query.begin() + 12, query.begin() + 24), bytes.end());  // its case
}

TEST(DnsReplyTest, ACutAnswerHasWholeRecordsAndSaysSo) {
  const Bytes query = dns_query("many.example", DnsType::a);
  Answer answer(DnsMessage::parse(query).value());
  for (int i = 0; i < 100; ++i) answer.address("many.example", "1.2.3.4");
  const Bytes whole = answer.bytes();
  const Bytes bytes = dns_cut(DnsMessage::parse(whole).value(), 512);
  const auto cut = DnsMessage::parse(bytes);
  ASSERT_TRUE(cut);
  EXPECT_LE(bytes.size(), 512U);
  EXPECT_TRUE(cut->is_truncated());
  EXPECT_EQ(cut->answers().size(), (512 - 12 - 18) / 28U);
}

}  // namespace
}  // namespace msb::net
