// EtcFiles: /etc/hosts, /etc/resolv.conf and /etc/hostname, completed but never rewritten.
//
// What the image or its user put there stays, byte for byte. What is missing goes into a block between
// two marker lines, which is ours and replaced at each boot. The first two functions return the file's
// new text, or nothing when it needs no change: a needless write would copy the file up from the image.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace msb::agent {

// Names for localhost and the host name, where no line defines them.
std::optional<std::string> merge_hosts(std::string_view current, std::string_view hostname);
// The name servers, when the file names none.
std::optional<std::string> merge_resolv_conf(std::string_view current, const std::vector<std::string>& nameservers);

// Both, and /etc/hostname where there is none, on the files in `etc`. A file that cannot be written is left alone; the
// error says which.
Result<> merge_etc_files(const std::string& etc, std::string_view hostname,
                         const std::vector<std::string>& nameservers);

}  // namespace msb::agent
