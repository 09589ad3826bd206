#include "client/http.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <atomic>
#include <mutex>

namespace poundlock::client {

namespace {

constexpr std::size_t kBodyMax = 64 << 10;
constexpr long kConnectLimitMs = 2'000;
constexpr int kPollMs = 200;

void start_curl_once() {
  static std::once_flag once;
  std::call_once(once, [] { ::curl_global_init(CURL_GLOBAL_DEFAULT); });
}

std::size_t keep_body(char* bytes, std::size_t size, std::size_t count, void* target) {
  auto& body = *static_cast<std::string*>(target);
  body.append(bytes, std::min(size * count, kBodyMax - std::min(kBodyMax, body.size())));
  return size * count;
}

struct StreamSink {
  CURL* easy = nullptr;
  const std::function<bool(std::string_view)>* on_bytes = nullptr;
  std::chrono::steady_clock::time_point last = std::chrono::steady_clock::now();
  bool refused = false;
  long status = 0;
};

std::size_t pass_on(char* bytes, std::size_t size, std::size_t count, void* target) {
  auto& sink = *static_cast<StreamSink*>(target);
  sink.last = std::chrono::steady_clock::now();
  ::curl_easy_getinfo(sink.easy, CURLINFO_RESPONSE_CODE, &sink.status);
  if (sink.status != 200) return size * count;  // an error page is no stream
  if ((*sink.on_bytes)({bytes, size * count})) return size * count;
  sink.refused = true;
  return 0;
}

bool is_loopback(std::string_view server) {
  const std::size_t scheme = server.find("://");
  std::string_view host = scheme == std::string_view::npos ? server : server.substr(scheme + 3);
  return host.starts_with("127.") || host.starts_with("localhost") || host.starts_with("[::1]");
}

}  // namespace

struct HttpClient::Impl {
  std::string server;
  CURL* easy = nullptr;
  CURLM* multi = nullptr;
  curl_slist* json_headers = nullptr;
  curl_slist* stream_headers = nullptr;
  std::atomic<bool> cancelled{false};

  void prepare(const std::string& path, curl_slist* headers) {
    ::curl_easy_reset(easy);
    ::curl_easy_setopt(easy, CURLOPT_URL, (server + path).c_str());
    ::curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    // Signals belong to the application.
    ::curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    ::curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, kConnectLimitMs);
    ::curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    ::curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
    // A proxy from the environment cannot reach our own machine.
    if (is_loopback(server)) ::curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
  }

  Error transport_error(CURLcode code) const {
    const bool unsent = code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST ||
                        code == CURLE_COULDNT_RESOLVE_PROXY || code == CURLE_URL_MALFORMAT;
    return make_error(unsent ? Disposition::kReconnect : Disposition::kInDoubt,
                      unsent ? "client.connect" : "client.transport",
                      fmt::format("{}: {}", server, ::curl_easy_strerror(code)));
  }

  Result<HttpReply> perform(std::chrono::milliseconds limit) {
    HttpReply reply;
    ::curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, keep_body);
    ::curl_easy_setopt(easy, CURLOPT_WRITEDATA, &reply.body);
    ::curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(limit.count()));
    const CURLcode code = ::curl_easy_perform(easy);
    if (code != CURLE_OK) return fail(transport_error(code));
    long status = 0;
    ::curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    reply.status = static_cast<int>(status);
    return reply;
  }
};

HttpClient::HttpClient(std::string server, std::string token) : impl_(std::make_unique<Impl>()) {
  start_curl_once();
  while (server.ends_with('/')) server.pop_back();
  impl_->server = std::move(server);
  impl_->easy = ::curl_easy_init();
  impl_->multi = ::curl_multi_init();
  impl_->json_headers = ::curl_slist_append(nullptr, "Content-Type: application/json");
  impl_->stream_headers = ::curl_slist_append(nullptr, "Accept: text/event-stream");
  if (!token.empty()) {
    const std::string line = "Authorization: Bearer " + token;
    impl_->json_headers = ::curl_slist_append(impl_->json_headers, line.c_str());
    impl_->stream_headers = ::curl_slist_append(impl_->stream_headers, line.c_str());
  }
}

HttpClient::~HttpClient() {
  ::curl_easy_cleanup(impl_->easy);
  ::curl_multi_cleanup(impl_->multi);
  ::curl_slist_free_all(impl_->json_headers);
  ::curl_slist_free_all(impl_->stream_headers);
}

Result<HttpReply> HttpClient::post(const std::string& path, const std::string& json,
                                   std::chrono::milliseconds limit) {
  impl_->prepare(path, impl_->json_headers);
  ::curl_easy_setopt(impl_->easy, CURLOPT_POSTFIELDS, json.data());
  ::curl_easy_setopt(impl_->easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(json.size()));
  return impl_->perform(limit);
}

Result<HttpReply> HttpClient::del(const std::string& path, std::chrono::milliseconds limit) {
  impl_->prepare(path, impl_->json_headers);
  ::curl_easy_setopt(impl_->easy, CURLOPT_CUSTOMREQUEST, "DELETE");
  return impl_->perform(limit);
}

Status HttpClient::stream(const std::string& path, std::chrono::milliseconds silence_max,
                          const std::function<bool(std::string_view)>& on_bytes) {
  StreamSink sink{.easy = impl_->easy, .on_bytes = &on_bytes};
  impl_->prepare(path, impl_->stream_headers);
  ::curl_easy_setopt(impl_->easy, CURLOPT_WRITEFUNCTION, pass_on);
  ::curl_easy_setopt(impl_->easy, CURLOPT_WRITEDATA, &sink);
  ::curl_multi_add_handle(impl_->multi, impl_->easy);
  Status result;
  int running = 1;
  while (running > 0) {
    if (impl_->cancelled.load()) {
      result =
          fail(make_error(Disposition::kRetry, "client.cancelled", "the stream was closed by this side"));
      break;
    }
    if (std::chrono::steady_clock::now() - sink.last > silence_max) {
      result =
          fail(make_error(Disposition::kReconnect, "client.silent", impl_->server + " has fallen silent"));
      break;
    }
    if (::curl_multi_perform(impl_->multi, &running) != CURLM_OK) break;
    if (running > 0) ::curl_multi_poll(impl_->multi, nullptr, 0, kPollMs, nullptr);
  }
  int left = 0;
  const CURLMsg* message = ::curl_multi_info_read(impl_->multi, &left);
  if (result && message != nullptr && message->msg == CURLMSG_DONE && message->data.result != CURLE_OK) {
    result = sink.refused ? fail(user_error("client.refused", "the stream sent more than is allowed"))
                          : fail(impl_->transport_error(message->data.result));
  }
  long status = 0;
  ::curl_easy_getinfo(impl_->easy, CURLINFO_RESPONSE_CODE, &status);
  ::curl_multi_remove_handle(impl_->multi, impl_->easy);
  if (result && status != 200) {
    result = fail(make_error(Disposition::kRetry, "client.status",
                             fmt::format("{} answered {} to the flag stream", impl_->server, status)));
  }
  return result;
}

void HttpClient::cancel() {
  impl_->cancelled.store(true);
  ::curl_multi_wakeup(impl_->multi);
}

std::string url_escape(std::string_view text) {
  std::string escaped;
  for (char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      escaped += c;
    } else {
      escaped += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return escaped;
}

}  // namespace poundlock::client
