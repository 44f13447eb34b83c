#include "net/flow/first_bytes.h"

#include <algorithm>
#include <cctype>

#include "net/address.h"
#include "net/policy/pin_table.h"

namespace msb::net {
namespace {

constexpr FirstBytes kMore{};
const FirstBytes kNameless{FirstBytes::State::known, std::nullopt};
const FirstBytes kUnclear{FirstBytes::State::unclear, std::nullopt};

FirstBytes named(std::string_view text) {
  std::string name = canonical_name(text);
  if (name.empty() || Ip::parse(name)) return kNameless;
  if (name.size() > 253 || std::ranges::any_of(name, [](unsigned char c) { return c <= ' ' || c >= 0x7f; }))
    return kUnclear;
  return {FirstBytes::State::known, std::move(name)};
}

// ---- TLS (RFC 8446, 4.1.2 and 5.1) ---------------------------------------------------------------------------------

constexpr uint8_t kHandshake = 22;
constexpr uint8_t kClientHello = 1;
constexpr uint16_t kServerName = 0;
constexpr size_t kMaxRecord = 16384;

// A vector with its length before it.
template <class Length>
std::optional<ByteView> vector(ByteReader& reader) {
  const auto length = reader.be<Length>();
  return length ? reader.take(*length) : std::nullopt;
}

std::optional<FirstBytes> server_name(ByteView extension) {
  ByteReader reader(extension);
  const auto list = vector<uint16_t>(reader);
  if (!list) return std::nullopt;
  ByteReader names(*list);
  const auto type = names.be<uint8_t>();
  const auto name = vector<uint16_t>(names);
  if (!type || *type != 0 || !name || names.remaining() > 0) return std::nullopt;
  return named(as_text(*name));
}

FirstBytes read_hello(ByteView hello) {
  ByteReader reader(hello);
  // legacy_version and random; session id, cipher suites, compression methods
  if (!reader.take(2 + 32) || !vector<uint8_t>(reader) || !vector<uint16_t>(reader) || !vector<uint8_t>(reader))
    return kUnclear;
  const auto extensions = vector<uint16_t>(reader);
  if (!extensions) return kUnclear;
  ByteReader rest(*extensions);
  std::optional<FirstBytes> found;
  while (rest.remaining() > 0) {
    const auto type = rest.be<uint16_t>();
    const auto body = vector<uint16_t>(rest);
    if (!type || !body) return kUnclear;
    if (*type != kServerName) continue;
    // Twice is forbidden (4.2), and one of them would be a lie.
    if (found) return kUnclear;
    found = server_name(*body);
    if (!found) return kUnclear;
  }
  return found.value_or(kNameless);
}

// A ClientHello may be spread over several records.
FirstBytes read_tls(ByteView bytes) {
  Bytes handshake;
  ByteReader reader(bytes);
  while (true) {
    if (handshake.size() >= 4) {
      if (handshake[0] != kClientHello) return kNameless;
      const size_t length = size_t{handshake[1]} << 16 | size_t{handshake[2]} << 8 | handshake[3];
      if (handshake.size() - 4 >= length) return read_hello(ByteView(handshake).subspan(4, length));
    }
    const auto type = reader.be<uint8_t>();
    if (type && *type != kHandshake) return kUnclear;
    const auto version = reader.be<uint16_t>();
    const auto length = reader.be<uint16_t>();
    if (version && (*version >> 8) != 3) return handshake.empty() ? kNameless : kUnclear;
    if (length && (*length == 0 || *length > kMaxRecord)) return kUnclear;
    if (!type || !version || !length) return kMore;
    const size_t part = std::min<size_t>(*length, reader.remaining());
    const auto body = reader.take(part);
    handshake.insert(handshake.end(), body->begin(), body->end());
    if (part < *length) {
      // The rest of this record is still to come; perhaps the message was whole before its end.
      if (handshake.size() < 4) return kMore;
      const size_t whole = size_t{handshake[1]} << 16 | size_t{handshake[2]} << 8 | handshake[3];
      if (handshake[0] != kClientHello) return kNameless;
      if (handshake.size() - 4 < whole) return kMore;
    }
  }
}

// ---- HTTP/1 (RFC 9112) ---------------------------------------------------------------------------------------------

bool same_word(std::string_view left, std::string_view right) {
  return std::ranges::equal(
      left, right, {}, [](unsigned char c) { return std::tolower(c); },
      [](unsigned char c) { return std::tolower(c); });
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r')) text.remove_suffix(1);
  return text;
}

// "name:port" and "[v6]:port".
std::string_view without_port(std::string_view host) {
  if (host.starts_with('[')) return host.substr(1, host.find(']') - 1);
  return host.substr(0, host.find(':'));
}

// A method is upper-case letters up to a space; what is none can be told by its first bytes.
std::optional<bool> looks_like_http(std::string_view text) {
  constexpr size_t kLongestMethod = 16;
  for (size_t i = 0; i < text.size() && i <= kLongestMethod; ++i) {
    if (text[i] == ' ') return i > 0;
    if (text[i] < 'A' || text[i] > 'Z') return false;
  }
  if (text.size() > kLongestMethod) return false;
  return std::nullopt;
}

// The authority that a request's first line names: nullopt when it names none, "" when it cannot be told.
std::optional<std::string_view> target_name(std::string_view line) {
  const std::string_view method = line.substr(0, line.find(' '));
  std::string_view target = line.substr(method.size() + 1);
  target = target.substr(0, target.rfind(" HTTP/1."));
  if (method == "CONNECT") return without_port(target);
  if (target.starts_with('/') || target == "*") return std::nullopt;
  const size_t scheme = target.find("://");
  if (scheme == std::string_view::npos) return "";
  target = target.substr(scheme + 3);
  target = target.substr(0, target.find_first_of("/?#"));
  return without_port(target.substr(target.rfind('@') + 1));  // npos + 1 is 0
}

FirstBytes read_http(std::string_view text) {
  // HTTP/2 says its authority compressed, after this.
  if (text.starts_with("PRI * HTTP/2.0")) return kNameless;
  size_t at = text.find('\n');
  if (at == std::string_view::npos) return kMore;
  if (text.substr(0, at).find(" HTTP/1.") == std::string_view::npos) return kNameless;
  std::optional<std::string_view> name = target_name(text.substr(0, at));
  if (name && name->empty()) return kUnclear;
  while (true) {
    const size_t start = at + 1;
    at = text.find('\n', start);
    if (at == std::string_view::npos) return kMore;
    const std::string_view line = text.substr(start, at - start);
    if (trimmed(line).empty()) break;
    // A folded line would belong to the one before it: obsolete, and a way to hide.
    if (line.front() == ' ' || line.front() == '\t') return kUnclear;
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) return kUnclear;
    if (!same_word(trimmed(line.substr(0, colon)), "host")) continue;
    const std::string_view value = without_port(trimmed(line.substr(colon + 1)));
    if (name && !same_word(*name, value)) return kUnclear;
    name = value;
  }
  return name ? named(*name) : kNameless;
}

}  // namespace

FirstBytes read_first_bytes(ByteView bytes) {
  if (bytes.empty()) return kMore;
  if (bytes[0] == kHandshake) return read_tls(bytes);
  const auto http = looks_like_http(as_text(bytes));
  if (!http) return kMore;
  return *http ? read_http(as_text(bytes)) : kNameless;
}

}  // namespace msb::net
