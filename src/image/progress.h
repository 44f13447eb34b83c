// Progress: hands out a pull's events one at a time, whatever thread they come from.
#pragma once

#include <mutex>
#include <string>

#include <microsandbox/image.h>

namespace msb::image {

class Progress {
 public:
  Progress(PullProgress callback, std::string reference)
      : callback_(std::move(callback)), reference_(std::move(reference)) {}

  void emit(PullEvent event) {
    if (!callback_) return;
    const std::lock_guard lock(mutex_);
    event.reference = reference_;
    if (event.manifest_digest.empty()) event.manifest_digest = manifest_digest_;
    if (event.layer_count == 0) event.layer_count = layer_count_;
    callback_(event);
  }
  void emit(PullEvent::Kind kind) {
    PullEvent event;
    event.kind = kind;
    emit(std::move(event));
  }
  // From here on every event names the image.
  void resolved(std::string manifest_digest, uint32_t layer_count, uint64_t total_bytes) {
    manifest_digest_ = std::move(manifest_digest);
    layer_count_ = layer_count;
    PullEvent event;
    event.kind = PullEvent::Kind::resolved;
    event.total_bytes = total_bytes;
    emit(std::move(event));
  }

 private:
  PullProgress callback_;
  std::string reference_;
  std::string manifest_digest_;
  uint32_t layer_count_ = 0;
  std::mutex mutex_;
};

}  // namespace msb::image
