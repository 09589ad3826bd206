#include "cli/api.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "base/json.h"
#include "cli/text.h"

namespace poundlock::cli {
namespace {

constexpr Millis kReadLimit{15'000};
// Long enough for a start, which reads the whole catalog of a database before it answers.
constexpr Millis kChangeLimit{60'000};
constexpr json::Limits kLimits{16U << 20, 32, 1'000'000};

std::string variable(const Context& context, std::string_view name) {
  return context.environment_variable(name).value_or("");
}

std::string trimmed(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.pop_back();
  return text;
}

std::filesystem::path state_folder(const Context& context, const std::optional<Site>& site) {
  return site ? site->resolve(site->config.server.state) : context.directory / rollout::ServerConfig{}.state;
}

// What poundlockd wrote when it began to listen; "" where there is no such file.
std::string announced_url(const Context& context, const std::filesystem::path& state) {
  std::error_code ignored;
  const auto file = state / "server.json";
  if (!std::filesystem::exists(file, ignored)) return "";
  const auto text = read_file(context, file.string());
  if (!text) return "";
  const auto value = json::parse(*text, file.string());
  if (!value || !value->is_object()) return "";
  return json::get_string(value->as_object(), "url").value_or("");
}

Result<std::string> find_token(const Context& context, const std::filesystem::path& state) {
  if (!context.token_file.empty()) {
    PL_TRY(auto text, read_file(context, context.token_file));
    return trimmed(std::move(text));
  }
  if (auto token = trimmed(variable(context, "POUNDLOCK_TOKEN")); !token.empty()) return token;
  const auto file = state / "admin-token";
  auto text = read_file(context, file.string());
  if (text && !trimmed(*text).empty()) return trimmed(std::move(*text));
  return fail(user_error("auth.token", fmt::format("this needs the admin token, and {} cannot be read",
                                                   clean(file.lexically_normal().string())))
                  .with_hint("poundlockd writes it there at its first start; otherwise --token-file FILE, or "
                             "POUNDLOCK_TOKEN (the "
                             "token itself)"));
}

// A server that listens on every address is reached on this machine's own.
std::string reachable(std::string url) {
  for (const auto& [any, own] :
       {std::pair<std::string_view, std::string_view>{"//0.0.0.0", "//127.0.0.1"}, {"//[::]", "//[::1]"}})
    if (const auto at = url.find(any); at != std::string::npos) url.replace(at, any.size(), own);
  return url;
}

std::optional<Disposition> disposition_from(std::string_view text) {
  for (const auto one :
       {Disposition::kRetry, Disposition::kReconnect, Disposition::kInDoubt, Disposition::kUser,
        Disposition::kRefused, Disposition::kConflict, Disposition::kInternal})
    if (text == to_string(one)) return one;
  return std::nullopt;
}

Disposition disposition_of(int status) {
  if (status == 409) return Disposition::kConflict;
  if (status == 429 || status == 502 || status == 503 || status == 504) return Disposition::kRetry;
  if (status >= 400 && status < 500) return Disposition::kUser;
  return Disposition::kInternal;
}

std::string text_or(const json::Object& object, std::string_view key, std::string_view otherwise) {
  const auto found = json::optional_string(object, key);
  return found && *found ? **found : std::string(otherwise);
}

Error error_of(int status, const json::Object& body) {
  const auto named = disposition_from(text_or(body, "disposition", ""));
  Error error = make_error(named.value_or(disposition_of(status)), text_or(body, "code", "server.error"),
                           text_or(body, "message", fmt::format("poundlockd answered {}", status)));
  error.hint = text_or(body, "hint", "");
  error.sqlstate = text_or(body, "sqlstate", "");
  if (status == 401 || status == 403) {
    error.disposition = Disposition::kUser;
    // Ours, also where the server gives one: it knows of headers and nothing of this command line.
    error.hint = "is it this server's admin token? --token-file FILE, or POUNDLOCK_TOKEN (the token itself)";
  }
  if (const auto where = json::optional_object(body, "where"); where && *where) {
    error.where = SourcePosition{text_or(**where, "file", ""),
                                 static_cast<int>(json::get_int(**where, "line", 0, 1 << 30).value_or(0)),
                                 static_cast<int>(json::get_int(**where, "column", 0, 1 << 30).value_or(0))};
  }
  return error;
}

}  // namespace

Result<json::Object> read_answer(const HttpAnswer& answer, const std::string& url) {
  auto value = json::parse(answer.body, "the server's answer", kLimits);
  const bool ok = answer.status >= 200 && answer.status < 300;
  if (value && value->is_object()) {
    if (ok) return std::move(value->as_object());
    if (const auto body = json::optional_object(value->as_object(), "error"); body && *body)
      return fail(error_of(answer.status, **body));
  }
  return fail(make_error(Disposition::kReconnect, "server.answer",
                         fmt::format("what answers at {} is no poundlockd (status {})", url, answer.status))
                  .with_hint("check the address: --server URL"));
}

Result<Api> Api::open(const Context& context) {
  std::string url = context.server.empty() ? variable(context, "POUNDLOCK_SERVER") : context.server;
  std::optional<Site> site;
  if (auto found = find_site(context)) {
    site = std::move(*found);
  } else if (url.empty() || !context.config.empty()) {
    // A kill has to work with a broken file lying about, once the server is named otherwise.
    return fail(std::move(found).error());
  }
  const auto state = state_folder(context, site);
  if (url.empty()) url = announced_url(context, state);
  if (url.empty()) {
    const auto server = site ? site->config.server : rollout::ServerConfig{};
    const bool v6 = server.host.find(':') != std::string::npos;
    url = fmt::format("http://{}:{}", v6 ? "[" + server.host + "]" : server.host, server.port);
  }
  PL_TRY(auto http, HttpClient::create(reachable(url)));
  return Api(std::move(http), find_token(context, state));
}

Result<json::Object> Api::get(const std::string& path) {
  PL_TRY(const auto answer, read("GET", path, ""));
  return read_answer(answer, url());
}

// Only a server that asks for the token is given it, and is then given it at once.
Result<HttpAnswer> Api::read(std::string_view method, const std::string& path, const std::string& body) {
  PL_TRY(auto answer, http_.call(method, path, body, reads_need_token_ ? *token_ : "", kReadLimit));
  if (answer.status != 401 || reads_need_token_) return answer;
  if (!token_) return fail(token_.error());
  reads_need_token_ = true;
  return http_.call(method, path, body, *token_, kReadLimit);
}

Result<json::Object> Api::change(std::string_view method, const std::string& path, const json::Object& body) {
  if (!token_) {
    // Where no server has ever run there is no token either; that it does not run is what has to be told.
    if (const auto alive = http_.call("GET", "/healthz", "", "", kReadLimit); !alive)
      return fail(alive.error());
    return fail(token_.error());
  }
  PL_TRY(const auto answer, http_.call(method, path, json::dump(body), *token_, kChangeLimit));
  return read_answer(answer, url());
}

Result<json::Object> Api::post(const std::string& path, const json::Object& body) {
  return change("POST", path, body);
}
Result<json::Object> Api::put(const std::string& path, const json::Object& body) {
  return change("PUT", path, body);
}
Result<json::Object> Api::erase(const std::string& path, const json::Object& body) {
  return change("DELETE", path, body);
}

Result<HttpAnswer> Api::ask(const std::string& path, const json::Object& body) {
  return read("POST", path, json::dump(body));
}

}  // namespace poundlock::cli
