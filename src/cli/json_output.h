// JSON as msb prints it: keys in the order they were given, and never an error for text that is not UTF-8.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace msb::cli {

using Json = nlohmann::ordered_json;

inline std::string json_text(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace);
}

inline Json text_or_null(const std::string& text) {
  return text.empty() ? Json() : Json(text);
}

}  // namespace msb::cli
