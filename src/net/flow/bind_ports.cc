#include <sys/socket.h>

#include "net/flow/published_ports.h"

namespace msb::net {
namespace {

// A thousand clients at once; the host may allow fewer (net.core.somaxconn).
constexpr int kBacklog = 4096;

Error explain(Error error, const PortBinding& binding) {
  switch (error.errnum()) {
    case EADDRINUSE:
      return std::move(error).hint("choose another port of the host, or 0 for any free one: -p 0:" +
                                   std::to_string(binding.guest_port));
    case EACCES:
      return std::move(error).hint("ports below net.ipv4.ip_unprivileged_port_start (usually 1024) are root's");
    case EADDRNOTAVAIL:
      return std::move(error).hint(
          "the address to bind has to be one of this host's; 0.0.0.0 and [::] are all of them");
    default:
      return error;
  }
}

Result<BoundPort> bind_port(const PortBinding& binding) {
  MSB_TRY(Ip ip, Ip::parse(binding.bind));
  const bool tcp = binding.protocol == PortBinding::Protocol::tcp;
  BoundPort bound{binding, Fd(::socket(ip.is_v4() ? AF_INET : AF_INET6,
                                       (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0))};
  const int socket = bound.socket.get();
  const auto failed = [&] {
    return fail(explain(Error::from_errno(errno, cat("publish port ", binding.to_string())), binding));
  };
  if (socket < 0) return failed();
  constexpr int kOn = 1;
  // Connections of a sandbox that has just ended do not keep the port. UDP has nothing of the kind, and would share it.
  if (tcp) ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &kOn, sizeof(kOn));
  if (!ip.is_v4()) ::setsockopt(socket, IPPROTO_IPV6, IPV6_V6ONLY, &kOn, sizeof(kOn));
  const SocketAddress address = to_socket_address({ip, binding.host_port});
  if (::bind(socket, address.get(), address.size) < 0) return failed();
  if (tcp && ::listen(socket, kBacklog) < 0) return failed();
  SocketAddress real;
  real.size = sizeof(real.storage);
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&real.storage), &real.size) < 0) return failed();
  bound.binding.host_port = to_endpoint(real.storage).port;
  return bound;
}

}  // namespace

Result<std::vector<BoundPort>> bind_ports(const std::vector<PortBinding>& bindings) {
  std::vector<BoundPort> bound;
  for (const auto& binding : bindings) {
    MSB_TRY(auto port, bind_port(binding));
    bound.push_back(std::move(port));
  }
  return bound;
}

}  // namespace msb::net
