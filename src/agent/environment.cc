#include "agent/environment.h"

#include <algorithm>

#include "base/cat.h"

namespace msb::agent {
namespace {

std::string_view key_of(std::string_view entry) {
  return entry.substr(0, entry.find('='));
}
bool is_nameless(const std::string& entry) {
  return entry.find('=') == std::string::npos || entry.starts_with('=');
}

}  // namespace

const std::string* find_variable(const std::vector<std::string>& env, std::string_view key) {
  for (const auto& entry : env) {
    if (key_of(entry) == key && entry.size() > key.size()) return &entry;
  }
  return nullptr;
}

std::vector<std::string> merge_environment(std::vector<std::string> base, const std::vector<std::string>& over) {
  std::erase_if(base, is_nameless);
  for (const auto& entry : over) {
    if (is_nameless(entry)) continue;
    auto same = std::find_if(base.begin(), base.end(), [&](const auto& have) { return key_of(have) == key_of(entry); });
    if (same == base.end()) {
      base.push_back(entry);
    } else {
      *same = entry;
    }
  }
  return base;
}

void set_default(std::vector<std::string>& env, std::string_view key, std::string_view value) {
  if (!find_variable(env, key)) env.push_back(cat(key, '=', value));
}

}  // namespace msb::agent
