#include "image/url.h"

#include <algorithm>

namespace msb::image {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return std::tolower(c); });
  return out;
}

std::string with_port(const Url& url) {
  const size_t bracket = url.authority.rfind(']');
  const size_t colon = url.authority.find(':', bracket == std::string::npos ? 0 : bracket);
  if (colon != std::string::npos) return url.authority;
  return url.authority + (url.scheme == "https" ? ":443" : ":80");
}

}  // namespace

Result<Url> Url::parse(std::string_view text) {
  const auto bad = [&](std::string_view why) {
    return fail(ErrorKind::protocol, cat("the address '", text.substr(0, 200), "' ", why));
  };
  if (text.size() > 16384) return bad("is longer than 16 KiB");
  if (std::any_of(text.begin(), text.end(), [](unsigned char c) { return c <= ' ' || c == 0x7f || c == '\\'; })) {
    return bad("contains spaces or control characters");
  }
  const size_t separator = text.find("://");
  if (separator == std::string_view::npos) return bad("has no scheme");
  Url url;
  url.scheme = lower(text.substr(0, separator));
  if (url.scheme != "http" && url.scheme != "https") return bad("is neither http nor https");
  std::string_view rest = text.substr(separator + 3);
  const size_t end = std::min(rest.find_first_of("/?#"), rest.size());
  url.authority = lower(rest.substr(0, end));
  if (url.authority.empty()) return bad("has no host");
  if (url.authority.find('@') != std::string::npos) return bad("carries a user name");
  rest = rest.substr(end);
  rest = rest.substr(0, rest.find('#'));
  url.target = rest.starts_with('/') ? std::string(rest) : cat("/", rest);
  return url;
}

Result<Url> Url::resolve(std::string_view location) const {
  const size_t colon = location.find(':');
  const size_t stop = location.find_first_of("/?#");
  if (colon != std::string_view::npos && (stop == std::string_view::npos || colon < stop)) return parse(location);
  if (location.starts_with("//")) return parse(cat(scheme, ":", location));
  const std::string origin = cat(scheme, "://", authority);
  if (location.starts_with('/')) return parse(origin + std::string(location));
  const std::string path = target.substr(0, target.find('?'));
  if (location.starts_with('?')) return parse(cat(origin, path, location));
  return parse(cat(origin, path.substr(0, path.rfind('/') + 1), location));
}

bool Url::same_origin(const Url& other) const {
  return scheme == other.scheme && with_port(*this) == with_port(other);
}

std::string percent_encode(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) || c == '-' || c == '.' || c == '_' || c == '~') {
      out.push_back(c);
    } else {
      out.push_back('%');
      out.push_back(kDigits[byte >> 4]);
      out.push_back(kDigits[byte & 15]);
    }
  }
  return out;
}

}  // namespace msb::image
