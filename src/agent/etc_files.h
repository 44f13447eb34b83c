// EtcFiles: /etc/hosts, /etc/resolv.conf and /etc/hostname, completed but never rewritten.
//
// What the image or its user put there stays, byte for byte. What is missing goes into a block between
// two marker lines, which is ours and replaced at each boot; in resolv.conf it stands first, so that a name server of
// the place where the image was made comes after ours. The first two functions return the file's new text, or nothing
// when it needs no change: a needless write would copy the file up from the image.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace msb::agent {

struct EtcFacts {
  std::string hostname = {};
  std::vector<std::string> gateways = {};  // addresses of host.microsandbox.internal
  std::vector<std::string> nameservers = {};
};

// Names for localhost, the host name and the host, where no line defines them.
std::optional<std::string> merge_hosts(std::string_view current, const EtcFacts& facts);
// The name servers, before all others.
std::optional<std::string> merge_resolv_conf(std::string_view current, const std::vector<std::string>& nameservers);

// Both, and /etc/hostname where there is none, on the files in `etc`. A file that cannot be written is left alone; the
// error says which.
Result<> merge_etc_files(const std::string& etc, const EtcFacts& facts);

}  // namespace msb::agent
