#include "net/dns/answer_pins.h"

#include <algorithm>
#include <chrono>
#include <set>

namespace msb::net {
namespace {

constexpr size_t kMostAliases = 16;  // as resolvers have it; more is a loop, or malice

// Below `parent`, not the same.
bool is_below(std::string_view name, std::string_view parent) {
  return name.size() > parent.size() + 1 && name.ends_with(parent) && name[name.size() - parent.size() - 1] == '.';
}

// The name that was asked for, and what the answer says it is another name of.
std::set<std::string> alias_chain(const DnsMessage& answer) {
  std::set<std::string> names = {answer.questions()[0].name};
  std::string current = answer.questions()[0].name;
  while (names.size() <= kMostAliases) {
    std::string next;
    for (const DnsRecord& record : answer.answers()) {
      if (record.klass != kDnsInternet) continue;
      if (record.type == DnsType::cname && answer.owner(record) == current) next = answer.target(record);
      if (record.type == DnsType::dname && is_below(current, answer.owner(record))) {
        const std::string target = answer.target(record);
        next = current.substr(0, current.size() - answer.owner(record).size()) + target;
      }
    }
    if (next.empty() || !names.insert(next).second) break;
    current = next;
  }
  return names;
}

}  // namespace

std::vector<Ip> all_addresses(const DnsMessage& answer) {
  std::vector<Ip> out;
  for (const auto* section : {&answer.answers(), &answer.authority(), &answer.additional()}) {
    for (const DnsRecord& record : *section) {
      for (const Ip& address : answer.addresses(record)) out.push_back(address);
    }
  }
  return out;
}

void pin_answer(const DnsMessage& answer, PinTable& pins) {
  const DnsQuestion& question = answer.questions()[0];
  if (question.klass != kDnsInternet) return;
  if (answer.rcode() == DnsRcode::name_error) {
    pins.unpin(question.name, Family::v4);
    pins.unpin(question.name, Family::v6);
    return;
  }
  if (answer.rcode() != DnsRcode::no_error) return;
  const std::set<std::string> names = alias_chain(answer);
  bool any = false;
  for (const DnsRecord& record : answer.answers()) {
    if (!names.contains(answer.owner(record))) continue;
    for (const Ip& address : answer.addresses(record)) {
      any = true;
      for (const std::string& name : names) pins.pin(name, address, std::chrono::seconds(record.ttl));
    }
  }
  if (any || answer.is_truncated()) return;
  if (question.type == DnsType::a) pins.unpin(question.name, Family::v4);
  if (question.type == DnsType::aaaa) pins.unpin(question.name, Family::v6);
}

}  // namespace msb::net
