// What msb prints: data on stdout, everything that is only for the eyes on stderr.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace msb::cli {

bool stdin_is_terminal();
bool stdout_is_terminal();
bool stderr_is_terminal();
// Colours on stderr: a terminal, and NO_COLOR is unset or empty.
bool stderr_has_colors();

enum class Quiet { no, yes };

// "✓ Stopped   demo (1.2s)" on stderr when that is a terminal; the time only above half a second.
void success(Quiet quiet, std::string_view verb, std::string_view target,
             std::chrono::milliseconds took = std::chrono::milliseconds(0));
// "warning: ..." on stderr.
void warn(Quiet quiet, std::string_view message);

// Left-aligned columns, two spaces apart, printed to stdout.
class Table {
 public:
  explicit Table(std::vector<std::string> header) : rows_{std::move(header)} {}
  void row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  std::string to_string() const;
  void print() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

void print_line(std::string_view line);  // to stdout
// Removes control characters, which could drive the reader's terminal, and shortens to `width` columns.
std::string printable(std::string_view text, size_t width = SIZE_MAX);

std::string local_time(int64_t unix_ms);  // "2026-11-21 06:30:00"
std::string rfc3339(int64_t unix_ms);     // "2026-11-21T06:30:00.123Z"

std::string short_digest(std::string_view digest);  // "sha256:0123456789ab"

// "--format" of the listing commands.
enum class Format { table, json };
Result<Format> parse_format(std::string_view text);

}  // namespace msb::cli
