// PullDisplay: a live picture of a pull on a terminal: one line a layer, then a total. When
// stderr is not a terminal, or with --quiet, it prints nothing at all.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include <microsandbox/image.h>

#include "cli/output.h"

namespace msb::cli {

class PullDisplay {
 public:
  explicit PullDisplay(Quiet quiet);
  ~PullDisplay();  // wipes the live lines
  PullDisplay(const PullDisplay&) = delete;
  PullDisplay& operator=(const PullDisplay&) = delete;

  // To be handed to the pull; must not outlive the display.
  PullProgress callback();
  void on_event(const PullEvent& event);
  // The lines as they stand now, for tests too.
  std::vector<std::string> lines(size_t columns) const;

 private:
  struct Layer {
    std::string digest;
    uint64_t downloaded = 0;
    uint64_t total = 0;
    enum class State { waiting, downloading, converting, done } state = State::waiting;
    bool cached = false;
  };
  void redraw();
  void wipe();

  bool live_;
  std::string reference_;
  bool resolved_ = false;
  bool stitched_ = false;
  std::vector<Layer> layers_;
  uint64_t total_bytes_ = 0;
  size_t lines_on_screen_ = 0;
  std::chrono::steady_clock::time_point next_redraw_{};
};

}  // namespace msb::cli
