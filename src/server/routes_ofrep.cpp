#include "server/routes_ofrep.h"

#include <fmt/format.h>
#include <openssl/sha.h>

#include <array>
#include <boost/json/value.hpp>
#include <unordered_map>

#include "base/json.h"
#include "flag/scratch.h"
#include "server/bulk_steps.h"
#include "server/evaluation_body.h"
#include "server/http/sse.h"

namespace poundlock::server {
namespace {

namespace bj = boost::json;

// What of an answer depends on the flag alone, rendered at its first evaluation.
struct FlagText {
  std::string key;                    // "banner", with its quotes
  std::string metadata;               // ,"metadata":{...}; empty where there is none
  std::vector<std::string> variants;  // ,"value":true,"variant":"on"
};

std::string json_text(std::string_view text) {
  return json::dump(json::Value(text));
}

FlagText render(const flag::CompiledFlag& flag) {
  FlagText out;
  out.key = json_text(flag.key);
  if (!flag.metadata.empty()) out.metadata = ",\"metadata\":" + json::dump(flag.metadata);
  for (const auto& variant : flag.variants)
    out.variants.push_back(",\"value\":" + json::dump(variant.json) +
                           ",\"variant\":" + json_text(variant.name));
  return out;
}

Response answer(int status, std::string body) {
  Response out;
  out.status = status;
  out.body = std::move(body);
  return out;
}

// `key` is empty for a bulk evaluation, which names none.
Response failure(int status, std::string_view key, std::string_view code, std::string_view details) {
  std::string body = "{";
  if (!key.empty()) body += "\"key\":" + json_text(key) + ",";
  body.append("\"errorCode\":\"").append(code).append("\",\"errorDetails\":").append(json_text(details));
  return answer(status, body + "}");
}

Response body_failure(const Error& error, std::string_view key) {
  if (error.code == "body.size") return answer(413, "{\"errorDetails\":" + json_text(error.message) + "}");
  return failure(400, key, error.code == "body.context" ? "INVALID_CONTEXT" : "PARSE_ERROR", error.message);
}

// Of the set; the order of snapshots is not told: it would give each revision another ETag.
std::string set_metadata(const flag::Snapshot& snapshot) {
  bj::object out = snapshot.metadata();
  out.erase("epoch");
  out.erase("revision");
  return out.empty() ? "" : ",\"metadata\":" + json::dump(out);
}

std::string strong_etag(std::string_view body) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  SHA256(reinterpret_cast<const unsigned char*>(body.data()), body.size(), digest.data());
  std::string out = "\"";
  for (std::size_t i = 0; i < digest.size() / 2; ++i) out += fmt::format("{:02x}", digest[i]);
  return out + "\"";
}

std::string event_id(const flag::Revision& revision) {
  return fmt::format("{}.{}", revision.epoch, revision.number);
}

std::string refetch(const flag::Revision& revision, std::int64_t now_s) {
  return fmt::format(R"({{"type":"refetchEvaluation","etag":"\"{}\"","lastModified":{}}})",
                     event_id(revision), now_s);
}

// Called on the loop's thread only: what it keeps from one request to the next needs no lock.
class Ofrep {
 public:
  explicit Ofrep(OfrepParts parts) : parts_(std::move(parts)), body_(&parts_.context_values) {
    SseOptions options;
    options.subscribers_max = parts_.streams_max;
    options.heartbeat_comment = true;
    hub_ = SseHub::create(parts_.loop, std::move(options));
    publish(*parts_.flags.view());
    listening_ = parts_.flags.listen([this](const ViewPtr&, const ViewPtr& now) { publish(*now); });
  }

  Response single(const Request& request);
  Response bulk(const Request& request);
  Response events(const Request& request) { return stream_response(hub_, request); }

