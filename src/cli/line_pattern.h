// LinePattern: a POSIX extended regular expression that lines are looked at with, as grep -E does.
//
//   MSB_TRY(auto pattern, LinePattern::compile("^GET /"));
//   pattern.matching_lines("GET / 200\nPOST / 201\n")   // "GET / 200\n"
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace msb::cli {

class LinePattern {
 public:
  // invalid_config: what is wrong with the expression.
  static Result<LinePattern> compile(const std::string& expression);

  // The lines of `text` that match, each with its newline if it has one.
  std::string matching_lines(std::string_view text) const;

 private:
  struct Compiled;
  explicit LinePattern(std::shared_ptr<const Compiled> compiled) : compiled_(std::move(compiled)) {}
  bool matches(std::string_view line) const;

  std::shared_ptr<const Compiled> compiled_;
};

}  // namespace msb::cli
