// SandboxConfig as JSON: what the database keeps of a sandbox, so that it can start again.
//
// Registry credentials and the registry settings are left out: they belong to one pull. So are the contents of patches
// and scripts, which are bytes, perhaps many: they are in the sandbox's own images.
// Reading is strict: an unknown key, a missing one (but those added since format 1 was first written), or a value of
// the wrong type is ErrorKind::corrupt.
#pragma once

#include <string>

#include <microsandbox/config.h>
#include <microsandbox/image.h>

#include "base/result.h"

namespace msb {

// A sandbox as it is stored: the user's words and what the image said when it was created.
struct StoredConfig {
  SandboxConfig config;
  std::string manifest_digest;      // empty for directories and disk images
  std::vector<std::string> layers;  // its diff ids, the lowest first
  ImageConfig image;
  bool patched = false;          // the root's tree is the sandbox's own
  std::string snapshot_id = {};  // that it began from; empty: none
};

// ErrorKind::invalid_config when a text is not UTF-8, which JSON cannot hold.
Result<std::string> to_json(const StoredConfig& stored);
Result<StoredConfig> stored_config_from_json(const std::string& text);

// What to_json() made, for people to see: without the password of a proxy.
std::string shown_config(const std::string& stored);

}  // namespace msb
