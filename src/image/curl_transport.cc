#include "image/curl_transport.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <pthread.h>

#include <algorithm>
#include <csignal>
#include <mutex>
#include <optional>

#include "base/cleanup.h"
#include "image/reference.h"
#include "state/proxy_url.h"

// The headers' type-checking macros call functions by name; here functions are reached through a table.
#undef curl_easy_setopt
#undef curl_easy_getinfo

namespace msb::image {
namespace {

struct CurlTable {
  decltype(&::curl_global_init) global_init = nullptr;
  decltype(&::curl_easy_init) easy_init = nullptr;
  decltype(&::curl_easy_reset) easy_reset = nullptr;
  decltype(&::curl_easy_cleanup) easy_cleanup = nullptr;
  decltype(&::curl_easy_strerror) easy_strerror = nullptr;
  decltype(&::curl_easy_setopt) easy_setopt = nullptr;
  decltype(&::curl_easy_getinfo) easy_getinfo = nullptr;
  decltype(&::curl_slist_append) slist_append = nullptr;
  decltype(&::curl_slist_free_all) slist_free_all = nullptr;
  decltype(&::curl_multi_init) multi_init = nullptr;
  decltype(&::curl_multi_cleanup) multi_cleanup = nullptr;
  decltype(&::curl_multi_add_handle) multi_add_handle = nullptr;
  decltype(&::curl_multi_remove_handle) multi_remove_handle = nullptr;
  decltype(&::curl_multi_perform) multi_perform = nullptr;
  decltype(&::curl_multi_poll) multi_poll = nullptr;
  decltype(&::curl_multi_info_read) multi_info_read = nullptr;
};

Result<CurlTable> load_curl() {
  // Never closed: libcurl and its TLS library keep state until the process ends.
  void* library = ::dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    return fail(Error(ErrorKind::unsupported, cat("cannot load libcurl, which pulls images: ", ::dlerror()))
                    .hint("install it: apt-get install libcurl4"));
  }
  CurlTable table;
  bool complete = true;
  const auto bind = [&](auto& function, const char* name) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(::dlsym(library, name));
    complete = complete && function != nullptr;
  };
  bind(table.global_init, "curl_global_init");
  bind(table.easy_init, "curl_easy_init");
  bind(table.easy_reset, "curl_easy_reset");
  bind(table.easy_cleanup, "curl_easy_cleanup");
  bind(table.easy_strerror, "curl_easy_strerror");
  bind(table.easy_setopt, "curl_easy_setopt");
  bind(table.easy_getinfo, "curl_easy_getinfo");
  bind(table.slist_append, "curl_slist_append");
  bind(table.slist_free_all, "curl_slist_free_all");
  bind(table.multi_init, "curl_multi_init");
  bind(table.multi_cleanup, "curl_multi_cleanup");
  bind(table.multi_add_handle, "curl_multi_add_handle");
  bind(table.multi_remove_handle, "curl_multi_remove_handle");
  bind(table.multi_perform, "curl_multi_perform");
  bind(table.multi_poll, "curl_multi_poll");
  bind(table.multi_info_read, "curl_multi_info_read");
  if (!complete) {
    return fail(Error(ErrorKind::unsupported, "this machine's libcurl is too old to pull images")
                    .hint("version 7.85 or newer is needed"));
  }
  return table;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && isspace(static_cast<unsigned char>(text.front()))) text.remove_prefix(1);
  while (!text.empty() && isspace(static_cast<unsigned char>(text.back()))) text.remove_suffix(1);
  return text;
}

// One answer while it arrives.
struct Exchange {
  const HttpSink& sink;
  HttpHead head;
  size_t header_bytes = 0;
  bool head_delivered = false;
  std::optional<Error> sink_error = std::nullopt;

  bool deliver_head() {
    if (head_delivered) return true;
    head_delivered = true;
    if (auto result = sink.head(head); !result) sink_error = std::move(result).error();
    return !sink_error;
  }
};

constexpr size_t kMaxHeaderBytes = size_t{256} << 10;

