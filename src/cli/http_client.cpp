#include "cli/http_client.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <fmt/format.h>

#include <array>

#include "cli/text.h"

namespace poundlock::cli {
namespace {

constexpr long kConnectMs = 3'000;
constexpr std::size_t kBodyMax = 16 << 20;

struct CurlStringFree {
  void operator()(char* text) const { curl_free(text); }
};
struct UrlFree {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
struct ListFree {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
struct HandleFree {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};

std::string part_of(CURLU* url, CURLUPart part) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, 0) != CURLUE_OK || text == nullptr) return "";
  const std::unique_ptr<char, CurlStringFree> owned(text);
  return text;
}

bool is_loopback(const std::string& host) {
  if (host == "localhost" || host == "[::1]" || host == "::1") return true;
  in_addr address{};
  return inet_pton(AF_INET, host.c_str(), &address) == 1 && (ntohl(address.s_addr) >> 24) == 127;
}

std::size_t append(char* data, std::size_t size, std::size_t count, void* to) {
  auto& body = *static_cast<std::string*>(to);
  if (body.size() + size * count > kBodyMax) return 0;  // makes curl end with CURLE_WRITE_ERROR
  body.append(data, size * count);
  return size * count;
}

// Nothing of the request can have reached a server.
bool before_sending(CURLcode code) {
  return code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST ||
         code == CURLE_COULDNT_RESOLVE_PROXY || code == CURLE_SSL_CONNECT_ERROR ||
         code == CURLE_PEER_FAILED_VERIFICATION;
}

}  // namespace

struct HttpClient::Impl {
  std::unique_ptr<CURL, HandleFree> handle;
  bool loopback = false;
  std::array<char, CURL_ERROR_SIZE> problem{};

  void prepare(std::string_view method, const std::string& url, const std::string& body,
               const curl_slist* headers, long limit_ms, std::string* answer);
};

HttpClient::HttpClient() : impl_(std::make_unique<Impl>()) {}
HttpClient::~HttpClient() = default;
HttpClient::HttpClient(HttpClient&&) noexcept = default;
HttpClient& HttpClient::operator=(HttpClient&&) noexcept = default;

Result<HttpClient> HttpClient::create(const std::string& url) {
  static const CURLcode started = curl_global_init(CURL_GLOBAL_DEFAULT);
  const auto refuse = [&](const std::string& why) {
    return fail(user_error("server.url", fmt::format("the server's address {} {}", clean(url), why))
                    .with_hint("for example --server http://127.0.0.1:8016"));
  };
  const std::unique_ptr<CURLU, UrlFree> parsed(curl_url());
  if (started != CURLE_OK || !parsed) return fail(internal_error("libcurl does not start"));
  if (curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) return refuse("is no URL");
  const std::string scheme = part_of(parsed.get(), CURLUPART_SCHEME);
  const std::string host = part_of(parsed.get(), CURLUPART_HOST);
  if (scheme != "http" && scheme != "https") return refuse("begins with neither http:// nor https://");
  if (!part_of(parsed.get(), CURLUPART_USER).empty()) return refuse("holds a user; the token goes elsewhere");
  const std::string path = part_of(parsed.get(), CURLUPART_PATH);
  if ((path != "/" && !path.empty()) || !part_of(parsed.get(), CURLUPART_QUERY).empty())
    return refuse("has a path; only scheme, host and port belong there");
  if (scheme == "http" && !is_loopback(host))
    return refuse("is plain http to another machine, where the admin token could be read on the way");
  HttpClient client;
  client.impl_->loopback = is_loopback(host);
  client.impl_->handle.reset(curl_easy_init());
  if (!client.impl_->handle) return fail(internal_error("libcurl gives no handle"));
  const std::string port = part_of(parsed.get(), CURLUPART_PORT);
  client.url_ = scheme + "://" + host + (port.empty() ? "" : ":" + port);
  return client;
}

void HttpClient::Impl::prepare(std::string_view method, const std::string& url, const std::string& body,
                               const curl_slist* headers, long limit_ms, std::string* answer) {
  CURL* curl = handle.get();
  curl_easy_reset(curl);  // keeps the connection
  problem[0] = '\0';
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);  // a flag may be called ".."
  curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, std::string(method).c_str());
  if (method != "GET") {
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, static_cast<long>(body.size()));
    curl_easy_setopt(curl, CURLOPT_COPYPOSTFIELDS, body.c_str());
  }
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, kConnectMs);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, limit_ms);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  if (loopback) curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, problem.data());
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "poundlock");
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &append);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
}

Result<HttpAnswer> HttpClient::call(std::string_view method, const std::string& path, const std::string& body,
                                    const std::string& token, Millis limit) {
  curl_slist* list = curl_slist_append(nullptr, "Accept: application/json");
  list = curl_slist_append(list, "Expect:");  // no waiting for 100 Continue
  if (method != "GET") list = curl_slist_append(list, "Content-Type: application/json");
  if (!token.empty()) list = curl_slist_append(list, ("Authorization: Bearer " + token).c_str());
  const std::unique_ptr<curl_slist, ListFree> headers(list);
  HttpAnswer answer;
  impl_->prepare(method, url_ + path, body, list, static_cast<long>(limit.count()), &answer.body);
  const CURLcode code = curl_easy_perform(impl_->handle.get());
  if (code == CURLE_OK) {
    long status = 0;
    curl_easy_getinfo(impl_->handle.get(), CURLINFO_RESPONSE_CODE, &status);
    answer.status = static_cast<int>(status);
    return answer;
  }
  const std::string why = impl_->problem[0] != '\0' ? impl_->problem.data() : curl_easy_strerror(code);
  if (before_sending(code)) {
    return fail(make_error(Disposition::kReconnect, "server.unreachable",
                           fmt::format("no poundlockd answers at {}: {}", url_, clean(why)))
                    .with_hint("start it with `poundlock serve`, or name another with --server URL"));
  }
  const auto disposition = method == "GET" ? Disposition::kReconnect : Disposition::kInDoubt;
  const bool timeout = code == CURLE_OPERATION_TIMEDOUT;
  return fail(make_error(disposition, timeout ? "server.timeout" : "server.broken",
                         fmt::format("poundlockd at {} {}: {}", url_,
                                     timeout ? "did not answer in time" : "broke off its answer", clean(why)))
                  .with_hint(method == "GET" ? "is it overloaded, or is this another program's port?"
                                             : "look with `poundlock status` whether the order arrived"));
}

std::string percent_encode(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
                       (byte >= 'a' && byte <= 'z') || c == '-' || c == '_' || c == '.' || c == '~';
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", byte);
  }
  return out;
}

}  // namespace poundlock::cli
