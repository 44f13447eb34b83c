#include "wire/cbor.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <nlohmann/json.hpp>

namespace msb::wire {
namespace {

using nlohmann::json;

Bytes oracle(const json& value) {
  return json::to_cbor(value);
}

RC_GTEST_PROP(Cbor, integers_are_written_like_the_oracle_writes_them, (int64_t value)) {
  CborWriter out;
  out.integer(value);
  RC_ASSERT(out.data() == oracle(value));
  CborReader in(out.data());
  RC_ASSERT(in.integer().value() == value);
  RC_ASSERT(in.at_end());
}

RC_GTEST_PROP(Cbor, unsigned_integers_round_trip, (uint64_t value)) {
  CborWriter out;
  out.unsigned_integer(value);
  RC_ASSERT(out.data() == oracle(value));
  RC_ASSERT(CborReader(out.data()).unsigned_integer().value() == value);
}

RC_GTEST_PROP(Cbor, byte_strings_round_trip, (Bytes value)) {
  CborWriter out;
  out.bytes(value);
  RC_ASSERT(out.data() == oracle(json::binary(value)));
  CborReader in(out.data());
  auto view = in.bytes().value();
  RC_ASSERT(Bytes(view.begin(), view.end()) == value);
}

RC_GTEST_PROP(Cbor, text_round_trips, (std::string value)) {
  CborWriter out;
  out.text(value);
  RC_ASSERT(CborReader(out.data()).text().value() == value);
}

RC_GTEST_PROP(Cbor, no_input_is_read_past_its_end, (Bytes input)) {
  CborReader in(input);
  while (!in.at_end()) {
    if (!in.skip()) break;
  }
}

RC_GTEST_PROP(Cbor, a_message_cut_short_anywhere_is_refused, (std::vector<std::pair<std::string, int>> pairs)) {
  CborWriter out;
  out.map(pairs.size());
  for (const auto& [key, value] : pairs) {
    out.text(key);
    out.integer(value);
  }
  const Bytes& whole = out.data();
  RC_ASSERT(CborReader(whole).skip().has_value());
  for (size_t length = 0; length < whole.size(); ++length)
    RC_ASSERT(!CborReader(ByteView(whole).first(length)).skip().has_value());
}

TEST(Cbor, skip_steps_over_whatever_the_oracle_writes) {
  json value = {
      {"a", {1, -2, nullptr, true, 2.5}}, {"b", {{"c", json::binary({1, 2, 3})}, {"d", "text"}}}, {"e", 70000}};
  Bytes bytes = oracle(value);
  CborReader in(bytes);
  ASSERT_TRUE(in.skip());
  EXPECT_TRUE(in.at_end());
}

TEST(Cbor, deep_nesting_is_an_error_not_a_crash) {
  Bytes arrays(1 << 20, 0x81);
  EXPECT_FALSE(CborReader(arrays).skip());
  Bytes tags(1 << 20, 0xc1);
  EXPECT_FALSE(CborReader(tags).skip());
}

TEST(Cbor, declared_sizes_are_checked_against_the_input) {
  for (const Bytes& hostile : {
           Bytes{0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},  // array of 2^64-1
           Bytes{0xbb, 0x80, 0, 0, 0, 0, 0, 0, 0},                       // map of 2^63 pairs: doubling would wrap
           Bytes{0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},  // bytes
           Bytes{0x7a, 0x7f, 0xff, 0xff, 0xff},                          // text
       }) {
    EXPECT_FALSE(CborReader(hostile).skip());
    EXPECT_FALSE(CborReader(hostile).array());
    EXPECT_FALSE(CborReader(hostile).map());
    EXPECT_FALSE(CborReader(hostile).bytes());
    EXPECT_FALSE(CborReader(hostile).text());
  }
}

TEST(Cbor, indefinite_and_reserved_forms_are_refused) {
  for (uint8_t lead : {0x5f, 0x7f, 0x9f, 0xbf, 0xff, 0x1c, 0x1d, 0x1e}) {
    Bytes input{lead, 0x00, 0xff};
    EXPECT_FALSE(CborReader(input).skip()) << int(lead);
  }
}

TEST(Cbor, types_are_not_mixed_up) {
  Bytes number{0x01};
  EXPECT_FALSE(CborReader(number).text());
  EXPECT_FALSE(CborReader(number).boolean());
  EXPECT_FALSE(CborReader(number).null());
  Bytes large{0x1b, 0x80, 0, 0, 0, 0, 0, 0, 0};
  EXPECT_FALSE(CborReader(large).integer());
  EXPECT_TRUE(CborReader(large).unsigned_integer());
  Bytes negative{0x20};
  EXPECT_FALSE(CborReader(negative).unsigned_integer());
  EXPECT_EQ(CborReader(negative).integer().value(), -1);
}

}  // namespace
}  // namespace msb::wire