size_t on_header(char* data, size_t size, size_t count, void* user) {
  auto& exchange = *static_cast<Exchange*>(user);
  const std::string_view line = trim({data, size * count});
  exchange.header_bytes += size * count;
  if (exchange.header_bytes > kMaxHeaderBytes) return 0;
  if (line.starts_with("HTTP/")) {
    // A new head begins: after "100 Continue", or after a proxy's own answer.
    exchange.head = {};
    const size_t space = line.find(' ');
    if (space != std::string_view::npos)
      exchange.head.status = std::atoi(std::string(line.substr(space + 1, 3)).c_str());
  } else if (const size_t colon = line.find(':'); colon != std::string_view::npos) {
    std::string name(line.substr(0, colon));
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
    // Several challenges may come as several headers: a comma joins them, as HTTP allows for every list.
    std::string& value = exchange.head.headers[name];
    const bool is_list = name == "www-authenticate" && !value.empty();
    value = is_list ? cat(value, ", ", trim(line.substr(colon + 1))) : std::string(trim(line.substr(colon + 1)));
  }
  return size * count;
}

size_t on_body(char* data, size_t size, size_t count, void* user) {
  auto& exchange = *static_cast<Exchange*>(user);
  if (!exchange.deliver_head()) return 0;
  if (auto result = exchange.sink.body(as_bytes({data, size * count})); !result) {
    exchange.sink_error = std::move(result).error();
    return 0;
  }
  return size * count;
}

Error transport_error(TransportFailure::Cause cause, std::string message) {
  return Error(ErrorKind::image_pull_failed, std::move(message)).detail(std::make_shared<TransportFailure>(cause));
}

Error proxy_error(const HttpRequest& request, std::string_view why) {
  return transport_error(TransportFailure::Cause::unreachable,
                         cat("the proxy does not lead to the registry ", request.url.authority, ": ", why))
      .hint("check https_proxy, http_proxy and no_proxy in the environment, or network.proxy in config.json");
}

Error describe(CURLcode code, const CurlTable& curl, const char* detail, const HttpRequest& request,
               const TransportLimits& limits) {
  using Cause = TransportFailure::Cause;
  const std::string& host = request.url.authority;
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
      return transport_error(Cause::unreachable, cat("the name of the registry ", host, " cannot be resolved"))
          .hint("check the spelling and this machine's DNS and network");
    case CURLE_COULDNT_RESOLVE_PROXY:
      return proxy_error(request, "its name cannot be resolved");
    case CURLE_PROXY:
      return proxy_error(request, detail);
    case CURLE_COULDNT_CONNECT:
      return transport_error(Cause::unreachable, cat("cannot connect to the registry ", host, ": ", detail))
          .hint("check that it is running and that the port is right");
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
      return transport_error(Cause::tls, cat("the certificate of ", host, " cannot be verified: ", detail))
          .hint("trust its authority with --ca-certs FILE or registries.ca_certs in config.json")
          .hint("or allow it unverified with --insecure or registries.hosts.\"" + host + "\".insecure");
    case CURLE_SSL_CONNECT_ERROR:
      return transport_error(Cause::tls, cat("no TLS connection to ", host, ": ", detail))
          .hint("if the registry speaks plain HTTP, use --insecure");
    case CURLE_OPERATION_TIMEDOUT:
      return transport_error(Cause::broken,
                             cat("the transfer from ", host, " stalled for ", limits.stall.count(), " s"));
    default:
      return transport_error(Cause::broken, cat("the transfer from ", host,
                                                " broke: ", *detail != '\0' ? detail : curl.easy_strerror(code)));
  }
}

// A peer that hangs up must not kill the process, which may be anybody's (an SDK): TLS libraries write(2) without
// MSG_NOSIGNAL. Only this thread's mask is touched, and only for the length of a transfer.
class [[nodiscard]] PipeSignalGuard {
 public:
  PipeSignalGuard() {
    sigset_t pending;
    ::sigpending(&pending);
    was_pending_ = ::sigismember(&pending, SIGPIPE) == 1;
    ::sigemptyset(&pipe_);
    ::sigaddset(&pipe_, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  PipeSignalGuard(const PipeSignalGuard&) = delete;
  PipeSignalGuard& operator=(const PipeSignalGuard&) = delete;
  ~PipeSignalGuard() {
    const timespec at_once{};
    if (!was_pending_) (void)::sigtimedwait(&pipe_, nullptr, &at_once);
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }

 private:
  sigset_t pipe_{};
  sigset_t before_{};
  bool was_pending_ = false;
};

}  // namespace

// One easy handle in its own multi handle (which holds the connections and can wait on our descriptor too).
class CurlTransport::Session {
 public:
  explicit Session(const CurlTable& curl) : curl_(curl), easy_(curl.easy_init()), multi_(curl.multi_init()) {}
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session() {
    if (easy_ != nullptr) curl_.easy_cleanup(easy_);
    if (multi_ != nullptr) (void)curl_.multi_cleanup(multi_);
  }
  bool usable() const { return easy_ != nullptr && multi_ != nullptr; }

