#include "net/testing/host_namespace.h"

#include <fcntl.h>
#include <sched.h>

#include "base/fd.h"
#include "net/testing/interfaces.h"

namespace msb::net::testing {
namespace {

Result<> set(const char* sysctl, std::string_view value) {
  MSB_TRY(const Fd file, open_file(sysctl, O_WRONLY));
  return write_full(file.get(), as_bytes(value));
}

}  // namespace

Ip HostNamespace::address(Family family) {
  return family == Family::v4 ? Ip::v4(93, 184, 216, 34) : Ip::parse("2606:2800:21f:cb07:6820:80da:af6b:8b2c").value();
}

Ip HostNamespace::loopback(Family family) {
  return family == Family::v4 ? Ip::v4(127, 0, 0, 1) : Ip::parse("::1").value();
}

Result<> HostNamespace::enter(Families families) {
  if (::unshare(CLONE_NEWNET) < 0) return fail_errno("make a network namespace");
  MSB_CHECK(set("/proc/sys/net/ipv4/ping_group_range", "0 2147483647"));
  if (families == Families::only_v4) MSB_CHECK(set("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1"));
  MSB_CHECK(bring_up("lo"));
  if (families != Families::only_v6) MSB_CHECK(add_address("lo", address(Family::v4), 32));
  if (families != Families::only_v4) MSB_CHECK(add_address("lo", address(Family::v6), 128));
  return {};
}

}  // namespace msb::net::testing
