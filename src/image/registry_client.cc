#include "image/registry_client.h"

#include <algorithm>
#include <charconv>

#include "base/base64.h"
#include "base/name_distance.h"
#include "image/json.h"

namespace msb::image {
namespace {

constexpr size_t kMaxErrorBody = size_t{64} << 10;
constexpr int kMaxRedirects = 5;
constexpr uint64_t kProgressStep = uint64_t{1} << 20;  // a transfer that moved so far may fail afresh
constexpr int kMaxTransfers = 1000;

// An answer of the registry that is not what was asked for.
struct HttpFailure : ErrorDetail {
  HttpFailure(int code, std::chrono::milliseconds wait) : status(code), retry_after(wait) {}
  int status;
  std::chrono::milliseconds retry_after;
};

bool is_success(int status) {
  return status >= 200 && status < 300;
}
bool is_transient(int status) {
  return status == 408 || status == 429 || (status >= 500 && status != 501 && status != 505);
}

// Seconds; a date is answered with our own delay.
std::chrono::milliseconds parse_retry_after(const std::string& text) {
  int seconds = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc() || end != text.data() + text.size() || seconds < 0) return std::chrono::milliseconds(-1);
  return std::chrono::seconds(std::min(seconds, 3600));
}

Error broken(std::string message) {
  return Error(ErrorKind::image_pull_failed, std::move(message))
      .detail(std::make_shared<TransportFailure>(TransportFailure::Cause::broken));
}

// {"errors":[{"code":"DENIED","message":"..."}]}
struct RegistryError {
  std::string code;
  std::string message;
};
RegistryError parse_error_body(const std::string& body) {
  RegistryError out;
  const auto json = parse_json(body, "the registry's answer");
  if (!json) return out;
  const Json* errors = member(*json, "errors");
  if (errors != nullptr && errors->is_array() && !errors->empty()) {
    out.code = string_member(errors->front(), "code").value_or("").substr(0, 100);
    out.message = string_member(errors->front(), "message").value_or("").substr(0, 300);
  }
  // Foreign text for a terminal: no control characters.
  std::erase_if(out.message, [](unsigned char c) { return c < ' ' || c == 0x7f; });
  return out;
}

std::optional<uint64_t> content_range_start(const std::string& text) {
  constexpr std::string_view kUnit = "bytes ";
  if (!text.starts_with(kUnit)) return std::nullopt;
  uint64_t start = 0;
  const auto [end, error] = std::from_chars(text.data() + kUnit.size(), text.data() + text.size(), start);
  if (error != std::errc() || *end != '-') return std::nullopt;
  return start;
}

std::string without_port(const std::string& authority) {
  const size_t bracket = authority.rfind(']');
  const size_t colon = authority.find(':', bracket == std::string::npos ? 0 : bracket);
  return authority.substr(0, colon);
}

}  // namespace

RegistryClient::RegistryClient(RegistryTransport& transport, Endpoint endpoint, const Cancellation& cancellation)
    : transport_(transport), endpoint_(std::move(endpoint)), cancellation_(cancellation) {}

HttpRequest RegistryClient::to(Url url, TlsCheck tls) const {
  return {.url = std::move(url),
          .headers = {},
          .body = {},
          .tls = tls,
          .ca_files = endpoint_.ca_files,
          .proxy = endpoint_.proxy};
}

