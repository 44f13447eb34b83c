// FakeRegistry: a registry in memory that misbehaves on demand. FakeTransport reaches it directly, HttpServer
// (http_server.h) over a real socket.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "image/testing/sample_image.h"
#include "image/transport.h"

namespace msb::image::testing {

struct FakeAnswer {
  int status = 200;
  std::map<std::string, std::string> headers;
  std::string body;
  std::optional<size_t> break_after;  // the connection breaks after so many bytes of the body
};

struct Seen {
  std::string method;
  std::string host;
  std::string target;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
};

class FakeRegistry {
 public:
  // Asked first; nullopt = behave. Called with the lock held, one at a time.
  using Intercept = std::function<std::optional<FakeAnswer>(const Seen& request)>;

  void add(const std::string& repository, const std::string& tag, const SampleImage& image);
  void add_manifest(const std::string& repository, const std::string& name, const SampleBlob& manifest);
  void add_blob(const SampleBlob& blob);
  void intercept(Intercept intercept);

  FakeAnswer handle(const Seen& request);
  std::vector<Seen> seen() const;
  int count(const std::string& part_of_target) const;

 private:
  FakeAnswer behave(const Seen& request) const;
  mutable std::mutex mutex_;
  std::map<std::string, SampleBlob> manifests_;  // "repository name"
  std::map<std::string, std::string> blobs_;
  std::map<std::string, std::vector<std::string>> tags_;
  Intercept intercept_;
  std::vector<Seen> seen_;
};

class FakeTransport final : public RegistryTransport {
 public:
  explicit FakeTransport(FakeRegistry& registry) : registry_(registry) {}
  Result<> perform(const HttpRequest& request, const HttpSink& sink, const Cancellation& cancellation) override;

 private:
  FakeRegistry& registry_;
};

}  // namespace msb::image::testing
