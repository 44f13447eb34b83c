#include "tree/tree_sink.h"

#include <algorithm>

#include "base/utf8.h"

namespace msb::tree {

bool is_name(std::string_view name) {
  if (name.empty() || name.size() > 255 || name == "." || name == "..") return false;
  return name.find('/') == std::string_view::npos && name.find('\0') == std::string_view::npos;
}

std::string printable_path(std::string_view path) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  while (!path.empty()) {
    auto byte = static_cast<unsigned char>(path[0]);
    size_t size = utf8_size(path);
    if (byte == '\n') {
      text += "\\n";
    } else if (byte < 0x20 || byte == 0x7f || size == 0) {
      text += "\\x";
      text += kDigits[byte >> 4];
      text += kDigits[byte & 15];
    } else {
      text += path.substr(0, size);
    }
    path.remove_prefix(std::max<size_t>(size, 1));
  }
  return text;
}

}  // namespace msb::tree
