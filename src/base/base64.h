// Base64 (RFC 4648, 4): bytes as letters.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace msb {

std::string base64_encode(std::string_view bytes);
// With or without the '=' at the end; nullopt for other characters.
std::optional<std::string> base64_decode(std::string_view text);

}  // namespace msb
