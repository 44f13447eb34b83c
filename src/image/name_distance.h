// Which of many names somebody may have meant.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace msb::image {

// The `count` names nearest to `wanted` by edit distance, nearest first.
std::vector<std::string> nearest_names(std::string_view wanted, const std::vector<std::string>& names, size_t count);

}  // namespace msb::image
