#include "image/remote_image.h"

namespace msb::image {
namespace {

// Docker Hub's API does not answer under the name that its images carry.
std::string connect_host(const std::string& registry) {
  return registry == "docker.io" ? "registry-1.docker.io" : registry;
}

Result<std::vector<Endpoint>> endpoints_of(const Reference& reference, const RegistryAccess& access) {
  const RegistrySettings& settings = access.settings;
  std::vector<std::string> ca_files = settings.ca_certs;
  ca_files.insert(ca_files.end(), access.options.ca_cert_files.begin(), access.options.ca_cert_files.end());
  std::vector<Endpoint> out;
  if (const auto it = settings.mirrors.find(reference.registry()); it != settings.mirrors.end()) {
    for (const Mirror& mirror : it->second) {
      Endpoint endpoint{mirror.host, settings.trust_of(mirror.host), ca_files, std::nullopt, access.retry,
                        access.proxy};
      if (mirror.insecure) endpoint.trust = Trust::insecure;
      // The call's own credentials are for the registry that it names, not for whoever mirrors it.
      MSB_TRY(endpoint.credentials, find_credentials(mirror.host, std::nullopt, settings, access.docker_directory));
      out.push_back(std::move(endpoint));
    }
  }
  const std::string& registry = reference.registry();
  Endpoint endpoint{
      connect_host(registry), settings.trust_of(registry), ca_files, std::nullopt, access.retry, access.proxy};
  if (access.options.insecure) endpoint.trust = Trust::insecure;
  MSB_TRY(endpoint.credentials, find_credentials(registry, access.options.auth, settings, access.docker_directory));
  out.push_back(std::move(endpoint));
  return out;
}

Result<RemoteImage> open_at_endpoint(const Reference& reference, std::unique_ptr<RegistryClient> client) {
  MSB_TRY(auto fetched, client->manifest(reference, reference.target()));
  MSB_TRY(auto parsed, parse_manifest(fetched.text, fetched.content_type));
  if (const auto* index = std::get_if<Index>(&parsed)) {
    MSB_TRY(const auto entry, select_platform(*index, host_platform(), reference.str()));
    MSB_TRY(fetched, client->manifest(reference, entry.digest.str()));
    MSB_TRY(parsed, parse_manifest(fetched.text, entry.media_type));
    if (std::holds_alternative<Index>(parsed)) {
      return fail(ErrorKind::unsupported,
                  cat(reference.str(), " is an index of indexes, which no tool makes on purpose"));
    }
  }
  RemoteImage out{.client = std::move(client),
                  .manifest_digest = fetched.digest,
                  .manifest_json = std::move(fetched.text),
                  .manifest = std::move(std::get<Manifest>(parsed)),
                  .config_json = {},
                  .config = {}};
  MSB_TRY(out.config_json, out.client->blob_text(reference, out.manifest.config));
  MSB_TRY(out.config, parse_config(out.config_json));
  MSB_CHECK(check_layers_match(out.manifest, out.config));
  const Platform host = host_platform();
  const Platform& made_for = out.config.platform;
  if (!made_for.architecture.empty() && (made_for.architecture != host.architecture || made_for.os != host.os)) {
    return fail(Error(ErrorKind::image_not_found,
                      cat(reference.str(), " is made for ", made_for.str(), ", this machine is ", host.str()))
                    .hint("pull an image for this machine's platform"));
  }
  return out;
}

bool is_definitive(const Error& error) {
  return error.kind() == ErrorKind::image_not_found || error.detail_as<TransportFailure>() == nullptr;
}

}  // namespace

Result<RemoteImage> open_remote_image(const Reference& reference, const RegistryAccess& access,
                                      const Cancellation& cancellation) {
  MSB_TRY(auto endpoints, endpoints_of(reference, access));
  std::optional<Error> best;
  for (Endpoint& endpoint : endpoints) {
    const std::string host = endpoint.host;
    auto client = std::make_unique<RegistryClient>(access.transport, std::move(endpoint), cancellation);
    auto opened = open_at_endpoint(reference, std::move(client));
    if (opened || opened.error().kind() == ErrorKind::cancelled) return opened;
    Error error = std::move(opened).error();
    // Only the registry itself can fail without a second try elsewhere; what the mirrors said is kept.
    if (!best || (is_definitive(error) && !is_definitive(*best))) best = std::move(error);
  }
  return fail(std::move(*best));
}

}  // namespace msb::image
