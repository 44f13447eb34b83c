// Vcpu: one virtual processor and the thread that runs it.
//
// Life: create() makes it at rest without a thread; start() begins its thread, which prepares itself (enters its jail)
// and comes to rest; resume() lets it run, pause() makes it rest again; stop() ends the thread, as the destructor does.
// resume(), pause() and stop() may be called from any thread and return at once. Events::rested answers the start and
// every pause() that no resume() has overtaken. At rest the processor's last access is complete and its state may be
// read.
//
// How a running guest is interrupted without a race: wanted_ is set, then immediate_exit in the page shared with KVM,
// then a signal is sent. A thread inside KVM_RUN leaves it because of the signal, one about to enter leaves at once
// because of immediate_exit. The signal's handler does nothing.
//
// A processor's thread waits for nothing but the devices' locks and their activation (virtio/mmio_transport.h), so the
// device thread must serve its mailbox until every processor's thread has ended.
#pragma once

#include <pthread.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "kvm/io_bus.h"
#include "kvm/kvm_api.h"

namespace msb::kvm {

// Why a processor runs no more.
struct VcpuEnd {
  enum class Cause {
    guest,   // the guest reset the machine (triple fault) or asked for its end
    failed,  // KVM or the host could not go on
  };
  Cause cause = Cause::failed;
  std::string message = {};  // failed: one sentence
  std::string hint = {};
  std::string registers = {};  // failed: text of several lines, may be empty
};

class Vcpu {
 public:
  // All called on the processor's thread.
  struct Events {
    std::function<Result<>()> prepare = [] { return Result<>(); };  // first of all; an error ends the processor
    std::function<void()> rested = [] {};
    std::function<void(VcpuEnd)> ended = [](const VcpuEnd&) {};  // at most once; the thread then waits for stop()
    std::function<void()> finished = [] {};                      // last of all, after stop(): join() will not wait
  };
  struct Buses {
    const IoBus& ports;
    const IoBus& memory;
  };

  // The buses outlive the processor.
  static Result<std::unique_ptr<Vcpu>> create(VcpuFd fd, uint32_t index, Buses buses);
  ~Vcpu();

  const VcpuFd& fd() const { return fd_; }
  // io: the thread cannot be created.
  Result<> start(Events events);
  void resume() { want(Wanted::running); }
  void pause() { want(Wanted::resting); }
  void stop() { want(Wanted::stopped); }
  // After stop(). Not on the processor's own thread.
  void join();

 private:
  enum class Wanted { resting, running, stopped };
  Vcpu(VcpuFd fd, uint32_t index, Buses buses) : fd_(std::move(fd)), index_(index), buses_(buses) {}
  void want(Wanted wanted);
  void main();
  void rest();
  // Runs the guest until something else is wanted (nullopt) or it can run no more.
  std::optional<VcpuEnd> run();
  // What a return from the guest asks for. nullopt: nothing more, run on.
  std::optional<VcpuEnd> handle_exit();
  void handle_port();
  void handle_memory();
  VcpuEnd failure(std::string message, std::string hint = {}) const;

  VcpuFd fd_;
  uint32_t index_;
  Buses buses_;
  Events events_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::atomic<Wanted> wanted_ = Wanted::resting;  // written under mutex_
  bool rest_reported_ = false;                    // guarded by mutex_
  std::optional<pthread_t> thread_;
};

}  // namespace msb::kvm
