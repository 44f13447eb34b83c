// What a sandbox runs with: the image's configuration under the user's.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include <microsandbox/config.h>
#include <microsandbox/image.h>

#include "base/result.h"

namespace msb {

inline constexpr std::string_view kDefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

struct EffectiveConfig {
  std::vector<std::string> env;  // "K=V": the image's in its order, replaced or followed by the user's; PATH always
  std::string workdir;           // empty = "/"
  std::string user;              // empty = root
  std::vector<std::string> entrypoint;
  std::vector<std::string> cmd;
  std::map<std::string, std::string> labels;
};

// `image` is empty for directories and disk images. The configuration has been validated.
EffectiveConfig merge(const ImageConfig& image, const SandboxConfig& user);

// Entrypoint, then `override` or else the command. An empty override leaves the entrypoint alone.
// ErrorKind::no_default_command when nothing is left.
Result<std::vector<std::string>> resolve_command(const EffectiveConfig& config,
                                                 const std::optional<std::vector<std::string>>& override);

}  // namespace msb
