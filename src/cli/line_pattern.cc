#include "cli/line_pattern.h"

#include <regex.h>

#include <array>

namespace msb::cli {

// The C library's: its time and stack do not grow with the line as std::regex's do, and what is matched comes from
// guests.
struct LinePattern::Compiled {
  regex_t expression{};
  int error;
  explicit Compiled(const std::string& text) : error(::regcomp(&expression, text.c_str(), REG_EXTENDED | REG_NOSUB)) {}
  Compiled(const Compiled&) = delete;
  Compiled& operator=(const Compiled&) = delete;
  ~Compiled() {
    if (error == 0) ::regfree(&expression);
  }
};

Result<LinePattern> LinePattern::compile(const std::string& expression) {
  auto compiled = std::make_shared<const Compiled>(expression);
  if (compiled->error == 0) return LinePattern(std::move(compiled));
  std::array<char, 256> why{};
  ::regerror(compiled->error, &compiled->expression, why.data(), why.size());
  return fail(ErrorKind::invalid_config, cat("'", expression, "': ", why.data()));
}

std::string LinePattern::matching_lines(std::string_view text) const {
  std::string lines;
  while (!text.empty()) {
    const size_t newline = text.find('\n');
    const std::string_view line = text.substr(0, newline);
    const std::string_view whole = text.substr(0, newline == std::string_view::npos ? newline : newline + 1);
    if (matches(line)) lines += whole;
    text.remove_prefix(whole.size());
  }
  return lines;
}

bool LinePattern::matches(std::string_view line) const {
  regmatch_t range{.rm_so = 0, .rm_eo = static_cast<regoff_t>(line.size())};
  // NOLINTNEXTLINE(bugprone-suspicious-stringview-data-usage): `range` says how long it is
  return ::regexec(&compiled_->expression, line.data(), 1, &range, REG_STARTEND) == 0;
}

}  // namespace msb::cli
