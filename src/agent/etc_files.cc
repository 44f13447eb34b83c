#include "agent/etc_files.h"

#include <algorithm>

#include "agent/text.h"
#include "base/fd.h"

namespace msb::agent {
namespace {

constexpr std::string_view kBegin = "# begin: added by microsandbox\n";
constexpr std::string_view kEnd = "# end: added by microsandbox\n";
constexpr size_t kMaxFile = size_t{4} << 20;

std::string without_block(std::string_view text) {
  size_t begin = text.find(kBegin);
  if (begin == std::string_view::npos) return std::string(text);
  size_t end = text.find(kEnd, begin);
  if (end == std::string_view::npos) return std::string(text);
  return cat(text.substr(0, begin), text.substr(end + kEnd.size()));
}

std::optional<std::string> with_block(std::string_view current, std::string rest, std::string_view added) {
  if (!added.empty()) {
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

std::optional<std::string> merge_hosts(std::string_view current, std::string_view hostname) {
  std::string rest = without_block(current);
  bool localhost4 = false, localhost6 = false, ours = hostname.empty() || hostname == "localhost";
  for (auto line : split(rest, '\n')) {
    auto fields = meaning(line);
    for (size_t i = 1; i < fields.size(); ++i) {
      if (fields[i] == "localhost") (is_v6(fields[0]) ? localhost6 : localhost4) = true;
      if (fields[i] == hostname) ours = true;
    }
  }
  std::string added;
  if (!localhost4) added += "127.0.0.1\tlocalhost\n";
  if (!localhost6) added += "::1\tlocalhost ip6-localhost ip6-loopback\n";
  if (!ours) added += cat("127.0.1.1\t", hostname, '\n');
  return with_block(current, std::move(rest), added);
}

std::optional<std::string> merge_resolv_conf(std::string_view current, const std::vector<std::string>& nameservers) {
  std::string rest = without_block(current);
  auto lines = split(rest, '\n');
  bool named = std::any_of(lines.begin(), lines.end(), [](std::string_view line) {
    auto fields = meaning(line.substr(0, line.find(';')));
    return fields.size() > 1 && fields[0] == "nameserver";
  });
  std::string added;
  if (!named) {
    for (const auto& server : nameservers) added += cat("nameserver ", server, '\n');
  }
  return with_block(current, std::move(rest), added);
}

Result<> merge_etc_files(const std::string& etc, std::string_view hostname,
                         const std::vector<std::string>& nameservers) {
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
  auto hosts = merge(etc + "/hosts", [&](auto current) { return merge_hosts(current, hostname); });
  auto resolv = merge(etc + "/resolv.conf", [&](auto current) { return merge_resolv_conf(current, nameservers); });
  // An image's own host name stays; most have none.
  auto name = merge(etc + "/hostname", [&](auto current) {
    return current.empty() && !hostname.empty() ? std::optional(cat(hostname, '\n')) : std::nullopt;
  });
  if (!hosts) return hosts;
  return resolv ? name : resolv;
}

}  // namespace msb::agent