Result<RegistryClient::Scheme> RegistryClient::scheme() {
  const std::lock_guard lock(mutex_);
  if (scheme_) return *scheme_;
  if (endpoint_.trust == Trust::verified) {
    scheme_ = Scheme{"https", TlsCheck::verify};
    return *scheme_;
  }
  // HTTP or TLS: asking is the only way to know. Loopback registries mostly speak HTTP, others TLS.
  std::vector<Scheme> candidates{{"http", TlsCheck::skip}, {"https", TlsCheck::skip}};
  if (endpoint_.trust == Trust::insecure && !is_loopback_host(endpoint_.host)) std::swap(candidates[0], candidates[1]);
  std::optional<Error> first;
  for (const Scheme& candidate : candidates) {
    int status = 0;
    MSB_TRY(auto url, Url::parse(cat(candidate.name, "://", endpoint_.host, "/v2/")));
    HttpRequest request = to(std::move(url), candidate.tls);
    const HttpSink sink{[&](const HttpHead& head) -> Result<> { return status = head.status, Result<>(); },
                        [](ByteView) -> Result<> { return {}; }};
    auto result = transport_.perform(request, sink, cancellation_);
    // 400 is how TLS servers greet plain HTTP.
    if (status != 0 && status != 400) {
      scheme_ = candidate;
      return *scheme_;
    }
    if (result) continue;
    const auto* failure = result.error().detail_as<TransportFailure>();
    const bool try_other = failure != nullptr && failure->cause != TransportFailure::Cause::unreachable;
    if (!try_other) return fail(std::move(result).error());
    if (!first) first = std::move(result).error();
  }
  if (first) return fail(std::move(*first));
  return fail(ErrorKind::image_pull_failed, cat(endpoint_.host, " is not a registry: it refuses /v2/"));
}

Result<RegistryClient::Answer> RegistryClient::exchange(HttpRequest request, const Ask& ask) {
  for (int hop = 0; hop <= kMaxRedirects; ++hop) {
    Answer answer;
    bool success = false;
    const HttpSink sink{[&](const HttpHead& head) -> Result<> {
                          answer.head = head;
                          success = is_success(head.status);
                          return success && ask.head ? ask.head(head) : Result<>();
                        },
                        [&](ByteView bytes) -> Result<> {
                          if (success) return ask.body(bytes);
                          const size_t room = kMaxErrorBody - answer.error_body.size();
                          answer.error_body.append(as_text(bytes.first(std::min(room, bytes.size()))));
                          return {};
                        }};
    MSB_CHECK(transport_.perform(request, sink, cancellation_));
    const int status = answer.head.status;
    const bool redirect = status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
    if (!redirect || answer.head.header("location").empty()) return answer;

    MSB_TRY(auto next, request.url.resolve(answer.head.header("location")));
    if (request.url.scheme == "https" && next.scheme != "https") {
      return fail(ErrorKind::image_pull_failed, cat(request.url.authority, " redirects from https to plain http (",
                                                    next.authority, "), which is refused"));
    }
    if (!next.same_origin(request.url)) {
      // Credentials belong to the registry; the storage host behind it gets a signed address instead.
      std::erase_if(request.headers, [](const auto& header) { return header.first == "Authorization"; });
      request.body.clear();
      request.method = "GET";
      if (without_port(next.authority) != without_port(request.url.authority)) request.tls = TlsCheck::verify;
    }
    request.url = std::move(next);
  }
  return fail(ErrorKind::image_pull_failed, cat(endpoint_.host, " redirects in circles"));
}

