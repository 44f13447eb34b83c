// ProxyExceptions: what is reached without the proxy, as NO_PROXY lists it.
//
//   ProxyExceptions::parse("10.0.0.0/8,[fd00::1],.corp.example,*.lan")
//
// Entries are parted by commas or spaces: an address or a range; a name, with or without "." or "*." before it, which
// is itself and all below; "*", which is everything. What is none of these is no exception.
//
// A name stands for the addresses that the sandbox's DNS has given for it (PinTable). What a connection's first bytes
// say is not asked: the guest writes them, and could steer by them which way it takes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "net/policy/pin_table.h"

namespace msb::net {

class ProxyExceptions {
 public:
  static ProxyExceptions parse(std::string_view text);
  bool has(const Ip& ip, const PinTable& pins) const;

 private:
  bool everything_ = false;
  std::vector<Cidr> ranges_;
  std::vector<std::string> names_;
};

}  // namespace msb::net
