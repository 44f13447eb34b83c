// SignalFd: SIGINT and SIGTERM as data on a descriptor while it lives, for commands that end in good order on ctrl-c.
#pragma once

#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>

#include "base/fd.h"

namespace msb::cli {

class SignalFd {
 public:
  static Result<SignalFd> create() {
    SignalFd self;
    ::sigemptyset(&self.set_);
    ::sigaddset(&self.set_, SIGINT);
    ::sigaddset(&self.set_, SIGTERM);
    ::pthread_sigmask(SIG_BLOCK, &self.set_, nullptr);
    self.fd_ = Fd(::signalfd(-1, &self.set_, SFD_CLOEXEC));
    if (!self.fd_) return fail_errno("watch for signals");
    return self;
  }
  SignalFd(SignalFd&&) = default;
  ~SignalFd() {
    if (fd_) ::pthread_sigmask(SIG_UNBLOCK, &set_, nullptr);
  }
  int fd() const { return fd_.get(); }
  int take() const {
    signalfd_siginfo info{};
    return ::read(fd_.get(), &info, sizeof(info)) == sizeof(info) ? static_cast<int>(info.ssi_signo) : 0;
  }

 private:
  SignalFd() = default;
  sigset_t set_{};
  Fd fd_;
};

}  // namespace msb::cli
