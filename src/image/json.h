// Foreign JSON, bounded: size and nesting are checked before anything is built. Used by every parser in this library.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace msb::image {

using Json = nlohmann::json;

inline constexpr size_t kMaxManifestBytes = size_t{4} << 20;  // what registries themselves accept
inline constexpr int kMaxJsonDepth = 32;

// `what` names the document in errors ("the manifest of python:3.12"); kind says whose fault a bad one is.
Result<Json> parse_json(std::string_view text, std::string_view what, ErrorKind kind = ErrorKind::protocol);

// Members by type; nullptr/nullopt when missing, null, or of another type.
const Json* member(const Json& object, const char* key);
std::optional<std::string> string_member(const Json& object, const char* key);
std::optional<uint64_t> uint_member(const Json& object, const char* key);
std::vector<std::string> strings_member(const Json& object, const char* key);  // non-strings are left out

}  // namespace msb::image
