#include "state/log_format.h"

#include <array>
#include <nlohmann/json.hpp>

#include "base/base64.h"
#include "base/bytes.h"
#include "base/cat.h"

namespace msb::state {
namespace {

constexpr std::array<std::string_view, 4> kSources{"stdout", "stderr", "system", "network"};

void append_escaped(std::string& out, std::string_view text) {
  static constexpr char kDigits[] = "0123456789abcdef";
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (byte < 0x20 || byte == 0x7f) {
      out += "\\u00";
      out.push_back(kDigits[byte >> 4]);
      out.push_back(kDigits[byte & 15]);
    } else {
      out.push_back(c);
    }
  }
}

// Length of the character that starts with `byte`; 0 when none does.
size_t utf8_length(unsigned char byte) {
  if (byte < 0x80) return 1;
  if (byte >= 0xc2 && byte < 0xe0) return 2;
  if (byte >= 0xe0 && byte < 0xf0) return 3;
  if (byte >= 0xf0 && byte < 0xf5) return 4;
  return 0;
}

}  // namespace

bool is_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    auto first = static_cast<unsigned char>(text[i]);
    size_t length = utf8_length(first);
    if (length == 0 || length > text.size() - i) return false;
    for (size_t k = 1; k < length; ++k)
      if ((static_cast<unsigned char>(text[i + k]) & 0xc0) != 0x80) return false;
    if (length > 2) {
      // Overlong forms, surrogates, and what lies beyond U+10FFFF (RFC 3629, section 4).
      auto second = static_cast<unsigned char>(text[i + 1]);
      if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) || (first == 0xf0 && second < 0x90) ||
          (first == 0xf4 && second > 0x8f))
        return false;
    }
    i += length;
  }
  return true;
}

size_t unfinished_utf8(std::string_view text) {
  for (size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    auto byte = static_cast<unsigned char>(text[text.size() - back]);
    if ((byte & 0xc0) == 0x80) continue;
    return utf8_length(byte) > back ? back : 0;
  }
  return 0;
}

std::string format_log_entry(const LogEntry& entry) {
  // Zero bytes are no text either: escaped they would take six times their size.
  bool text = entry.data.find('\0') == std::string::npos && is_utf8(entry.data);
  std::string line =
      cat("{\"t\":", entry.timestamp_ms, ",\"s\":\"", kSources[static_cast<size_t>(entry.source)], "\",\"d\":\"");
  line.reserve(line.size() + entry.data.size() * 5 / 4 + 32);
  if (text) {
    append_escaped(line, entry.data);
  } else {
    line += base64_encode(entry.data);
  }
  line.push_back('"');
  if (entry.session_id) line += cat(",\"id\":", *entry.session_id);
  line += text ? "}\n" : ",\"e\":\"b64\"}\n";
  return line;
}

std::optional<LogEntry> parse_log_entry(std::string_view line) try {
  auto value = nlohmann::json::parse(line);
  LogEntry entry;
  entry.timestamp_ms = value.at("t").get<int64_t>();
  auto source = value.at("s").get<std::string>();
  size_t index = 0;
  while (index < kSources.size() && kSources[index] != source) ++index;
  if (index == kSources.size()) return std::nullopt;
  entry.source = static_cast<LogSource>(index);
  entry.data = value.at("d").get<std::string>();
  if (auto id = value.find("id"); id != value.end()) entry.session_id = id->get<uint64_t>();
  if (auto encoding = value.find("e"); encoding != value.end()) {
    if (encoding->get<std::string>() != "b64") return std::nullopt;
    auto decoded = base64_decode(entry.data);
    if (!decoded) return std::nullopt;
    entry.data = std::move(*decoded);
  }
  return entry;
} catch (const std::exception&) {
  return std::nullopt;
}

}  // namespace msb::state
