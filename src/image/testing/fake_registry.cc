#include "image/testing/fake_registry.h"

#include <algorithm>

#include "image/json.h"

namespace msb::image::testing {

void FakeRegistry::add(const std::string& repository, const std::string& tag, const SampleImage& image) {
  add_manifest(repository, tag, image.manifest);
  add_blob(image.config);
  for (const SampleLayer& layer : image.layers) add_blob(layer.blob);
}

void FakeRegistry::add_manifest(const std::string& repository, const std::string& name, const SampleBlob& manifest) {
  const std::lock_guard lock(mutex_);
  manifests_[repository + " " + name] = manifest;
  manifests_[repository + " " + manifest.digest] = manifest;
  tags_[repository].push_back(name);
}

void FakeRegistry::add_blob(const SampleBlob& blob) {
  const std::lock_guard lock(mutex_);
  blobs_[blob.digest] = blob.bytes;
}

void FakeRegistry::intercept(Intercept intercept) {
  const std::lock_guard lock(mutex_);
  intercept_ = std::move(intercept);
}

FakeAnswer FakeRegistry::behave(const Seen& request) const {
  const std::string path = request.target.substr(0, request.target.find('?'));
  if (path == "/v2/") return {};
  const auto between = [&](const std::string& word) -> std::optional<std::pair<std::string, std::string>> {
    const size_t at = path.find(word);
    if (!path.starts_with("/v2/") || at == std::string::npos) return std::nullopt;
    return std::pair(path.substr(4, at - 4), path.substr(at + word.size()));
  };
  if (const auto found = between("/tags/list")) {
    const auto it = tags_.find(found->first);
    if (it == tags_.end())
      return {.status = 404, .headers = {}, .body = R"({"errors":[{"code":"NAME_UNKNOWN"}]})", .break_after = {}};
    return {.status = 200,
            .headers = {},
            .body = Json{{"name", found->first}, {"tags", it->second}}.dump(),
            .break_after = {}};
  }
  if (const auto found = between("/manifests/")) {
    const auto it = manifests_.find(found->first + " " + found->second);
    if (it != manifests_.end()) {
      return {.status = 200,
              .headers = {{"content-type", it->second.media_type}},
              .body = it->second.bytes,
              .break_after = {}};
    }
  }
  if (const auto found = between("/blobs/")) {
    const auto it = blobs_.find(found->second);
    if (it != blobs_.end()) {
      FakeAnswer answer{.status = 200, .headers = {}, .body = it->second, .break_after = {}};
      if (const auto range = request.headers.find("range"); range != request.headers.end()) {
        const size_t start = std::stoull(range->second.substr(std::string("bytes=").size()));
        answer.status = 206;
        answer.headers["content-range"] = cat("bytes ", start, "-", it->second.size() - 1, "/", it->second.size());
        answer.body = it->second.substr(start);
      }
      return answer;
    }
  }
  return {.status = 404, .headers = {}, .body = R"({"errors":[{"code":"MANIFEST_UNKNOWN"}]})", .break_after = {}};
}

FakeAnswer FakeRegistry::handle(const Seen& request) {
  const std::lock_guard lock(mutex_);
  seen_.push_back(request);
  if (intercept_) {
    if (auto answer = intercept_(request)) return *answer;
  }
  return behave(request);
}

std::vector<Seen> FakeRegistry::seen() const {
  const std::lock_guard lock(mutex_);
  return seen_;
}

int FakeRegistry::count(const std::string& part_of_target) const {
  const std::lock_guard lock(mutex_);
  return static_cast<int>(std::count_if(seen_.begin(), seen_.end(), [&](const Seen& request) {
    return request.target.find(part_of_target) != std::string::npos;
  }));
}

Result<> FakeTransport::perform(const HttpRequest& request, const HttpSink& sink, const Cancellation& cancellation) {
  if (cancellation.cancelled()) return fail(ErrorKind::cancelled, "the transfer was cancelled");
  Seen seen{
      request.method, cat(request.url.scheme, "://", request.url.authority), request.url.target, {}, request.body};
  for (const auto& [name, value] : request.headers) {
    std::string lower = name;
    std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
    seen.headers[lower] = value;
  }
  const FakeAnswer answer = registry_.handle(seen);
  MSB_CHECK(sink.head({answer.status, answer.headers}));
  constexpr size_t kPiece = 1000;
  const size_t end = std::min(answer.break_after.value_or(answer.body.size()), answer.body.size());
  for (size_t at = 0; at < end; at += kPiece) {
    MSB_CHECK(sink.body(as_bytes(std::string_view(answer.body).substr(at, std::min(kPiece, end - at)))));
  }
  if (!answer.break_after) return {};
  return fail(Error(ErrorKind::image_pull_failed, "the connection broke")
                  .detail(std::make_shared<TransportFailure>(TransportFailure::Cause::broken)));
}

}  // namespace msb::image::testing
