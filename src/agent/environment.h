// Environment: lists of "K=V" laid over each other.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace msb::agent {

inline constexpr std::string_view kDefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

// nullptr when the key is not there.
const std::string* find_variable(const std::vector<std::string>& env, std::string_view key);

// `over` replaces variables of `base` in place and appends the new ones. Entries without a name are dropped.
std::vector<std::string> merge_environment(std::vector<std::string> base, const std::vector<std::string>& over);

// Appends K=V unless K is there.
void set_default(std::vector<std::string>& env, std::string_view key, std::string_view value);

}  // namespace msb::agent
