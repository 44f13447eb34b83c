// PortBinding's text.
#include <charconv>

#include <microsandbox/network.h>

#include "base/result.h"
#include "net/address.h"

namespace msb {
namespace {

constexpr std::string_view kDefaultBind = "127.0.0.1";

tl::unexpected<Error> bad(std::string_view text, std::string_view why) {
  return fail(Error(ErrorKind::invalid_config, cat("port '", text, "': ", why))
                  .hint("[BIND:]HOST:GUEST[/tcp|/udp], as in 8080:80, 0.0.0.0:53:53/udp or [::1]:8080:80"));
}

Result<uint16_t> parse_port(std::string_view text, std::string_view digits, std::string_view whose, uint16_t least) {
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error == std::errc() && end == digits.data() + digits.size() && port >= least) return port;
  if (digits.find('-') != std::string_view::npos) return bad(text, "ranges of ports cannot be published; name each");
  return bad(text, cat("the ", whose, " port has to be ", least, " to 65535, not '", digits, "'"));
}

}  // namespace

Result<PortBinding> PortBinding::parse(std::string_view text) {
  PortBinding out;
  std::string_view rest = text;
  if (const size_t slash = rest.find('/'); slash != std::string_view::npos) {
    const std::string_view protocol = rest.substr(slash + 1);
    if (protocol != "tcp" && protocol != "udp")
      return bad(text, cat("the protocol is tcp or udp, not '", protocol, "'"));
    if (protocol == "udp") out.protocol = Protocol::udp;
    rest = rest.substr(0, slash);
  }
  const size_t last = rest.rfind(':');
  if (last == std::string_view::npos) return bad(text, "it needs a port of the host and one of the guest");
  MSB_TRY(out.guest_port, parse_port(text, rest.substr(last + 1), "guest's", 1));
  rest = rest.substr(0, last);

  std::string_view bind = kDefaultBind;
  if (const size_t colon = rest.rfind(':'); colon != std::string_view::npos) {
    bind = rest.substr(0, colon);
    rest = rest.substr(colon + 1);
    const bool brackets = bind.starts_with('[') && bind.ends_with(']');
    if (brackets) bind = bind.substr(1, bind.size() - 2);
    const auto ip = net::Ip::parse(bind);
    if (!ip || ip->is_v4() == brackets)
      return bad(text, cat("it binds to an address of this host, IPv6 in brackets, not to '", bind, "'"));
    out.bind = ip->to_string();
  }
  MSB_TRY(out.host_port, parse_port(text, rest, "host's", 0));
  return out;
}

std::string PortBinding::to_string() const {
  const bool v6 = bind.find(':') != std::string::npos;
  return cat(bind == kDefaultBind ? ""
             : v6                 ? cat("[", bind, "]:")
                                  : cat(bind, ":"),
             host_port, ":", guest_port, protocol == Protocol::udp ? "/udp" : "");
}

}  // namespace msb
