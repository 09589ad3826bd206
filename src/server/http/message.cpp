#include "server/http/message.h"

#include <algorithm>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cctype>

#include "base/json.h"

namespace poundlock::server {
namespace {

constexpr std::size_t kIdentityMax = 128;

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f;
  });
}

// Percent-decoding (RFC 3986, section 2.1); in a query '+' is a space, as HTML forms send it.
std::optional<std::string> decode(std::string_view text, bool query) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%') {
      if (i + 2 >= text.size()) return std::nullopt;
      const int high = hex_digit(text[i + 1]);
      const int low = hex_digit(text[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      out += static_cast<char>(high * 16 + low);
      i += 2;
    } else {
      out += query && text[i] == '+' ? ' ' : text[i];
    }
  }
  if (has_control(out)) return std::nullopt;
  return out;
}

bool parse_query(std::string_view text, std::map<std::string, std::string>& query) {
  while (!text.empty()) {
    const auto end = std::min(text.find('&'), text.size());
    const auto pair = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (pair.empty()) continue;
    const auto equals = std::min(pair.find('='), pair.size());
    auto name = decode(pair.substr(0, equals), true);
    auto value = decode(pair.substr(std::min(equals + 1, pair.size())), true);
    if (!name || !value) return false;
    query[std::move(*name)] = std::move(*value);
  }
  return true;
}

}  // namespace

void RequestHeaders::add(std::string_view name, std::string_view value) {
  const auto at = static_cast<std::uint32_t>(text_.size());
  const auto name_size = static_cast<std::uint32_t>(name.size());
  places_.push_back({at, name_size, at + name_size, static_cast<std::uint32_t>(value.size())});
  text_.append(name).append(value);
  for (char* c = text_.data() + at; c != text_.data() + at + name_size; ++c)
    *c = *c >= 'A' && *c <= 'Z' ? static_cast<char>(*c - 'A' + 'a') : *c;
}

std::pair<std::string_view, std::string_view> RequestHeaders::operator[](std::size_t i) const {
  const Place& place = places_[i];
  const std::string_view text = text_;
  return {text.substr(place.name, place.name_size), text.substr(place.value, place.value_size)};
}

std::string_view RequestHeaders::find(std::string_view lower_case_name) const {
  for (std::size_t i = 0; i < places_.size(); ++i) {
    const auto [name, value] = (*this)[i];
    if (name == lower_case_name) return value;
  }
  return {};
}

void RequestHeaders::clear() {
  text_.clear();
  places_.clear();
}

std::string_view Request::header(std::string_view lower_case_name) const {
  return headers.find(lower_case_name);
}

std::string_view Request::param(std::string_view name) const {
  for (const auto& [known, value] : params) {
    if (known == name) return value;
  }
  return {};
}

std::string_view Request::query_value(std::string_view name) const {
  const auto found = query.find(std::string(name));
  return found == query.end() ? std::string_view{} : std::string_view(found->second);
}

void Request::clear() {
  method.clear();
  target.clear();
  query.clear();
  params.clear();
  headers.clear();
  body.clear();
  peer.clear();
  admin = false;
}

Response json_response(const boost::json::value& value, int status) {
  Response response;
  response.status = status;
  response.body = json::dump(value);
  response.body += '\n';
  return response;
}

Response text_response(std::string text, int status) {
  Response response;
  response.status = status;
  response.content_type = "text/plain; charset=utf-8";
  response.body = std::move(text);
  return response;
}

int http_status(const Error& error) {
  switch (error.disposition) {
    case Disposition::kUser: return 400;
    case Disposition::kRefused:
    case Disposition::kConflict: return 409;
    case Disposition::kRetry:
    case Disposition::kReconnect:
    case Disposition::kInDoubt: return 503;
    case Disposition::kInternal: return 500;
  }
  return 500;
}

Response error_response(const Error& error) {
  boost::json::object body{{"code", error.code},
                           {"message", error.message},
                           {"hint", error.hint},
                           {"disposition", to_string(error.disposition)}};
  if (!error.sqlstate.empty()) body["sqlstate"] = error.sqlstate;
  if (error.where) {
    body["where"] = boost::json::object{
        {"file", error.where->file}, {"line", error.where->line}, {"column", error.where->column}};
  }
  Response out = json_response(boost::json::object{{"error", std::move(body)}}, http_status(error));
  if (out.status == 503) out.headers.emplace_back("Retry-After", "1");
  return out;
}

Response error_response(int status, std::string_view code, std::string_view message, std::string_view hint) {
  const Disposition disposition =
      status >= 500 ? (status == 503 ? Disposition::kRetry : Disposition::kInternal) : Disposition::kUser;
  Response response = error_response(
      make_error(disposition, std::string(code), std::string(message)).with_hint(std::string(hint)));
  response.status = status;
  return response;
}

Response stream_response(std::shared_ptr<SseHub> hub, const Request& request) {
  Response response;
  response.subscriber.service = request.query_value("service");
  response.subscriber.instance = request.query_value("instance");
  response.subscriber.build = request.query_value("build");
  response.subscriber.peer = request.peer;
  auto last = request.header("last-event-id");
  response.subscriber.last_event_id = last.empty() ? request.query_value("lastEventId") : last;
  const SubscriberInfo& who = response.subscriber;
  for (const std::string* text : {&who.service, &who.instance, &who.build, &who.last_event_id}) {
    if (text->size() > kIdentityMax || has_control(*text)) {
      return error_response(400, "stream.identity",
                            "service, instance, build and Last-Event-ID have at most 128 bytes each",
                            "shorten them, and leave out control characters");
    }
  }
  response.stream = std::move(hub);
  return response;
}

bool matches_etag(std::string_view list, std::string_view etag) {
  const auto opaque = etag.substr(1, etag.size() - 2);
  while (true) {
    const auto start = list.find_first_not_of(" \t,");
    if (start == std::string_view::npos) return false;
    list.remove_prefix(start);
    if (list.starts_with("W/")) list.remove_prefix(2);
    const bool is_quoted = list.starts_with('"');
    if (is_quoted) list.remove_prefix(1);
    const auto end = std::min(list.find_first_of(is_quoted ? "\"" : " \t,"), list.size());
    const auto tag = list.substr(0, end);
    if (tag == opaque || (tag == "*" && !is_quoted)) return true;
    list.remove_prefix(std::min(end + 1, list.size()));
  }
}

std::optional<Target> parse_target(std::string_view target) {
  const auto scheme = target.find("://");
  if (scheme != std::string_view::npos && !target.empty() && target.front() != '/') {
    const auto path = target.find('/', scheme + 3);
    target = path == std::string_view::npos ? std::string_view("/") : target.substr(path);
  }
  if (target.empty() || target.front() != '/') return std::nullopt;
  target = target.substr(0, target.find('#'));
  const auto question = std::min(target.find('?'), target.size());
  std::string_view path = target.substr(1, question - 1);
  Target parsed;
  if (question < target.size() && !parse_query(target.substr(question + 1), parsed.query))
    return std::nullopt;
  if (!path.empty() && path.back() == '/') path.remove_suffix(1);
  parsed.segments.reserve(8);
  while (!path.empty()) {
    const auto slash = std::min(path.find('/'), path.size());
    auto segment = decode(path.substr(0, slash), false);
    if (!segment) return std::nullopt;
    parsed.segments.push_back(std::move(*segment));
    path.remove_prefix(std::min(slash + 1, path.size()));
  }
  return parsed;
}

}  // namespace poundlock::server
