// Mailbox: how other threads hand work to a reactor's thread.
//
//   MSB_TRY(auto mailbox, Mailbox::create(*reactor));   // on the reactor's thread
//   mailbox->post([] { ... });                          // from any thread; runs on the reactor's, in order
//
// Destroyed on the reactor's thread, after every thread that posts has been joined; what is still queued then is
// dropped without being run.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "base/fd.h"
#include "base/reactor.h"

namespace msb {

class Mailbox {
 public:
  using Task = std::function<void()>;

  static Result<std::unique_ptr<Mailbox>> create(Reactor& reactor);

  void post(Task task);
  // Runs the task on the reactor's thread and returns when it is done. Never to be called on that thread.
  void run(Task task);

 private:
  explicit Mailbox(Fd event) : event_(std::move(event)) {}
  void deliver();

  Fd event_;
  std::mutex mutex_;
  std::vector<Task> tasks_;  // guarded by mutex_
  Reactor::Watch watch_;
};

}  // namespace msb
