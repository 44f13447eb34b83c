// Cutting text into lines and fields, for the small files of /etc.
#pragma once

#include <charconv>
#include <optional>
#include <string_view>
#include <vector>

namespace msb::agent {

inline std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

// Words between blanks.
inline std::vector<std::string_view> words(std::string_view text) {
  std::vector<std::string_view> found;
  while (true) {
    size_t start = text.find_first_not_of(" \t\r");
    if (start == std::string_view::npos) return found;
    text.remove_prefix(start);
    size_t end = text.find_first_of(" \t\r");
    found.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return found;
    text.remove_prefix(end);
  }
}

// Decimal digits only, in range of T.
template <class T>
std::optional<T> parse_number(std::string_view text) {
  T value{};
  auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || rest != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

}  // namespace msb::agent
