// Challenge: what a 401 answer asks for (the WWW-Authenticate header, RFC 9110 section 11.6.1).
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace msb::image {

struct Challenge {
  std::string scheme;                         // lower case: "bearer", "basic"
  std::map<std::string, std::string> params;  // names in lower case: realm, service, scope

  std::string param(const std::string& name) const {
    const auto it = params.find(name);
    return it == params.end() ? std::string() : it->second;
  }
};

// Lenient towards spaces and quoting; what cannot be understood is left out.
std::vector<Challenge> parse_challenges(std::string_view header);

}  // namespace msb::image
