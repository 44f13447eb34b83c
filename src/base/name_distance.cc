#include "base/name_distance.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace msb {
namespace {

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i + 1);
    for (size_t k = 0; k < b.size(); ++k) {
      const size_t replace = diagonal + (a[i] == b[k] ? 0 : 1);
      diagonal = row[k + 1];
      row[k + 1] = std::min({row[k] + 1, row[k + 1] + 1, replace});
    }
  }
  return row.back();
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

}  // namespace

std::vector<std::string> nearest_names(std::string_view wanted, const std::vector<std::string>& names, size_t count) {
  constexpr size_t kLongest = 128;  // of a tag; longer ones are not worth the arithmetic
  std::vector<std::pair<size_t, std::string>> ranked;
  for (const std::string& name : names) {
    if (name.size() <= kLongest) ranked.emplace_back(edit_distance(wanted.substr(0, kLongest), name), name);
  }
  std::sort(ranked.begin(), ranked.end());
  std::vector<std::string> out;
  for (const auto& [distance, name] : ranked) {
    if (out.size() < count) out.push_back(name);
  }
  return out;
}

std::optional<std::string_view> meant_word(std::string_view wanted, std::span<const std::string_view> words) {
  constexpr size_t kFarthest = 2;  // edits; more would suggest words that have nothing in common
  if (wanted.size() > 64) return std::nullopt;
  std::optional<std::string_view> best;
  size_t least = kFarthest + 1;
  for (const std::string_view word : words) {
    const size_t distance = edit_distance(lower(wanted), lower(word));
    if (distance < least && distance < word.size()) best = word, least = distance;
  }
  return best;
}

}  // namespace msb