Result<std::string> RegistryClient::fetch_token(const Challenge& challenge, const std::string& scope) {
  MSB_TRY(const auto realm, Url::parse(challenge.param("realm")));
  MSB_TRY(const auto own, scheme());
  if (own.name == "https" && realm.scheme != "https") {
    return fail(ErrorKind::image_pull_failed,
                cat(endpoint_.host, " wants a token fetched over plain http, which is refused"));
  }
  const std::string service = challenge.param("service");
  const std::string& offered = challenge.param("scope");
  const std::string& wanted = offered.empty() ? scope : offered;
  HttpRequest request = to(realm, TlsCheck::verify);
  if (without_port(realm.authority) == without_port(endpoint_.host)) request.tls = own.tls;
  const auto& credentials = endpoint_.credentials;
  if (credentials && !credentials->identity_token.empty()) {
    request.method = "POST";
    request.headers.emplace_back("Content-Type", "application/x-www-form-urlencoded");
    request.body =
        cat("grant_type=refresh_token&client_id=microsandbox&service=", percent_encode(service),
            "&scope=", percent_encode(wanted), "&refresh_token=", percent_encode(credentials->identity_token));
  } else {
    request.url.target += cat(realm.target.find('?') == std::string::npos ? "?" : "&",
                              "service=", percent_encode(service), "&scope=", percent_encode(wanted));
    if (credentials) {
      request.headers.emplace_back("Authorization",
                                   "Basic " + base64_encode(cat(credentials->username, ":", credentials->password)));
    }
  }
  std::string text;
  const Ask ask{.path = {}, .headers = {}, .scope = {}, .head = {}, .body = [&](ByteView bytes) -> Result<> {
                  if (text.size() + bytes.size() > kMaxManifestBytes)
                    return fail(ErrorKind::protocol, "the token is absurdly large");
                  text.append(as_text(bytes));
                  return {};
                }};
  MSB_TRY(const auto answer, exchange(std::move(request), ask));
  const int status = answer.head.status;
  if (is_transient(status)) {
    return fail(
        Error(ErrorKind::image_pull_failed, cat("the token service ", realm.authority, " answers ", status))
            .detail(std::make_shared<HttpFailure>(status, parse_retry_after(answer.head.header("retry-after")))));
  }
  if (!is_success(status)) {
    Error error(ErrorKind::image_pull_failed,
                cat(realm.authority, " gives no token for ", endpoint_.host, " (status ", status, ")"));
    if (credentials) error.hint(cat("the credentials for ", endpoint_.host, " were refused: check user and password"));
    return fail(std::move(error));
  }
  MSB_TRY(const auto json, parse_json(text, "the token"));
  std::string token = string_member(json, "token").value_or(string_member(json, "access_token").value_or(""));
  const bool printable = std::all_of(token.begin(), token.end(), [](unsigned char c) { return c > ' ' && c < 0x7f; });
  if (token.empty() || !printable)
    return fail(ErrorKind::protocol, cat("the token of ", realm.authority, " is malformed"));
  return "Bearer " + token;
}

Result<std::string> RegistryClient::authorize(const Challenge& challenge, const std::string& scope) {
  if (challenge.scheme == "bearer") return fetch_token(challenge, scope);
  const auto& credentials = endpoint_.credentials;
  return "Basic " + base64_encode(cat(credentials->username, ":", credentials->password));
}

Result<RegistryClient::Answer> RegistryClient::send(const Ask& ask) {
  MSB_TRY(const auto own, scheme());
  for (int round = 0;; ++round) {
    std::string authorization;
    {
      const std::lock_guard lock(mutex_);
      authorization = authorization_;
    }
    MSB_TRY(auto url, Url::parse(cat(own.name, "://", endpoint_.host, ask.path)));
    HttpRequest request = to(std::move(url), own.tls);
    request.headers = ask.headers;
    if (!authorization.empty()) request.headers.emplace_back("Authorization", authorization);
    MSB_TRY(auto answer, exchange(std::move(request), ask));
    if (answer.head.status != 401 || round == 1) return answer;

    const auto challenges = parse_challenges(answer.head.header("www-authenticate"));
    const auto find = [&](std::string_view name) {
      return std::find_if(challenges.begin(), challenges.end(), [&](const Challenge& c) { return c.scheme == name; });
    };
    auto challenge = find("bearer");
    if (challenge == challenges.end() && endpoint_.credentials) challenge = find("basic");
    if (challenge == challenges.end()) return answer;
    {
      const std::lock_guard lock(mutex_);
      if (authorization_ != authorization) continue;  // another thread has a fresh token already
    }
    MSB_TRY(auto fresh, authorize(*challenge, ask.scope));
    const std::lock_guard lock(mutex_);
    authorization_ = std::move(fresh);
  }
}

Result<> RegistryClient::retry(const std::function<Result<>()>& attempt, const std::function<uint64_t()>& progress) {
  int failures = 0;
  for (int transfer = 0;; ++transfer) {
    const uint64_t before = progress();
    auto result = attempt();
    if (result) return {};
    const auto* transport = result.error().detail_as<TransportFailure>();
    const auto* http = result.error().detail_as<HttpFailure>();
    const bool again = (transport != nullptr && transport->cause == TransportFailure::Cause::broken) ||
                       (http != nullptr && is_transient(http->status));
    if (!again || transfer >= kMaxTransfers) return result;
    failures = progress() >= before + kProgressStep ? 1 : failures + 1;
    if (failures >= endpoint_.retry.attempts) return result;
    auto delay =
        std::min(endpoint_.retry.first_delay * (1 << std::min(failures - 1, 10)), endpoint_.retry.longest_delay);
    if (http != nullptr && http->retry_after.count() >= 0) {
      if (http->retry_after > endpoint_.retry.longest_delay)
        return result;  // coming back earlier would be refused again
      delay = http->retry_after;
    }
    MSB_CHECK(cancellation_.wait_for(delay));
  }
}

