#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include "vmm/relay.h"

namespace msb::vmm {
namespace {

// Another user's process must not drive the sandbox, even where directory modes would let it connect.
bool is_ours(int socket) {
  ucred peer{};
  socklen_t size = sizeof(peer);
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0) return false;
  return peer.uid == ::geteuid() || peer.uid == 0;
}

}  // namespace

Result<> Relay::listen(const state::Home& home, const std::string& sandbox) {
  MSB_CHECK(home.make_dir(home.run_dir()));
  socket_path_ = home.relay_socket(sandbox);
  ::unlink(socket_path_.c_str());
  listener_ = Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listener_) return fail_errno("create the relay's socket");

  // A socket address holds 107 bytes, a home's path may be longer: name it by an open directory.
  MSB_TRY(Fd directory, open_file(home.run_dir(), O_PATH | O_DIRECTORY));
  std::string name = cat("/proc/self/fd/", directory.get(), socket_path_.substr(home.run_dir().size()));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, name.c_str(), name.size() + 1);
  mode_t mask = ::umask(0177);
  int bound = ::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address));
  int error = errno;
  ::umask(mask);
  if (bound < 0) return fail_errno(cat("bind the relay's socket ", socket_path_), error);
  if (::listen(listener_.get(), static_cast<int>(limits_.clients)) < 0)
    return fail_errno("listen on the relay's socket");
  MSB_TRY(spare_, open_file("/dev/null"));
  MSB_TRY(listener_watch_, reactor_.watch(listener_.get(), EPOLLIN, [this](uint32_t) { accept_clients(); }));
  return {};
}

void Relay::accept_clients() {
  while (true) {
    Fd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket) {
      // Out of descriptors: the listener would stay readable for ever. The spare one turns the client away.
      if ((errno == EMFILE || errno == ENFILE) && spare_) {
        spare_.reset();
        Fd refused(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        refused.reset();
        if (auto again = open_file("/dev/null")) spare_ = std::move(*again);
        continue;
      }
      return;
    }
    if (!is_ours(socket.get())) continue;
    if (auto added = add_client(std::move(socket)); !added) log_.system(added.error().to_string());
  }
}

void Relay::stop_listening() {
  listener_watch_.reset();
  if (listener_) ::unlink(socket_path_.c_str());
  listener_.reset();
}

}  // namespace msb::vmm