  Result<> perform(const HttpRequest& request, const HttpSink& sink, const Cancellation& cancellation,
                   const TransportLimits& limits, const std::string& ca_bundle);

 private:
  template <class T>
  void set(CURLoption option, T value) {
    refused_ = refused_ || curl_.easy_setopt(easy_, option, value) != CURLE_OK;
  }
  Result<CURLcode> drive(const Cancellation& cancellation);

  const CurlTable& curl_;
  CURL* easy_;
  CURLM* multi_;
  bool refused_ = false;
};

Result<CURLcode> CurlTransport::Session::drive(const Cancellation& cancellation) {
  for (;;) {
    int running = 0;
    if (curl_.multi_perform(multi_, &running) != CURLM_OK) return fail(ErrorKind::internal, "libcurl refused to go on");
    if (running == 0) break;
    curl_waitfd cancel{cancellation.fd(), CURL_WAIT_POLLIN, 0};
    // libcurl shortens the wait to its own timers (stall, connect); the bound is only a net below them.
    if (curl_.multi_poll(multi_, &cancel, 1, 60'000, nullptr) != CURLM_OK) {
      return fail(ErrorKind::internal, "libcurl could not wait");
    }
    if (cancel.revents != 0) return fail(ErrorKind::cancelled, "the transfer was cancelled");
  }
  int left = 0;
  while (const CURLMsg* message = curl_.multi_info_read(multi_, &left)) {
    if (message->msg == CURLMSG_DONE) return message->data.result;
  }
  return fail(ErrorKind::internal, "libcurl lost a transfer");
}

Result<> CurlTransport::Session::perform(const HttpRequest& request, const HttpSink& sink,
                                         const Cancellation& cancellation, const TransportLimits& limits,
                                         const std::string& ca_bundle) {
  Exchange exchange{.sink = sink, .head = {}};
  char detail[CURL_ERROR_SIZE] = "";
  const std::string url = request.url.str();
  curl_slist* headers = nullptr;
  for (const auto& [name, value] : request.headers)
    headers = curl_.slist_append(headers, cat(name, ": ", value).c_str());
  const Cleanup free_headers([&] { curl_.slist_free_all(headers); });

  curl_.easy_reset(easy_);
  refused_ = false;
  set(CURLOPT_URL, url.c_str());
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_HTTPHEADER, headers);
  set(CURLOPT_USERAGENT, "microsandbox/" MSB_VERSION);
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_FOLLOWLOCATION, 0L);
  set(CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  set(CURLOPT_CONNECTTIMEOUT, static_cast<long>(limits.connect.count()));
  set(CURLOPT_LOW_SPEED_LIMIT, 1L);
  set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(limits.stall.count()));
  set(CURLOPT_BUFFERSIZE, 256L << 10);
  set(CURLOPT_ERRORBUFFER, static_cast<char*>(detail));
  set(CURLOPT_HEADERFUNCTION, &on_header);
  set(CURLOPT_HEADERDATA, static_cast<void*>(&exchange));
  set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  set(CURLOPT_WRITEFUNCTION, &on_body);
  set(CURLOPT_WRITEDATA, static_cast<void*>(&exchange));
  // No proxy can reach what listens on this machine's loopback. Without the option libcurl asks the environment.
  if (is_loopback_host(request.url.authority) || request.proxy == state::kNoProxy)
    set(CURLOPT_PROXY, "");
  else if (!request.proxy.empty())
    set(CURLOPT_PROXY, request.proxy.c_str());
  if (request.method == "POST") {
    set(CURLOPT_POST, 1L);
    set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    set(CURLOPT_POSTFIELDS, request.body.c_str());
  }
  const bool verify = request.tls == TlsCheck::verify;
  set(CURLOPT_SSL_VERIFYPEER, verify ? 1L : 0L);
  set(CURLOPT_SSL_VERIFYHOST, verify ? 2L : 0L);
  if (!ca_bundle.empty()) {
    curl_blob blob{const_cast<char*>(ca_bundle.data()), ca_bundle.size(), CURL_BLOB_NOCOPY};
    set(CURLOPT_CAINFO_BLOB, &blob);
  }
  if (refused_)
    return fail(ErrorKind::unsupported, "this machine's libcurl refused an option; 7.85 or newer is needed");

