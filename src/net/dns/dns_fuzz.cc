// A message of anybody's: what parses can be read, cut, forwarded and answered, and what comes of it parses again.
#include <algorithm>
#include <cstdlib>

#include "net/dns/answer_pins.h"
#include "net/dns/dns_reply.h"
#include "net/dns/nameservers.h"

using namespace msb::net;

namespace {

void check(bool holds) {
  if (!holds) std::abort();
}

void check_same_question(const msb::Bytes& bytes, const DnsMessage& message) {
  const auto again = DnsMessage::parse(bytes);
  check(again && again->questions() == message.questions() && again->id() == message.id());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const msb::ByteView bytes(data, size);
  parse_resolv_conf(msb::as_text(bytes));
  const auto message = DnsMessage::parse(bytes);
  if (!message) return 0;
  for (const DnsRecord& record : message->answers()) {
    (void)message->owner(record);
    if (record.type == DnsType::cname && record.klass == kDnsInternet) (void)message->target(record);
  }
  for (const Ip& ip : all_addresses(*message)) (void)ip.to_string();
  check_same_question(dns_refusal(*message, DnsRcode::name_error, DnsExtendedError::blocked), *message);
  const msb::Bytes cut = dns_cut(*message, std::max(message->questions_end(), kDnsPlainUdpSize));
  check_same_question(cut, *message);
  check(cut.size() <= std::max(message->questions_end(), kDnsPlainUdpSize));
  if (message->questions().size() != 1) return 0;
  check_same_question(dns_addresses(*message, {Ip()}, std::chrono::seconds(1)), *message);
  check_same_question(dns_forwarded(*message, message->id()), *message);
  PinTable pins;
  pin_answer(*message, pins);
  return 0;
}
