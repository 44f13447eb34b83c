#include "net/dns/dns_gateway.h"

#include <map>

#include "base/result.h"
#include "net/dns/answer_pins.h"
#include "net/dns/dns_message.h"
#include "net/dns/dns_reply.h"
#include "net/dns/nameservers.h"
#include "net/dns/upstream_query.h"
#include "net/events.h"

namespace msb::net {
namespace {

constexpr std::string_view kHostName = "host.microsandbox.internal";
constexpr std::chrono::seconds kHostTtl{60};
constexpr std::string_view kRebindRule = "DNS rebind protection";

class Gateway final : public DnsGateway {
 public:
  Gateway(Reactor& reactor, const Config& config, Nameservers nameservers, const Policy& policy, PinTable& pins,
          std::function<void(DenialEvent)> on_denial)
      : reactor_(reactor),
        config_(config),
        nameservers_(std::move(nameservers)),
        policy_(policy),
        pins_(pins),
        on_denial_(std::move(on_denial)) {}

  bool ask(const Query& query, std::function<void(Bytes)> reply) override;

 private:
  // A query that upstreams are being asked.
  struct Pending {
    Bytes bytes;  // as the guest sent it
    NetworkProtocol protocol = NetworkProtocol::udp;
    Endpoint aimed;
    std::function<void(Bytes)> reply;
    std::vector<Endpoint> servers;
    size_t next = 0;
    bool pins = false;  // whether the answer may speak for names: of servers the guest chose, it may not
    std::unique_ptr<UpstreamQuery> upstream;
  };
  using Pendings = std::map<uint64_t, Pending>;

  bool is_gateway(const Ip& ip) const {
    return (config_.v4 && ip == config_.v4->gateway) || (config_.v6 && ip == config_.v6->gateway);
  }
  void deny(const Query& query, const DnsQuestion& question, std::string rule) const;
  // What can be said at once.
  std::optional<Bytes> answer_locally(const Query& query, const DnsMessage& message);
  std::optional<Bytes> answer_host(const DnsMessage& message);
  void ask_upstream(const Query& query, std::vector<Endpoint> servers, std::function<void(Bytes)> reply);
  void ask_next(Pendings::iterator at);
  void answered(Pendings::iterator at, Bytes answer);
  void end(Pendings::iterator at, Bytes reply);

