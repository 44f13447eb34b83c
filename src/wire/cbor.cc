#include "wire/cbor.h"

namespace msb::wire {

void CborWriter::head(uint8_t major, uint64_t argument) {
  auto lead = static_cast<uint8_t>(major << 5);
  uint8_t wide[8];
  if (argument < 24) {
    out_.push_back(static_cast<uint8_t>(lead | argument));
  } else if (argument <= 0xff) {
    out_.push_back(lead | 24);
    out_.push_back(static_cast<uint8_t>(argument));
  } else if (argument <= 0xffff) {
    out_.push_back(lead | 25);
    store_be(wide, static_cast<uint16_t>(argument));
    out_.insert(out_.end(), wide, wide + 2);
  } else if (argument <= 0xffffffff) {
    out_.push_back(lead | 26);
    store_be(wide, static_cast<uint32_t>(argument));
    out_.insert(out_.end(), wide, wide + 4);
  } else {
    out_.push_back(lead | 27);
    store_be(wide, argument);
    out_.insert(out_.end(), wide, wide + 8);
  }
}

void CborWriter::integer(int64_t value) {
  if (value >= 0) return head(0, static_cast<uint64_t>(value));
  head(1, static_cast<uint64_t>(-(value + 1)));
}

void CborWriter::text(std::string_view value) {
  head(3, value.size());
  out_.insert(out_.end(), value.begin(), value.end());
}

void CborWriter::bytes(ByteView value) {
  head(2, value.size());
  out_.insert(out_.end(), value.begin(), value.end());
}

Result<CborReader::Head> CborReader::head() {
  auto lead = input_.le<uint8_t>();
  if (!lead) return fail(ErrorKind::protocol, "CBOR ends where an item should start");
  Head head{static_cast<uint8_t>(*lead >> 5), static_cast<uint8_t>(*lead & 31), 0};
  std::optional<uint64_t> argument;
  switch (head.info) {
    case 24:
      argument = input_.be<uint8_t>();
      break;
    case 25:
      argument = input_.be<uint16_t>();
      break;
    case 26:
      argument = input_.be<uint32_t>();
      break;
    case 27:
      argument = input_.be<uint64_t>();
      break;
    default:
      if (head.info > 27) return fail(ErrorKind::protocol, "CBOR item of indefinite length or reserved form");
      argument = head.info;
  }
  if (!argument) return fail(ErrorKind::protocol, "CBOR item is cut short");
  head.argument = *argument;
  return head;
}

Result<CborReader::Head> CborReader::expect(uint8_t major, const char* what) {
  MSB_TRY(Head item, head());
  if (item.major != major) return fail(ErrorKind::protocol, cat("expected ", what, " in CBOR"));
  return item;
}

Result<uint64_t> CborReader::unsigned_integer() {
  MSB_TRY(Head item, expect(0, "an unsigned integer"));
  return item.argument;
}

Result<int64_t> CborReader::integer() {
  MSB_TRY(Head item, head());
  if (item.major > 1) return fail(ErrorKind::protocol, "expected an integer in CBOR");
  if (item.argument > static_cast<uint64_t>(INT64_MAX)) return fail(ErrorKind::protocol, "CBOR integer is too large");
  auto value = static_cast<int64_t>(item.argument);
  return item.major == 0 ? value : -1 - value;
}

Result<bool> CborReader::boolean() {
  MSB_TRY(Head item, expect(7, "a boolean"));
  if (item.info != 20 && item.info != 21) return fail(ErrorKind::protocol, "expected a boolean in CBOR");
  return item.info == 21;
}

Result<> CborReader::null() {
  MSB_TRY(Head item, expect(7, "null"));
  if (item.info != 22) return fail(ErrorKind::protocol, "expected null in CBOR");
  return {};
}

Result<std::string_view> CborReader::text() {
  MSB_TRY(Head item, expect(3, "text"));
  auto taken = input_.take(item.argument);
  if (!taken) return fail(ErrorKind::protocol, "CBOR text is cut short");
  return as_text(*taken);
}

Result<ByteView> CborReader::bytes() {
  MSB_TRY(Head item, expect(2, "a byte string"));
  auto taken = input_.take(item.argument);
  if (!taken) return fail(ErrorKind::protocol, "CBOR byte string is cut short");
  return *taken;
}

Result<size_t> CborReader::array() {
  MSB_TRY(Head item, expect(4, "an array"));
  if (item.argument > input_.remaining()) return fail(ErrorKind::protocol, "CBOR array is cut short");
  return static_cast<size_t>(item.argument);
}

Result<size_t> CborReader::map() {
  MSB_TRY(Head item, expect(5, "a map"));
  if (item.argument > input_.remaining() / 2) return fail(ErrorKind::protocol, "CBOR map is cut short");
  return static_cast<size_t>(item.argument);
}

Result<> CborReader::skip() {
  // Items still to read at each level of nesting; an explicit stack, so that
  // hostile nesting cannot exhaust the real one.
  uint64_t pending[kMaxCborDepth];
  size_t depth = 0;
  pending[0] = 1;
  while (true) {
    while (pending[depth] == 0) {
      if (depth == 0) return {};
      --depth;
    }
    --pending[depth];
    MSB_TRY(Head item, head());
    uint64_t children = 0;
    switch (item.major) {
      case 2:
      case 3:
        if (!input_.take(item.argument)) return fail(ErrorKind::protocol, "CBOR string is cut short");
        break;
      case 4:
      case 5:
        if (item.argument > input_.remaining()) return fail(ErrorKind::protocol, "CBOR container is cut short");
        children = item.major == 5 ? item.argument * 2 : item.argument;
        break;
      case 6:
        children = 1;
        break;
      default:
        break;
    }
    if (children == 0) continue;
    if (++depth == kMaxCborDepth) return fail(ErrorKind::protocol, "CBOR is nested too deeply");
    pending[depth] = children;
  }
}

}  // namespace msb::wire
