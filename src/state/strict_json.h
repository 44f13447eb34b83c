// StrictReader: takes a JSON object of ours apart.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <utility>

#include "base/cat.h"

namespace msb::state {

// The value of an enumeration whose names are listed in its order. Throws.
template <class Enum, size_t N>
Enum enum_named(const char* const (&names)[N], const std::string& name, const char* what) {
  for (size_t i = 0; i < N; ++i)
    if (name == names[i]) return static_cast<Enum>(i);
  throw std::runtime_error(cat(what, " is unknown"));
}

// Reads an object strictly: wrong types, missing and unknown keys are all errors, because both
// sides are this program and any difference is a mistake. Throws; callers catch.
class StrictReader {
 public:
  explicit StrictReader(const nlohmann::json& object) : object_(object) {
    if (!object.is_object()) throw std::runtime_error("not an object");
  }
  template <class T>
  T get(const char* key) {
    ++taken_;
    auto at = object_.find(key);
    if (at == object_.end()) throw std::runtime_error(cat("'", key, "' is missing"));
    try {
      return convert<T>(*at);
    } catch (const std::exception&) {
      throw std::runtime_error(cat("'", key, "' has the wrong type or is out of range"));
    }
  }
  // A key that what was written before it existed does not have.
  template <class T>
  T later(const char* key, T otherwise) {
    return object_.contains(key) ? get<T>(key) : otherwise;
  }
  void finish() const {
    if (taken_ != object_.size()) throw std::runtime_error("it has unknown keys");
  }

 private:
  template <class T>
  static T convert(const nlohmann::json& value) {
    if constexpr (std::is_same_v<T, nlohmann::json>) {
      return value;
    } else if constexpr (std::is_same_v<T, bool>) {
      if (!value.is_boolean()) throw std::runtime_error("not a boolean");
      return value.get<bool>();
    } else if constexpr (std::is_integral_v<T>) {
      // The library would wrap a number that does not fit.
      if (!value.is_number_integer()) throw std::runtime_error("not an integer");
      auto wide = value.get<int64_t>();
      if (value.is_number_unsigned() && value.get<uint64_t>() > INT64_MAX) throw std::runtime_error("too large");
      if (!std::in_range<T>(wide)) throw std::runtime_error("out of range");
      return static_cast<T>(wide);
    } else {
      return value.get<T>();
    }
  }
  const nlohmann::json& object_;
  size_t taken_ = 0;
};

}  // namespace msb::state
