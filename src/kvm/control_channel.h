// ControlChannel: the program's end of the control socket (control.h).
//
// All on the device thread. Notices are never waited for: what the socket does not take is dropped. That needs some
// hundred of them unread; the host then learns of the end by that of the process.
#pragma once

#include <functional>
#include <memory>

#include "base/fd.h"
#include "base/reactor.h"
#include "disk/disk_traffic.h"
#include "kvm/control.h"

namespace msb::kvm {

class ControlChannel {
 public:
  struct Handlers {
    std::function<void(const Request&)> request;
    std::function<void()> closed;  // the host side is gone; nothing follows
  };

  static Result<std::unique_ptr<ControlChannel>> create(Reactor& reactor, Fd socket);
  // Requests wait in the socket until this.
  Result<> listen(Handlers handlers);

  void started(std::vector<std::string> walls);
  void done(uint32_t id, std::string error = {});
  void measured(uint32_t id, const disk::DiskTraffic& traffic);
  void warning(std::string message);  // those beyond kMaxWarnings are dropped
  void ended(Notice notice);

 private:
  ControlChannel(Reactor& reactor, Fd socket) : reactor_(reactor), socket_(std::move(socket)) {}
  void receive();
  void send(const Notice& notice);
  Reactor& reactor_;
  Fd socket_;
  Handlers handlers_;
  size_t warnings_ = 0;
  Reactor::Watch watch_;
};

}  // namespace msb::kvm
