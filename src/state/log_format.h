// One line of a sandbox's log files, which are JSON lines: {"t":1700000000000,"s":"stdout","d":"text\n","id":7}.
//
//   t   Unix milliseconds
//   s   "stdout", "stderr" or "system"
//   d   what was written; base64 of it when "e" is "b64", because it is not UTF-8 or has zero bytes
//   id  the session it belongs to; absent for what the sandbox itself says
//
// Both sides are here so that they agree. The data comes from the guest: control characters are
// escaped, so that one entry is always one line.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <microsandbox/sandbox.h>

namespace msb::state {

// Longest line the reader takes: a stream chunk of 64 KiB with every byte escaped as \u00XX.
inline constexpr size_t kMaxLogLine = size_t{512} * 1024;

// With the newline.
std::string format_log_entry(const LogEntry& entry);
// Without the newline; nullopt for a line that is none of ours.
std::optional<LogEntry> parse_log_entry(std::string_view line);

bool is_utf8(std::string_view text);
// How many bytes at the end begin a character that the text does not finish (0 to 3).
size_t unfinished_utf8(std::string_view text);

}  // namespace msb::state
