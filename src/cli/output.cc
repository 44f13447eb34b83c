#include "cli/output.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "base/units.h"
#include "cli/invocation.h"

namespace msb::cli {

bool stdin_is_terminal() {
  return ::isatty(STDIN_FILENO) == 1;
}
bool stdout_is_terminal() {
  return ::isatty(STDOUT_FILENO) == 1;
}
bool stderr_is_terminal() {
  return ::isatty(STDERR_FILENO) == 1;
}

bool stderr_has_colors() {
  const char* no_color =
      std::getenv("NO_COLOR");  // NOLINT(concurrency-mt-unsafe): one thread, environment never changed
  return stderr_is_terminal() && !(no_color && *no_color);
}

void success(Quiet quiet, std::string_view verb, std::string_view target, std::chrono::milliseconds took) {
  if (quiet == Quiet::yes || !stderr_is_terminal()) return;
  std::string line(stderr_has_colors() ? "\x1b[32m✓\x1b[0m " : "✓ ");
  line += verb;
  line.append(verb.size() < 10 ? 10 - verb.size() : 1, ' ');
  line += printable(target);
  if (took > std::chrono::milliseconds(500)) line += cat(" (", format_duration(took), ")");
  std::fprintf(stderr, "%s\n", line.c_str());
}

void warn(Quiet quiet, std::string_view message) {
  if (quiet == Quiet::yes) return;
  std::string line(stderr_has_colors() ? "\x1b[33mwarning:\x1b[0m " : "warning: ");
  line += message;
  std::fprintf(stderr, "%s\n", line.c_str());
}

std::string Table::to_string() const {
  std::vector<size_t> widths;
  for (const auto& row : rows_) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : rows_) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line.append(widths[i] - row[i].size() + 2, ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

void Table::print() const {
  auto text = to_string();
  std::fwrite(text.data(), 1, text.size(), stdout);
}

void print_line(std::string_view line) {
  std::fprintf(stdout, "%.*s\n", static_cast<int>(line.size()), line.data());
}

std::string printable(std::string_view text, size_t width) {
  std::string out;
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    out.push_back(byte < 0x20 || byte == 0x7f ? '?' : c);
  }
  if (out.size() > width) out = out.substr(0, width > 3 ? width - 3 : width) + "...";
  return out;
}

std::string local_time(int64_t unix_ms) {
  time_t seconds = unix_ms / 1000;
  tm parts{};
  ::localtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &parts);
  return text;
}

std::string rfc3339(int64_t unix_ms) {
  time_t seconds = unix_ms / 1000;
  tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[32], whole[48];
  std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts);
  std::snprintf(whole, sizeof(whole), "%s.%03dZ", text, static_cast<int>(unix_ms % 1000));
  return whole;
}

std::string short_digest(std::string_view digest) {
  return std::string(digest.substr(0, digest.find(':') + 13));
}

Result<Format> parse_format(std::string_view text) {
  if (text.empty() || text == "table") return Format::table;
  if (text == "json") return Format::json;
  return fail(wrong_usage(cat("unknown format '", text, "'; use table or json")));
}

}  // namespace msb::cli
