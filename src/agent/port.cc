#include "agent/port.h"

#include <dirent.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include "base/cleanup.h"

namespace msb::agent {
namespace {

constexpr const char* kPorts = "/sys/class/virtio-ports";

// The device's name ("vport0p1"), or nothing while no port carries that name.
std::string find_port(std::string_view name) {
  DIR* directory = ::opendir(kPorts);
  if (!directory) return {};
  Cleanup close([&] { ::closedir(directory); });
  while (const dirent* entry = ::readdir(directory)) {
    if (entry->d_name[0] == '.') continue;
    auto text = read_file(cat(kPorts, '/', std::string_view(entry->d_name), "/name"), 256);
    if (text && (*text == name || *text == cat(name, '\n'))) return entry->d_name;
  }
  return {};
}

}  // namespace

Result<Fd> open_port(std::string_view name) {
  std::string device = find_port(name);
  if (device.empty()) {
    // The kernel announces every change of a device. Listen first, then look again: none is missed.
    Fd events(::socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT));
    if (!events) return fail_errno("listen for device events");
    sockaddr_nl address{};
    address.nl_family = AF_NETLINK;
    address.nl_groups = 1;
    if (::bind(events.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) < 0)
      return fail_errno("listen for device events");
    uint8_t event[4096];
    while ((device = find_port(name)).empty()) {
      // Lost events (ENOBUFS) are as good as events.
      if (auto got = read_some(events.get(), event); !got && got.error().errnum() != ENOBUFS)
        return fail(std::move(got).error().context("wait for the agent port"));
    }
  }
  return open_file(cat("/dev/", device), O_RDWR | O_NONBLOCK);
}

}  // namespace msb::agent
