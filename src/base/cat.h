// cat("layer ", 3, " of ", name): joins strings, characters and integers.
// A formatting library would triple the size of the guest agent.
#pragma once

#include <concepts>
#include <string>
#include <string_view>

namespace msb {
namespace cat_detail {

inline void append(std::string& out, std::string_view text) {
  out.append(text);
}
inline void append(std::string& out, char c) {
  out.push_back(c);
}
template <std::integral T>
  requires(!std::same_as<T, char> && !std::same_as<T, bool>)
void append(std::string& out, T value) {
  out.append(std::to_string(value));
}

}  // namespace cat_detail

template <class... Parts>
std::string cat(const Parts&... parts) {
  std::string out;
  (cat_detail::append(out, parts), ...);
  return out;
}

}  // namespace msb
