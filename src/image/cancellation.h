// Cancellation: one flag that ends waits and transfers on other threads at once. All calls are thread-safe.
#pragma once

#include <chrono>
#include <memory>

#include "base/fd.h"

namespace msb::image {

class Cancellation {
 public:
  static Result<std::unique_ptr<Cancellation>> create();

  void cancel();
  bool cancelled() const;
  // Readable from the moment of cancel() on; to be waited on beside sockets.
  int fd() const { return event_.get(); }
  // Waits out a back-off delay; ErrorKind::cancelled as soon as cancel() is called.
  Result<> wait_for(std::chrono::milliseconds delay) const;

 private:
  explicit Cancellation(Fd event) : event_(std::move(event)) {}
  Fd event_;
};

}  // namespace msb::image
