#include "agent/etc_files.h"

#include <set>

#include "agent/text.h"
#include "base/fd.h"

namespace msb::agent {
namespace {

constexpr std::string_view kBegin = "# begin: added by microsandbox\n";
constexpr std::string_view kEnd = "# end: added by microsandbox\n";
constexpr std::string_view kHost = "host.microsandbox.internal";
constexpr size_t kMaxFile = size_t{4} << 20;

std::string without_block(std::string_view text) {
  size_t begin = text.find(kBegin);
  if (begin == std::string_view::npos) return std::string(text);
  size_t end = text.find(kEnd, begin);
  if (end == std::string_view::npos) return std::string(text);
  return cat(text.substr(0, begin), text.substr(end + kEnd.size()));
}

enum class Place { first, last };

std::optional<std::string> with_block(std::string_view current, std::string rest, std::string_view added, Place place) {
  if (!added.empty() && place == Place::first) {
    rest.insert(0, cat(kBegin, added, kEnd));
  } else if (!added.empty()) {
    if (!rest.empty() && !rest.ends_with('\n')) rest += '\n';
    rest += cat(kBegin, added, kEnd);
  }
  if (rest == current) return std::nullopt;
  return rest;
}

// The words of a line up to a comment.
std::vector<std::string_view> meaning(std::string_view line) {
  return words(line.substr(0, line.find('#')));
}

bool is_v6(std::string_view address) {
  return address.find(':') != std::string_view::npos;
}

}  // namespace

std::optional<std::string> merge_hosts(std::string_view current, const EtcFacts& facts) {
  std::string rest = without_block(current);
  std::set<std::string_view> defined, defined_v6;
  for (auto line : split(rest, '\n')) {
    auto fields = meaning(line);
    for (size_t i = 1; i < fields.size(); ++i) (is_v6(fields[0]) ? defined_v6 : defined).insert(fields[i]);
  }
  const auto known = [&](std::string_view name) { return defined.contains(name) || defined_v6.contains(name); };
  std::string added;
  if (!defined.contains("localhost")) added += "127.0.0.1\tlocalhost\n";
  if (!defined_v6.contains("localhost")) added += "::1\tlocalhost ip6-localhost ip6-loopback\n";
  if (!facts.hostname.empty() && facts.hostname != "localhost" && !known(facts.hostname))
    added += cat("127.0.1.1\t", facts.hostname, '\n');
  if (!known(kHost))
    for (const auto& gateway : facts.gateways) added += cat(gateway, '\t', kHost, '\n');
  return with_block(current, std::move(rest), added, Place::last);
}

std::optional<std::string> merge_resolv_conf(std::string_view current, const std::vector<std::string>& nameservers) {
  std::string added;
  for (const auto& server : nameservers) added += cat("nameserver ", server, '\n');
  return with_block(current, without_block(current), added, Place::first);
}

Result<> merge_etc_files(const std::string& etc, const EtcFacts& facts) {
  auto merge = [](const std::string& path, auto change) -> Result<> {
    std::string current;
    // Not blocking: the image may have put a fifo there.
    if (auto fd = open_file(path, O_RDONLY | O_NONBLOCK)) {
      MSB_TRY(auto bytes, read_all(fd->get(), kMaxFile));
      current = as_text(bytes);
    } else if (fd.error().errnum() != ENOENT) {
      return fail(std::move(fd).error());
    }
    auto changed = change(std::string_view(current));
    if (!changed) return {};
    MSB_TRY(auto out, open_file(path, O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK));
    return write_full(out.get(), as_bytes(*changed));
  };
  auto hosts = merge(etc + "/hosts", [&](auto current) { return merge_hosts(current, facts); });
  auto resolv =
      merge(etc + "/resolv.conf", [&](auto current) { return merge_resolv_conf(current, facts.nameservers); });
  // An image's own host name stays; most have none.
  auto name = merge(etc + "/hostname", [&](auto current) {
    return current.empty() && !facts.hostname.empty() ? std::optional(cat(facts.hostname, '\n')) : std::nullopt;
  });
  if (!hosts) return hosts;
  return resolv ? name : resolv;
}

}  // namespace msb::agent
