// What the first bytes of a connection say about whom it is meant for: the server name of a TLS ClientHello (RFC 6066,
// 3), the Host of an HTTP/1 request or the authority in its target, which goes before Host (RFC 9112, 3.2.2). A parser
// of the guest's bytes: it believes nothing and copies little.
#pragma once

#include <optional>
#include <string>

#include "base/bytes.h"

namespace msb::net {

struct FirstBytes {
  enum class State {
    more,   // cannot be told yet
    known,  // `name` is what they say; without a value: they say none (another protocol, no SNI, an address)
    // Several names, or what readers understand differently: each server would take another name from it.
    unclear,
  };
  State state = State::more;
  std::optional<std::string> name = {};  // as PinTable::canonical_name() has it, without a port
};

// Of all bytes so far.
FirstBytes read_first_bytes(ByteView bytes);

}  // namespace msb::net
