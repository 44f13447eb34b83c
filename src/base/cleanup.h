// Cleanup: runs a function when the scope ends, unless dismissed.
//
//   Cleanup remove([&] { ::unlink(path.c_str()); });
//   ...
//   remove.dismiss();   // it worked, keep the file
#pragma once

#include <optional>
#include <utility>

namespace msb {

template <class F>
class [[nodiscard]] Cleanup {
 public:
  explicit Cleanup(F action) : action_(std::move(action)) {}
  Cleanup(const Cleanup&) = delete;
  Cleanup& operator=(const Cleanup&) = delete;
  ~Cleanup() {
    if (action_) (*action_)();
  }
  void dismiss() { action_.reset(); }

 private:
  std::optional<F> action_;
};

}  // namespace msb
