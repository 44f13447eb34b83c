// Whatever parses has a text that parses to the same rule, and can be compiled; the same of ports.
#include <cstdlib>

#include "net/policy/policy.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto rules = msb::NetworkRule::parse_all(text)) {
    for (const auto& rule : *rules) {
      const auto again = msb::NetworkRule::parse(rule.to_string());
      if (!again || *again != rule) std::abort();
    }
    msb::NetworkConfig config;
    config.policy.rules = *rules;
    if (!msb::net::Policy::compile(config, {})) std::abort();
  }
  if (const auto port = msb::PortBinding::parse(text)) {
    const auto again = msb::PortBinding::parse(port->to_string());
    if (!again || *again != *port) std::abort();
  }
  return 0;
}
