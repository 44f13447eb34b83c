// RemoteImage: a reference resolved on whichever of its mirrors and its registry answers first: the manifest for
// this machine, its config, and a client to fetch the layers with.
#pragma once

#include <memory>
#include <string>

#include "image/registry_client.h"

namespace msb::image {

struct RegistryAccess {
  RegistryTransport& transport;
  const RegistrySettings& settings;
  const RegistryOptions& options;  // of this call
  std::string docker_directory;    // where Docker's config.json is; empty = nowhere
  RetryPolicy retry;
  std::string proxy = {};  // HttpRequest::proxy
};

struct RemoteImage {
  std::unique_ptr<RegistryClient> client;
  Digest manifest_digest;  // of the platform's manifest
  std::string manifest_json;
  Manifest manifest;
  std::string config_json;
  ConfigDocument config;
};

// Mirrors in their order, then the registry itself. When all fail, the most telling error is returned: "no such
// tag" from a mirror beats a registry that cannot be reached.
Result<RemoteImage> open_remote_image(const Reference& reference, const RegistryAccess& access,
                                      const Cancellation& cancellation);

}  // namespace msb::image
