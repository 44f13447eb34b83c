#include "sandbox/detach_keys.h"

#include <microsandbox/exec.h>

namespace msb {
namespace {

Result<char> parse_key(std::string_view key) {
  if (key.size() == 1 && key[0] > ' ' && key[0] < 0x7f) return key[0];
  if (key.size() == 6 && (key.starts_with("ctrl-") || key.starts_with("Ctrl-"))) {
    char c = key[5];
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
    if (c >= 'a' && c <= 'z') return static_cast<char>(c - 'a' + 1);
    if (std::string_view("@[\\]^_").find(c) != std::string_view::npos) return static_cast<char>(c & 0x1f);
  }
  return fail(Error(ErrorKind::invalid_config, cat("'", key, "' is not a key for detaching"))
                  .hint("write keys like ctrl-] or ctrl-p,ctrl-q"));
}

}  // namespace

Result<DetachKeys> DetachKeys::parse(std::string_view text) {
  DetachKeys keys;
  while (!text.empty()) {
    // A comma may itself be a key, as the first character of what is left.
    auto comma = text.find(',', 1);
    MSB_TRY(char key, parse_key(text.substr(0, comma)));
    keys.sequence_ += key;
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
    if (text.empty()) return fail(ErrorKind::invalid_config, "the keys for detaching end with a comma");
  }
  return keys;
}

Result<> validate_detach_keys(std::string_view keys) {
  return DetachKeys::parse(keys).map([](const auto&) {});
}

DetachKeys::Outcome DetachKeys::feed(std::string_view typed) {
  Outcome outcome;
  if (sequence_.empty()) return {std::string(typed), false};
  for (char byte : typed) {
    held_ += byte;
    while (!sequence_.starts_with(held_)) {
      outcome.passed += held_.front();
      held_.erase(0, 1);
    }
    if (held_ == sequence_) {
      held_.clear();
      outcome.detached = true;
      return outcome;
    }
  }
  return outcome;
}

}  // namespace msb
