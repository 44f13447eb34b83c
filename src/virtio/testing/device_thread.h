// DeviceThread: the device thread of a machine, for tests whose own thread plays a vCPU.
#pragma once

#include <future>
#include <memory>
#include <thread>

#include "base/mailbox.h"
#include "base/reactor.h"

namespace msb::virtio::testing {

class DeviceThread {
 public:
  DeviceThread() {
    std::promise<void> ready;
    thread_ = std::thread([this, &ready] {
      reactor_ = Reactor::create().value();
      mailbox_ = Mailbox::create(*reactor_).value();
      ready.set_value();
      (void)reactor_->run();
    });
    ready.get_future().wait();
  }
  // What was made on the thread must be gone: destroy it with run().
  ~DeviceThread() {
    mailbox_->run([this] { reactor_->stop(); });
    thread_.join();
  }
  DeviceThread(const DeviceThread&) = delete;
  DeviceThread& operator=(const DeviceThread&) = delete;

  Mailbox& mailbox() { return *mailbox_; }
  Reactor& reactor() { return *reactor_; }  // on the thread
  std::thread::id id() const { return thread_.get_id(); }
  // Any other thread.
  void run(Mailbox::Task task) { mailbox_->run(std::move(task)); }

 private:
  std::unique_ptr<Reactor> reactor_;
  std::unique_ptr<Mailbox> mailbox_;
  std::thread thread_;
};

}  // namespace msb::virtio::testing