  if (curl_.multi_add_handle(multi_, easy_) != CURLM_OK) return fail(ErrorKind::internal, "libcurl refused a transfer");
  auto outcome = drive(cancellation);
  (void)curl_.multi_remove_handle(multi_, easy_);
  if (exchange.sink_error) return fail(std::move(*exchange.sink_error));
  if (!outcome) return fail(std::move(outcome).error());
  if (*outcome != CURLE_OK) {
    long answer = 0;  // of a proxy, to CONNECT
    (void)curl_.easy_getinfo(easy_, CURLINFO_HTTP_CONNECTCODE, &answer);
    if (answer >= 400) return fail(proxy_error(request, cat("it answers with ", answer)));
    return fail(describe(*outcome, curl_, detail, request, limits));
  }
  // An answer without a body has not shown its head yet.
  if (!exchange.deliver_head()) return fail(std::move(*exchange.sink_error));
  return {};
}

struct CurlTransport::State {
  CurlTable curl;
  TransportLimits limits;
  std::mutex mutex;
  std::vector<std::unique_ptr<Session>> idle;
};

CurlTransport::CurlTransport(std::unique_ptr<State> state) : state_(std::move(state)) {}
CurlTransport::~CurlTransport() = default;

Result<std::unique_ptr<CurlTransport>> CurlTransport::create(const TransportLimits& limits) {
  MSB_TRY(auto table, load_curl());
  // Counted inside libcurl and thread-safe since 7.84, so every transport may call it.
  if (table.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
    return fail(ErrorKind::internal, "libcurl could not be set up");
  auto state = std::make_unique<State>();
  state->curl = table;
  state->limits = limits;
  return std::unique_ptr<CurlTransport>(new CurlTransport(std::move(state)));
}

namespace {

// libcurl takes either the system's bundle or ours: "in addition" means both in one.
Result<std::string> read_ca_files(const std::vector<std::string>& files) {
  std::string bundle;
  if (files.empty()) return bundle;
  constexpr const char* kSystem[] = {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
                                     "/etc/ssl/cert.pem"};
  for (const char* path : kSystem) {
    if (auto system = read_file(path, size_t{8} << 20)) {
      bundle = std::move(*system);
      break;
    }
  }
  for (const std::string& path : files) {
    auto pem = read_file(path, size_t{8} << 20);
    if (!pem)
      return fail(std::move(pem).error().as(ErrorKind::invalid_config).context("read the certificate authorities"));
    if (pem->find("-----BEGIN CERTIFICATE-----") == std::string::npos) {
      return fail(ErrorKind::invalid_config, cat(path, " holds no certificate in PEM form"));
    }
    bundle += "\n" + *pem;
  }
  return bundle;
}

}  // namespace

Result<> CurlTransport::perform(const HttpRequest& request, const HttpSink& sink, const Cancellation& cancellation) {
  MSB_TRY(const auto ca_bundle, read_ca_files(request.ca_files));
  std::unique_ptr<Session> session;
  {
    const std::lock_guard lock(state_->mutex);
    if (!state_->idle.empty()) {
      session = std::move(state_->idle.back());
      state_->idle.pop_back();
    }
  }
  if (!session) session = std::make_unique<Session>(state_->curl);
  if (!session->usable()) return fail(ErrorKind::internal, "libcurl has no memory for a transfer");
  const PipeSignalGuard quiet;
  auto result = session->perform(request, sink, cancellation, state_->limits, ca_bundle);
  // One that has failed is not used again: libcurl 7.88 refuses options of a handle whose name did not resolve.
  if (!result) return result;
  const std::lock_guard lock(state_->mutex);
  state_->idle.push_back(std::move(session));
  return result;
}

}  // namespace msb::image
