// StackThread: a GuestStack with Services on a thread of its own, for tests whose own thread is a program in the guest.
#pragma once

#include <future>
#include <thread>

#include "base/mailbox.h"
#include "net/testing/services.h"

namespace msb::net::testing {

class StackThread {
 public:
  StackThread(Fd link, const LinkConfig& config, const TcpEngine::Limits& limits = {}) {
    std::promise<void> ready;
    thread_ = std::thread([&, this] {
      reactor_ = Reactor::create().value();
      mailbox_ = Mailbox::create(*reactor_).value();
      stack_ = GuestStack::create(*reactor_, std::move(link), config, services_.hooks(), limits).value();
      services_.attach(*stack_);
      ready.set_value();
      (void)reactor_->run();
      services_.late.clear();
      stack_.reset();
    });
    ready.get_future().wait();
  }
  ~StackThread() {
    mailbox_->run([this] { reactor_->stop(); });
    thread_.join();
  }
  StackThread(const StackThread&) = delete;
  StackThread& operator=(const StackThread&) = delete;

  void run(Mailbox::Task task) { mailbox_->run(std::move(task)); }
  Services& services() { return services_; }
  GuestStack& stack() { return *stack_; }  // inside run()
  StackCounters counters() {
    StackCounters counters;
    run([&] { counters = stack_->counters(); });
    return counters;
  }

 private:
  Services services_;
  std::unique_ptr<Reactor> reactor_;
  std::unique_ptr<Mailbox> mailbox_;
  std::unique_ptr<GuestStack> stack_;
  std::thread thread_;
};

}  // namespace msb::net::testing