  Reactor& reactor_;
  Config config_;
  Nameservers nameservers_;
  const Policy& policy_;
  PinTable& pins_;
  std::function<void(DenialEvent)> on_denial_;
  uint64_t next_key_ = 0;
  Pendings pending_;
};

void Gateway::deny(const Query& query, const DnsQuestion& question, std::string rule) const {
  DenialEvent event{.protocol = query.protocol, .name = question.name, .rule = std::move(rule)};
  if (!is_gateway(query.aimed.ip)) event.remote = query.aimed;
  on_denial_(std::move(event));
}

bool Gateway::ask(const Query& query, std::function<void(Bytes)> reply) {
  constexpr uint8_t kResponseBit = 0x80;
  if (query.message.size() < kDnsHeaderSize || (query.message[2] & kResponseBit) != 0) return false;
  const auto message = DnsMessage::parse(query.message);
  if (!message) {
    reply(dns_refusal(query.message.first(kDnsHeaderSize), DnsRcode::format_error));
    return true;
  }
  if (auto answer = answer_locally(query, *message)) {
    reply(std::move(*answer));
    return true;
  }
  std::vector<Endpoint> servers = is_gateway(query.aimed.ip) ? nameservers_.current() : std::vector{query.aimed};
  if (pending_.size() < kMaximumQueries) {
    ask_upstream(query, std::move(servers), std::move(reply));
  } else {
    reply(dns_refusal(*message, DnsRcode::server_failure, DnsExtendedError::no_reachable_authority));
  }
  return true;
}

std::optional<Bytes> Gateway::answer_locally(const Query& query, const DnsMessage& message) {
  // One question and nothing that only a response has: what else a query could carry would go past the policy.
  if (message.opcode() != 0) return dns_refusal(message, DnsRcode::not_implemented);
  if (message.questions().size() != 1 || !message.answers().empty() || !message.authority().empty())
    return dns_refusal(message, DnsRcode::format_error);
  const DnsQuestion& question = message.questions()[0];
  if (question.type == DnsType::axfr || question.type == DnsType::ixfr)
    return dns_refusal(message, DnsRcode::not_implemented);

  if (Verdict asked = policy_.query(question.name, query.protocol); asked.kind != Verdict::Kind::allow) {
    deny(query, question, std::move(asked.reason));
    return dns_refusal(message, DnsRcode::name_error, DnsExtendedError::blocked);
  }
  const bool internet = question.klass == kDnsInternet;
  if (internet && ((question.type == DnsType::a && !config_.v4) || (question.type == DnsType::aaaa && !config_.v6)))
    return dns_addresses(message, {}, kHostTtl);
  if (internet && question.name == kHostName) return answer_host(message);
  if (is_gateway(query.aimed.ip)) return std::nullopt;

  const Flow flow{.protocol = query.protocol, .remote = query.aimed.ip, .port = query.aimed.port};
  if (Verdict aimed = policy_.egress_named(flow, std::nullopt, pins_); aimed.kind != Verdict::Kind::allow) {
    deny(query, question, std::move(aimed.reason));
    return dns_refusal(message, DnsRcode::name_error, DnsExtendedError::blocked);
  }
  return std::nullopt;
}

std::optional<Bytes> Gateway::answer_host(const DnsMessage& message) {
  std::vector<Ip> addresses;
  const DnsType type = message.questions()[0].type;
  if (type == DnsType::a) addresses.push_back(config_.v4->gateway);
  if (type == DnsType::aaaa) addresses.push_back(config_.v6->gateway);
  for (const Ip& address : addresses) pins_.pin(kHostName, address, kHostTtl);
  return dns_addresses(message, addresses, kHostTtl);
}

void Gateway::ask_upstream(const Query& query, std::vector<Endpoint> servers, std::function<void(Bytes)> reply) {
  const auto at = pending_.emplace_hint(pending_.end(), next_key_++, Pending());
  at->second.bytes.assign(query.message.begin(), query.message.end());
  at->second.protocol = query.protocol;
  at->second.aimed = query.aimed;
  at->second.reply = std::move(reply);
  at->second.servers = std::move(servers);
  at->second.pins = is_gateway(query.aimed.ip);
  ask_next(at);
}

void Gateway::ask_next(Pendings::iterator at) {
  Pending& pending = at->second;
  const DnsMessage query = DnsMessage::parse(pending.bytes).value();
  const auto transport =
      pending.protocol == NetworkProtocol::tcp ? UpstreamQuery::Transport::tcp : UpstreamQuery::Transport::udp;
  while (pending.next < pending.servers.size()) {
    const Endpoint& server = pending.servers[pending.next++];
    auto upstream =
        UpstreamQuery::start(reactor_, server, transport, config_.dns.query_timeout, dns_forwarded(query, 0),
                             query.questions()[0], [this, at](Result<Bytes> answer) {
                               if (!answer) return ask_next(at);
                               answered(at, std::move(*answer));
                             });
    if (!upstream) continue;
    pending.upstream = std::move(*upstream);
    return;
  }
  end(at, dns_refusal(query, DnsRcode::server_failure, DnsExtendedError::no_reachable_authority));
}

void Gateway::answered(Pendings::iterator at, Bytes answer) {
  Pending& pending = at->second;
  const DnsMessage query = DnsMessage::parse(pending.bytes).value();
  store_be(answer.data(), query.id());
  const DnsMessage message = DnsMessage::parse(answer).value();
  for (const Ip& address : all_addresses(message)) {
    if (policy_.may_answer(address)) continue;
    deny({.protocol = pending.protocol, .guest = {}, .aimed = pending.aimed, .message = {}}, query.questions()[0],
         cat(kRebindRule, ": ", address.to_string()));
    return end(at, dns_refusal(query, DnsRcode::name_error, DnsExtendedError::blocked));
  }
  if (pending.pins && !message.questions().empty()) pin_answer(message, pins_);
  const size_t limit = pending.protocol == NetworkProtocol::udp ? query.udp_size() : kDnsLargest;
  if (answer.size() > limit) return end(at, dns_cut(message, limit));
  end(at, std::move(answer));
}

void Gateway::end(Pendings::iterator at, Bytes reply) {
  const auto done = std::move(at->second.reply);
  pending_.erase(at);
  done(std::move(reply));
}

}  // namespace

Result<std::unique_ptr<DnsGateway>> DnsGateway::create(Reactor& reactor, const Config& config, const Policy& policy,
                                                       PinTable& pins, std::function<void(DenialEvent)> on_denial) {
  MSB_TRY(Nameservers nameservers, Nameservers::create(config.dns.nameservers, config.resolv_conf));
  return std::make_unique<Gateway>(reactor, config, std::move(nameservers), policy, pins, std::move(on_denial));
}

}  // namespace msb::net