 private:
  void publish(const FlagView& view) {
    hub_->publish("message", event_id(view.revision), refetch(view.revision, now_s()));
  }
  std::int64_t now_s() const { return parts_.clock.now().ms / 1'000; }
  Status adopt_view(const Request& request);
  const FlagText& text_of(const flag::CompiledFlag& flag);
  int write(std::string& out, std::string_view key, const flag::Resolution& answer);
  void count(const flag::Resolution& answer, std::string_view context);
  std::string_view context_class(flag::Scratch& scratch) const;

  OfrepParts parts_;
  EvaluationBody body_;
  ViewPtr view_;  // whose flags texts_ refers to
  std::unordered_map<const flag::CompiledFlag*, FlagText> texts_;
  std::shared_ptr<SseHub> hub_;
  std::shared_ptr<void> listening_;
};

// Of the flags that the request selects (by flagd's header), or of all.
Status Ofrep::adopt_view(const Request& request) {
  ViewPtr view;
  if (const auto selector = request.header("flagd-selector"); selector.empty()) {
    if (parts_.flags.view() == view_) return {};
    view = parts_.flags.view();
  } else {
    PL_TRY(const auto chosen, Selector::parse(selector));
    PL_TRY(view, parts_.flags.view(chosen));
    if (view == view_) return {};
  }
  texts_.clear();
  view_ = std::move(view);
  return {};
}

const FlagText& Ofrep::text_of(const flag::CompiledFlag& flag) {
  const auto [place, added] = texts_.try_emplace(&flag);
  if (added) place->second = render(flag);
  return place->second;
}

// The attribute `context`, by which rollouts exclude traffic and evaluations are counted.
std::string_view Ofrep::context_class(flag::Scratch& scratch) const {
  const flag::Value value = body_.find("context", scratch);
  return value.is_string() ? value.as_string() : std::string_view();
}

void Ofrep::count(const flag::Resolution& answer, std::string_view context) {
  if (!answer.flag) return;
  parts_.log.count(answer.flag->key, answer.variant ? std::string_view(answer.variant->name) : "",
                   flag::to_string(answer.reason), context, answer.branch);
}

// Appends one evaluation; answers the status that it has alone.
int Ofrep::write(std::string& out, std::string_view key, const flag::Resolution& answer) {
  const FlagText* text = answer.flag ? &text_of(*answer.flag) : nullptr;
  out.append("{\"key\":").append(text ? text->key : json_text(key));
  int status = 200;
  if (answer.reason == flag::Reason::kError) {
    status = answer.error == flag::ErrorCode::kFlagNotFound ? 404 : 400;
    out.append(",\"errorCode\":\"").append(flag::to_string(answer.error));
    out.append("\",\"errorDetails\":").append(json_text(answer.error_text));
  } else {
    out.append(",\"reason\":\"").append(flag::to_string(answer.reason)).append("\"");
    if (answer.variant) out += text->variants[answer.variant - answer.flag->variants.data()];
  }
  if (text) out += text->metadata;
  out += '}';
  return status;
}

Response Ofrep::single(const Request& request) {
  const auto key = request.param("key");
  if (auto read = body_.read(request.body); !read) return body_failure(read.error(), key);
  if (auto adopted = adopt_view(request); !adopted)
    return failure(400, key, "GENERAL", adopted.error().message);
  const auto found = view_->snapshot->evaluate(key, body_, now_s());
  flag::Scratch scratch;
  count(found, context_class(scratch));
  Response out;
  out.status = write(out.body, key, found);
  return out;
}

Response Ofrep::bulk(const Request& request) {
  if (auto read = body_.read(request.body); !read) return body_failure(read.error(), {});
  if (auto adopted = adopt_view(request); !adopted)
    return failure(400, {}, "GENERAL", adopted.error().message);
  const std::int64_t now = now_s();
  flag::Scratch scratch;
  const auto context = context_class(scratch);
  std::int64_t steps_left = kBulkStepsMax;
  std::string body = "{\"flags\":[";
  for (const flag::CompiledFlag* flag : view_->snapshot->flags()) {
    const auto found = view_->snapshot->evaluate(*flag, body_, now, &steps_left);
    count(found, context);
    if (body.back() != '[') body += ',';
    write(body, flag->key, found);
  }
  body += ']';
  body += set_metadata(*view_->snapshot);
  body += fmt::format(
      R"(,"eventStreams":[{{"type":"sse","endpoint":{{"requestUri":"{}"}},"inactivityDelaySec":120}}]}})",
      kOfrepEvents);
  // Of the bytes themselves: a client that changed its context and kept the tag gets what holds for it now.
  const std::string etag = strong_etag(body);
  const bool unchanged = matches_etag(request.header("if-none-match"), etag);
  Response out = unchanged ? answer(304, "") : answer(200, std::move(body));
  out.headers.emplace_back("ETag", etag);
  return out;
}

}  // namespace

void add_ofrep_routes(Router& router, OfrepParts parts) {
  const auto ofrep = std::make_shared<Ofrep>(std::move(parts));
  router.add(
      "POST", "/ofrep/v1/evaluate/flags/{key}", [ofrep](const Request& r) { return ofrep->single(r); },
      Access::kEvaluate);
  router.add(
      "POST", "/ofrep/v1/evaluate/flags", [ofrep](const Request& r) { return ofrep->bulk(r); },
      Access::kEvaluate);
  router.add(
      "GET", kOfrepEvents, [ofrep](const Request& r) { return ofrep->events(r); }, Access::kEvaluate);
}

}  // namespace poundlock::server