Error RegistryClient::not_found(const Reference& reference) {
  // The registry's answers do not tell a missing tag from a missing image reliably; its list of tags does.
  std::string text;
  const Ask ask{.path = cat("/v2/", reference.repository(), "/tags/list?n=1000"),
                .headers = {},
                .scope = cat("repository:", reference.repository(), ":pull"),
                .head = {},
                .body = [&](ByteView bytes) -> Result<> {
                  if (text.size() + bytes.size() > kMaxManifestBytes) return fail(ErrorKind::protocol, "too many tags");
                  text.append(as_text(bytes));
                  return {};
                }};
  const auto answer = send(ask);
  const auto json = parse_json(text, "the list of tags");
  const std::vector<std::string> tags = json ? strings_member(*json, "tags") : std::vector<std::string>();
  if (!answer || !is_success(answer->head.status) || tags.empty()) {
    return Error(ErrorKind::image_not_found, cat("there is no image ", reference.name(), " on ", endpoint_.host))
        .hint("check the spelling of the name");
  }
  if (reference.digest()) {
    return Error(ErrorKind::image_not_found, cat(reference.name(), " has no manifest ", reference.digest()->str()))
        .hint("it may have been deleted from the registry; pull by tag to get the current one");
  }
  Error error(ErrorKind::image_not_found, cat("the image ", reference.name(), " has no tag '", reference.tag(), "'"));
  std::string list;
  for (const std::string& tag : nearest_names(reference.tag(), tags, 3)) list += (list.empty() ? "" : ", ") + tag;
  return std::move(error).hint(cat("tags it has: ", list));
}

Error RegistryClient::status_error(const Answer& answer, const Reference& reference, std::string_view what) {
  const int status = answer.head.status;
  const RegistryError said = parse_error_body(answer.error_body);
  const std::string quote = said.message.empty() ? "" : cat(" (", said.message, ")");
  const auto detail = std::make_shared<HttpFailure>(status, parse_retry_after(answer.head.header("retry-after")));
  const std::string& host = endpoint_.host;
  if (status == 404) return not_found(reference).detail(detail);
  if (status == 401 || status == 403) {
    if (endpoint_.credentials) {
      return Error(ErrorKind::image_pull_failed,
                   cat(host, " refuses access to ", reference.repository(), " with the given credentials", quote))
          .hint(cat("check the user and password for ", host, ", and that they may read ", reference.repository()))
          .detail(detail);
    }
    return Error(ErrorKind::image_pull_failed, cat(host, " refuses access to ", reference.repository(), quote,
                                                   ": it does not exist, or it needs a login"))
        .hint("check the spelling of the name")
        .hint(cat("for a private image log in, for example with `docker login ", host,
                  "`; msb reads Docker's config.json"))
        .detail(detail);
  }
  if (status == 429) {
    return Error(ErrorKind::image_pull_failed, cat(host, " limits the rate of requests (status 429)", quote))
        .hint("wait a while, or log in: limits are higher with an account")
        .hint("a mirror in registries.mirrors of config.json avoids the limit")
        .detail(detail);
  }
  if (status >= 500) {
    return Error(ErrorKind::image_pull_failed,
                 cat("the registry ", host, " is in trouble: status ", status, " for ", what, quote))
        .hint("try again later")
        .detail(detail);
  }
  return Error(ErrorKind::image_pull_failed, cat(host, " answers ", status, " for ", what, quote)).detail(detail);
}

