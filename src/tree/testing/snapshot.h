// What a test compares: a directory as text, one line for each thing in it.
#pragma once

#include <string>
#include <vector>

namespace msb::tree::testing {

enum class Times { compared, ignored };

// "path kind mode mtime content", sorted; links with their targets, files with their bytes; hard links are not told
// apart.
std::vector<std::string> snapshot(const std::string& directory, Times times = Times::compared);

}  // namespace msb::tree::testing
