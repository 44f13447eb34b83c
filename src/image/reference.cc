#include "image/reference.h"

#include <algorithm>
#include <cctype>

namespace msb::image {
namespace {

constexpr std::string_view kDefaultRegistry = "docker.io";
constexpr size_t kMaxName = 255;
constexpr size_t kMaxTag = 128;

bool is_lower_alnum(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}
bool is_upper(char c) {
  return c >= 'A' && c <= 'Z';
}
bool is_alnum(char c) {
  return is_lower_alnum(c) || is_upper(c);
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(is_upper(c) ? c - 'A' + 'a' : c);
  return out;
}

// Lower-case letters and digits, joined by '.', '_', '__' or any number of '-'.
bool is_path_component(std::string_view text) {
  if (text.empty() || !is_lower_alnum(text.front()) || !is_lower_alnum(text.back())) return false;
  for (size_t i = 0; i < text.size();) {
    if (is_lower_alnum(text[i])) {
      ++i;
      continue;
    }
    const size_t end = std::min(text.size(), text.find_first_not_of(text[i], i));
    const size_t run = end - i;
    const bool good = text[i] == '-' || (text[i] == '_' && run <= 2) || (text[i] == '.' && run == 1);
    if (!good || (end < text.size() && !is_lower_alnum(text[end]))) return false;
    i = end;
  }
  return true;
}

bool is_repository(std::string_view text) {
  if (text.empty()) return false;
  for (size_t start = 0; start <= text.size();) {
    const size_t end = std::min(text.find('/', start), text.size());
    if (!is_path_component(text.substr(start, end - start))) return false;
    start = end + 1;
  }
  return true;
}

bool is_tag(std::string_view text) {
  if (text.empty() || text.size() > kMaxTag || text.front() == '.' || text.front() == '-') return false;
  return std::all_of(text.begin(), text.end(), [](char c) { return is_alnum(c) || c == '_' || c == '.' || c == '-'; });
}

bool is_port(std::string_view text) {
  return !text.empty() && text.size() <= 5 &&
         std::all_of(text.begin(), text.end(), [](char c) { return isdigit(c); }) &&
         std::stoi(std::string(text)) >= 1 && std::stoi(std::string(text)) <= 65535;
}

// The first part of a path is a host when it looks like no repository could: the rule of every OCI client.
bool looks_like_host(std::string_view part) {
  return part == "localhost" || part.find_first_of(".:[") != std::string_view::npos ||
         std::any_of(part.begin(), part.end(), is_upper);
}

Error bad(std::string_view text, std::string_view why) {
  return Error(ErrorKind::invalid_config, cat("'", text.substr(0, 300), "' is not an image reference: ", why));
}

Error bad_repository(std::string_view text, std::string_view rest) {
  Error error =
      bad(text, "a repository is lower-case letters and digits, with '.', '_', '-' between and '/' as separator");
  if (std::any_of(rest.begin(), rest.end(), is_upper) && is_repository(lower(rest))) {
    error.hint(cat("repository names are lower case; try '", lower(rest), "'"));
  }
  return error;
}

}  // namespace

bool is_registry_host(std::string_view text) {
  std::string_view host = text;
  if (host.starts_with('[')) {
    const size_t close = host.find(']');
    if (close == std::string_view::npos || close < 3) return false;
    const std::string_view address = host.substr(1, close - 1);
    const bool good =
        std::all_of(address.begin(), address.end(), [](char c) { return isxdigit(c) || c == ':' || c == '.'; });
    const std::string_view rest = host.substr(close + 1);
    return good && (rest.empty() || (rest.front() == ':' && is_port(rest.substr(1))));
  }
  if (const size_t colon = host.find(':'); colon != std::string_view::npos) {
    if (!is_port(host.substr(colon + 1))) return false;
    host = host.substr(0, colon);
  }
  if (host.empty() || host.size() > 253) return false;
  for (size_t start = 0; start <= host.size();) {
    const size_t end = std::min(host.find('.', start), host.size());
    const std::string_view label = host.substr(start, end - start);
    if (label.empty() || !is_alnum(label.front()) || !is_alnum(label.back())) return false;
    if (!std::all_of(label.begin(), label.end(), [](char c) { return is_alnum(c) || c == '-'; })) return false;
    start = end + 1;
  }
  return true;
}

bool is_loopback_host(std::string_view host) {
  if (host == "[::1]" || host.starts_with("[::1]:")) return true;
  const std::string_view name = host.substr(0, host.find(':'));
  if (name == "localhost") return true;
  // A name like 127.evil.example is not an address: digits and dots only.
  return name.starts_with("127.") && std::count(name.begin(), name.end(), '.') == 3 &&
         std::all_of(name.begin(), name.end(), [](char c) { return isdigit(c) || c == '.'; });
}

Result<Reference> Reference::parse(std::string_view text) {
  if (text.empty()) return fail(ErrorKind::invalid_config, "an image reference is missing");
  if (const size_t scheme = text.find("://"); scheme != std::string_view::npos) {
    return fail(bad(text, "it is a URL").hint(cat("leave out the scheme: '", text.substr(scheme + 3, 200), "'")));
  }
  Reference out;
  std::string_view rest = text;
  if (const size_t at = rest.find('@'); at != std::string_view::npos) {
    auto digest = Digest::parse(rest.substr(at + 1));
    if (!digest) return fail(bad(text, digest.error().message()));
    out.digest_ = std::move(*digest);
    rest = rest.substr(0, at);
  }
  if (rest.starts_with("sha256:")) {
    return fail(
        bad(text, "it is a digest without a name").hint("write NAME@sha256:..., for example python@sha256:..."));
  }
  // A colon after the last slash starts a tag; one before it belongs to a port.
  const size_t slash = rest.rfind('/');
  const size_t colon = rest.rfind(':');
  if (colon != std::string_view::npos && (slash == std::string_view::npos || colon > slash)) {
    const std::string_view tag = rest.substr(colon + 1);
    if (!is_tag(tag)) {
      return fail(
          bad(text, cat("the tag '", tag.substr(0, 140), "' must be 1 to 128 letters, digits, '_', '.' or '-'")));
    }
    out.tag_ = tag;
    rest = rest.substr(0, colon);
  } else if (!out.digest_) {
    out.tag_ = "latest";
  }
  out.registry_ = kDefaultRegistry;
  if (const size_t first = rest.find('/'); first != std::string_view::npos && looks_like_host(rest.substr(0, first))) {
    const std::string_view host = rest.substr(0, first);
    if (!is_registry_host(host)) {
      if (is_repository(lower(host))) return fail(bad_repository(text, rest));
      return fail(bad(text, cat("'", host.substr(0, 260), "' is not a host name")));
    }
    out.registry_ = lower(host);
    if (out.registry_ == "index.docker.io") out.registry_ = kDefaultRegistry;
    rest = rest.substr(first + 1);
    // "Python/app": a capital made it look like a host, but no registry has a bare word for a name.
    if (host.find_first_of(".:[") == std::string_view::npos && out.registry_ != "localhost") {
      return fail(bad_repository(text, cat(host, "/", rest)));
    }
  }
  out.repository_ = rest;
  if (out.registry_ == kDefaultRegistry && rest.find('/') == std::string_view::npos)
    out.repository_ = cat("library/", rest);
  if (!is_repository(rest)) return fail(bad_repository(text, rest));
  if (out.name().size() > kMaxName) return fail(bad(text, "the name is longer than 255 characters"));
  return out;
}

std::string Reference::suffix() const {
  std::string out;
  if (!tag_.empty()) out += ":" + tag_;
  if (digest_) out += "@" + digest_->str();
  return out;
}

std::string Reference::name() const {
  return registry_ + "/" + repository_;
}
std::string Reference::str() const {
  return name() + suffix();
}

std::string Reference::familiar() const {
  if (registry_ != kDefaultRegistry) return str();
  constexpr std::string_view kLibrary = "library/";
  const std::string_view repository = repository_;
  return cat(repository.starts_with(kLibrary) ? repository.substr(kLibrary.size()) : repository, suffix());
}

Reference Reference::with_digest(Digest digest) const {
  Reference out = *this;
  out.digest_ = std::move(digest);
  return out;
}

}  // namespace msb::image