Result<FetchedManifest> RegistryClient::manifest(const Reference& reference, const std::string& target) {
  FetchedManifest out{.text = {}, .digest = Digest::from_hex({}), .content_type = {}};
  Ask ask{.path = cat("/v2/", reference.repository(), "/manifests/", target),
          .headers = {},
          .scope = cat("repository:", reference.repository(), ":pull"),
          .head = {},
          .body = {}};
  ask.headers.emplace_back("Accept", cat(media_type::kOciIndex, ", ", media_type::kOciManifest, ", ",
                                         media_type::kDockerList, ", ", media_type::kDockerManifest));
  ask.body = [&](ByteView bytes) -> Result<> {
    if (out.text.size() + bytes.size() > kMaxManifestBytes) {
      return fail(ErrorKind::protocol, cat("the manifest of ", reference.str(), " is larger than 4 MiB"));
    }
    out.text.append(as_text(bytes));
    return {};
  };
  MSB_CHECK(retry(
      [&]() -> Result<> {
        out.text.clear();
        MSB_TRY(const auto answer, send(ask));
        if (!is_success(answer.head.status))
          return fail(status_error(answer, reference, cat("the manifest of ", reference.str())));
        out.content_type = answer.head.header("content-type");
        return {};
      },
      [] { return uint64_t{0}; }));
  out.digest = Digest::of(as_bytes(out.text));
  if (target.starts_with("sha256:") && out.digest.str() != target) {
    return fail(ErrorKind::corrupt, cat(endpoint_.host, " sent another manifest than asked for: ", out.digest.str(),
                                        " instead of ", target));
  }
  return out;
}

Result<> RegistryClient::blob(const Reference& reference, const Descriptor& blob, const BodySink& sink) {
  uint64_t received = 0;  // handed to the sink for good
  return retry(
      [&]() -> Result<> {
        uint64_t skip = 0;  // of this answer
        Ask ask{.path = cat("/v2/", reference.repository(), "/blobs/", blob.digest.str()),
                .headers = {},
                .scope = cat("repository:", reference.repository(), ":pull"),
                .head = {},
                .body = {}};
        if (received > 0) ask.headers.emplace_back("Range", cat("bytes=", received, "-"));
        ask.head = [&](const HttpHead& head) -> Result<> {
          skip = received;  // a server without ranges starts over
          if (head.status != 206) return {};
          if (content_range_start(head.header("content-range")) != received) {
            return fail(ErrorKind::protocol, cat(endpoint_.host, " resumes a transfer at another byte than asked for"));
          }
          skip = 0;
          return {};
        };
        ask.body = [&](ByteView bytes) -> Result<> {
          const size_t dropped = std::min<uint64_t>(skip, bytes.size());
          skip -= dropped;
          bytes = bytes.subspan(dropped);
          if (bytes.size() > blob.size - received) {
            return fail(ErrorKind::corrupt,
                        cat(endpoint_.host, " sends more than the ", blob.size, " bytes of ", blob.digest.str()));
          }
          received += bytes.size();
          return bytes.empty() ? Result<>() : sink(bytes);
        };
        if (received == blob.size && received > 0) return {};
        MSB_TRY(const auto answer, send(ask));
        if (answer.head.status == 404) {
          return fail(ErrorKind::image_pull_failed, cat(endpoint_.host, " has no blob ", blob.digest.str(), ", which ",
                                                        reference.str(), " is made of: the image is incomplete there"));
        }
        if (!is_success(answer.head.status))
          return fail(status_error(answer, reference, cat("a blob of ", reference.str())));
        if (received == blob.size) return {};
        return fail(
            broken(cat("the transfer from ", endpoint_.host, " ended after ", received, " of ", blob.size, " bytes")));
      },
      [&] { return received; });
}

Result<std::string> RegistryClient::blob_text(const Reference& reference, const Descriptor& wanted) {
  if (wanted.size > kMaxManifestBytes) return fail(ErrorKind::protocol, "the image's config is larger than 4 MiB");
  std::string text;
  MSB_CHECK(blob(reference, wanted, [&](ByteView bytes) -> Result<> {
    text.append(as_text(bytes));
    return {};
  }));
  if (Digest::of(as_bytes(text)) != wanted.digest) {
    return fail(ErrorKind::corrupt,
                cat("the config of ", reference.str(), " does not match its digest: it is damaged or tampered with"));
  }
  return text;
}

}  // namespace msb::image
