#include "net/dns/answer_pins.h"

#include <gtest/gtest.h>

#include "net/dns/testing/dns_messages.h"

namespace msb::net {
namespace {

using testing::Answer;
using testing::dns_query;
using Names = std::vector<std::string>;

class AnswerPinsTest : public ::testing::Test {
 protected:
  Answer to(std::string_view name, DnsType type = DnsType::a, DnsRcode rcode = DnsRcode::no_error) {
    query_ = dns_query(name, type);
    return Answer(DnsMessage::parse(query_).value(), rcode);
  }
  void pin(const Answer& answer) {
    const Bytes bytes = answer.bytes();
    pin_answer(DnsMessage::parse(bytes).value(), pins_);
  }
  Names names(std::string_view ip) const { return pins_.names(Ip::parse(ip).value()); }

  Bytes query_;
  PinTable pins_;
};

TEST_F(AnswerPinsTest, EveryNameOfTheChainHasTheAddresses) {
  pin(to("www.example.com")
          .alias("www.example.com", "a.cdn.example")
          .alias("a.cdn.example", "b.cdn.example")
          .address("b.cdn.example", "1.2.3.4")
          .address("b.cdn.example", "1.2.3.5"));
  EXPECT_EQ(names("1.2.3.4"), (Names{"a.cdn.example", "b.cdn.example", "www.example.com"}));
  EXPECT_EQ(names("1.2.3.5").size(), 3U);
}

TEST_F(AnswerPinsTest, TheOrderOfTheRecordsDoesNotMatter) {
  pin(to("www.example.com").address("cdn.example", "1.2.3.4").alias("www.example.com", "cdn.example"));
  EXPECT_EQ(names("1.2.3.4"), (Names{"cdn.example", "www.example.com"}));
}

TEST_F(AnswerPinsTest, AddressesOfOtherNamesAreNotPinned) {
  pin(to("evil.example")
          .address("evil.example", "6.6.6.6")
          .address("api.github.com", "6.6.6.7")
          .alias("other.example", "api.github.com"));
  EXPECT_EQ(names("6.6.6.6"), (Names{"evil.example"}));
  EXPECT_EQ(names("6.6.6.7"), Names());
}

TEST_F(AnswerPinsTest, DnameRenamesWhatIsBelow) {
  pin(to("www.old.example").alias("old.example", "new.example", DnsType::dname).address("www.new.example", "1.2.3.4"));
  EXPECT_EQ(names("1.2.3.4"), (Names{"www.new.example", "www.old.example"}));
}

TEST_F(AnswerPinsTest, HintsArePinnedLikeAddresses) {
  pin(to("www.example.com", DnsType::https).https("www.example.com", {"2606:4700::1", "2606:4700::2"}));
  EXPECT_EQ(names("2606:4700::2"), (Names{"www.example.com"}));
}

TEST_F(AnswerPinsTest, ALoopOfAliasesEnds) {
  pin(to("a.example").alias("a.example", "b.example").alias("b.example", "a.example").address("a.example", "1.2.3.4"));
  EXPECT_EQ(names("1.2.3.4"), (Names{"a.example", "b.example"}));
}

TEST_F(AnswerPinsTest, AnAnswerWithoutAddressesUnpins) {
  pin(to("a.example").address("a.example", "1.2.3.4"));
  pin(to("a.example", DnsType::aaaa).address("a.example", "2606:4700::1"));
  pin(to("a.example", DnsType::aaaa));  // no such record any more
  EXPECT_EQ(names("1.2.3.4").size(), 1U);
  EXPECT_EQ(names("2606:4700::1"), Names());
  pin(to("a.example", DnsType::a, DnsRcode::server_failure));
  EXPECT_EQ(names("1.2.3.4").size(), 1U);
  pin(to("a.example", DnsType::a, DnsRcode::name_error));
  EXPECT_EQ(names("1.2.3.4"), Names());
}

TEST_F(AnswerPinsTest, AllAddressesAreThoseOfEverySection) {
  const Bytes bytes = to("a.example").address("a.example", "1.2.3.4").https("x.example", {"10.0.0.1"}).bytes();
  Bytes moved = bytes;
  moved[7] = 1;   // one answer,
  moved[11] = 1;  // one additional record
  EXPECT_EQ(all_addresses(DnsMessage::parse(moved).value()).size(), 2U);
}

}  // namespace
}  // namespace msb::net
