#include "net/dns/nameservers.h"

#include <sys/stat.h>

#include "base/fd.h"

namespace msb::net {
namespace {

constexpr size_t kMostServers = 3;  // MAXNS of resolv.h
constexpr size_t kLargestFile = size_t{64} << 10;

// The words of a line, without a comment.
std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> out;
  line = line.substr(0, line.find_first_of("#;"));
  for (;;) {
    const size_t begin = line.find_first_not_of(" \t\r");
    if (begin == std::string_view::npos) return out;
    line.remove_prefix(begin);
    const size_t end = line.find_first_of(" \t\r");
    out.push_back(line.substr(0, end));
    if (end == std::string_view::npos) return out;
    line.remove_prefix(end);
  }
}

}  // namespace

std::vector<Endpoint> parse_resolv_conf(std::string_view text) {
  std::vector<Endpoint> out;
  while (!text.empty() && out.size() < kMostServers) {
    const size_t end = text.find('\n');
    const auto words = words_of(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (words.size() < 2 || words[0] != "nameserver") continue;
    if (const auto ip = Ip::parse(words[1])) out.push_back({*ip, kDnsPort});
  }
  if (out.empty()) out.push_back({Ip::v4(127, 0, 0, 1), kDnsPort});
  return out;
}

Result<Nameservers> Nameservers::create(const std::vector<std::string>& texts, std::string resolv_conf) {
  Nameservers out(texts.empty() ? std::move(resolv_conf) : std::string());
  for (const std::string& text : texts) {
    auto server = Endpoint::parse(text, kDnsPort);
    if (!server) return fail(std::move(server).error().context("a nameserver"));
    out.servers_.push_back(*server);
  }
  return out;
}

const std::vector<Endpoint>& Nameservers::current() {
  if (resolv_conf_.empty()) return servers_;
  struct stat status{};
  if (::stat(resolv_conf_.c_str(), &status) < 0) {
    version_.reset();
    servers_.clear();
    return servers_;
  }
  const Version version{.device = status.st_dev,
                        .inode = status.st_ino,
                        .seconds = status.st_mtim.tv_sec,
                        .nanoseconds = status.st_mtim.tv_nsec};
  if (version_ == version) return servers_;
  version_ = version;
  const auto text = read_file(resolv_conf_, kLargestFile);
  servers_ = text ? parse_resolv_conf(*text) : std::vector<Endpoint>();
  return servers_;
}

}  // namespace msb::net
