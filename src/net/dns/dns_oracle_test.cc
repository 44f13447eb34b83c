// DnsMessage against ldns: both read the same messages, whole and damaged.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <memory>

#include "base/cat.h"
#include "net/dns/dns_message.h"

// The last: it has macros for true and false.
#include <ldns/ldns.h>

namespace msb::net {
namespace {

struct FreePacket {
  void operator()(ldns_pkt* packet) const { ldns_pkt_free(packet); }
};
using Packet = std::unique_ptr<ldns_pkt, FreePacket>;

// A response with records that have names in them, which ldns compresses.
Bytes some_response() {
  const std::vector<std::string> names = {"example.com.", "www.example.com.", "a.b.c.example.net.", "example."};
  const auto name = [&] { return names[*rc::gen::inRange<size_t>(0, names.size())]; };
  const auto address = [] { return cat("192.0.2.", *rc::gen::inRange(0, 256)); };
  Packet packet(ldns_pkt_query_new(ldns_dname_new_frm_str(name().c_str()), LDNS_RR_TYPE_A, LDNS_RR_CLASS_IN, LDNS_RD));
  ldns_pkt_set_qr(packet.get(), true);
  for (int left = *rc::gen::inRange(0, 6); left > 0; --left) {
    const std::string records[] = {
        cat(name(), " 60 IN A ", address()),        cat(name(), " 60 IN AAAA 2001:db8::", *rc::gen::inRange(1, 999)),
        cat(name(), " 60 IN CNAME ", name()),       cat(name(), " 60 IN MX 10 ", name()),
        cat(name(), " 60 IN TXT \"v=", left, "\""), cat(name(), " 60 IN DNAME ", name()),
        cat(name(), " 60 IN SRV 1 2 443 ", name()),
    };
    ldns_rr* record = nullptr;
    RC_ASSERT(ldns_rr_new_frm_str(&record, records[*rc::gen::inRange(0, 7)].c_str(), 60, nullptr, nullptr) ==
              LDNS_STATUS_OK);
    const ldns_pkt_section sections[] = {LDNS_SECTION_ANSWER, LDNS_SECTION_AUTHORITY, LDNS_SECTION_ADDITIONAL};
    ldns_pkt_push_rr(packet.get(), sections[*rc::gen::inRange(0, 3)], record);
  }
  uint8_t* wire = nullptr;
  size_t size = 0;
  RC_ASSERT(ldns_pkt2wire(&wire, packet.get(), &size) == LDNS_STATUS_OK);
  Bytes bytes(wire, wire + size);
  free(wire);
  return bytes;
}

std::string text_of(const ldns_rdf* name) {
  std::unique_ptr<char, decltype(&free)> text(ldns_rdf2str(name), &free);
  std::string out(text.get());
  out.pop_back();
  return out;
}

// What both say of a message that both can read. Names with escapes are written differently, and passed over.
void agree(const Bytes& bytes) {
  ldns_pkt* raw = nullptr;
  const bool ldns_reads = ldns_wire2pkt(&raw, bytes.data(), bytes.size()) == LDNS_STATUS_OK;
  const Packet packet(raw);
  const auto message = DnsMessage::parse(bytes);
  if (!ldns_reads || !message) return;
  RC_ASSERT(message->id() == ldns_pkt_id(packet.get()));
  const ldns_rr_list* answers = ldns_pkt_answer(packet.get());
  RC_ASSERT(message->answers().size() == ldns_rr_list_rr_count(answers));
  for (size_t i = 0; i < message->answers().size(); ++i) {
    const DnsRecord& record = message->answers()[i];
    const ldns_rr* theirs = ldns_rr_list_rr(answers, i);
    RC_ASSERT(static_cast<unsigned>(record.type) == static_cast<unsigned>(ldns_rr_get_type(theirs)));
    RC_ASSERT(record.ttl == ldns_rr_ttl(theirs));
    ldns_rdf* lower = ldns_rdf_clone(ldns_rr_owner(theirs));
    ldns_dname2canonical(lower);
    const std::string owner = text_of(lower);
    ldns_rdf_deep_free(lower);
    if (owner.find('\\') == std::string::npos && message->owner(record).find('\\') == std::string::npos)
      RC_ASSERT(message->owner(record) == owner);
  }
}

RC_GTEST_PROP(DnsOracleTest, WhatLdnsWritesIsReadTheSame, ()) {
  const Bytes bytes = some_response();
  RC_ASSERT(DnsMessage::parse(bytes).has_value());
  agree(bytes);
}

RC_GTEST_PROP(DnsOracleTest, DamageIsReadTheSameOrNotAtAll, ()) {
  Bytes bytes = some_response();
  for (int left = *rc::gen::inRange(1, 4); left > 0; --left)
    bytes[*rc::gen::inRange<size_t>(0, bytes.size())] = *rc::gen::arbitrary<uint8_t>();
  bytes.resize(*rc::gen::inRange<size_t>(bytes.size() / 2, bytes.size() + 1));
  agree(bytes);
}

}  // namespace
}  // namespace msb::net
