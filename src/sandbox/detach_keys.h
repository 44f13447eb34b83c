// DetachKeys: finds the key sequence that leaves an interactive session in what is typed.
//
// "ctrl-]", "ctrl-p,ctrl-q", "a": keys separated by commas, each "ctrl-" and one of a-z @ [ \ ] ^ _
// or one printable character. Typed bytes that could begin the sequence are held back until
// the next byte decides.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace msb {

class DetachKeys {
 public:
  // An empty text never matches.
  static Result<DetachKeys> parse(std::string_view text);

  struct Outcome {
    std::string passed;     // for the process
    bool detached = false;  // the sequence is complete; what was typed after it is dropped
  };
  Outcome feed(std::string_view typed);

 private:
  std::string sequence_;
  std::string held_;
};

}  // namespace msb
