// Which of many names somebody may have meant.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace msb {

// The `count` names nearest to `wanted` by edit distance, nearest first.
std::vector<std::string> nearest_names(std::string_view wanted, const std::vector<std::string>& names, size_t count);

// The word that somebody who wrote `wanted` meant: the nearest, case aside, when two edits or fewer lead there.
std::optional<std::string_view> meant_word(std::string_view wanted, std::span<const std::string_view> words);

}  // namespace msb
