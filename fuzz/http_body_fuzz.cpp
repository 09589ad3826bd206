// Bytes as a peer sends them: requests, their targets and headers, and bodies of evaluations. Nothing may
// crash, hang or eat memory, and what is read may not depend on where the reads cut the bytes.
#include <algorithm>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "flag/scratch.h"
#include "server/evaluation_body.h"
#include "server/http/policy.h"
#include "server/http/request_parser.h"

namespace flag = poundlock::flag;
namespace json = poundlock::json;
namespace server = poundlock::server;
using poundlock::Disposition;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

void use_body(std::string_view text) {
  static const json::Object fixed{{"plan", "pro"}};
  server::EvaluationBody body(&fixed);
  const auto read = body.read(text);
  require(read || read.error().disposition == Disposition::kUser);
  flag::Scratch scratch;
  const auto all = body.all(scratch);
  require(all.is_object() || all.is_null());  // null: more than an evaluation may hold
  if (!read) require(all.members().size() == fixed.size());
  for (const auto& member : all.members().first(std::min<std::size_t>(all.members().size(), 64)))
    (void)body.find(member.key, scratch);
  require(body.find("plan", scratch).as_string() == "pro");
}

std::string use_request(const server::RequestParser& parser, server::Request& request) {
  static const server::BrowserPolicy policy{true, {"a.example"}, {"https://a.example"}};
  (void)server::parse_target(request.target);
  (void)server::check_browser(policy, request);
  (void)server::matches_etag(request.header("if-none-match"), "\"0123456789abcdef\"");
  use_body(request.body);
  std::string out = request.method + " " + request.target + (parser.keeps_alive() ? " keep " : " close ");
  for (std::size_t i = 0; i < request.headers.size(); ++i)
    out.append(request.headers[i].first).append(": ").append(request.headers[i].second).append("\n");
  return out + request.body;
}

// What was read, request by request; "!" and the status where it ended with a refusal.
std::vector<std::string> parse(std::string_view bytes, std::size_t cut) {
  const server::RequestLimits limits{4'096, 65'536};
  std::vector<std::string> out;
  server::RequestParser parser;
  server::Request request;
  std::string pending;
  for (; !bytes.empty(); bytes.remove_prefix(std::min(cut, bytes.size()))) {
    pending.append(bytes.substr(0, cut));
    for (std::size_t taken = 1; taken > 0 && !pending.empty();) {
      taken = parser.put(pending, limits, request);
      require(taken <= pending.size() && request.body.size() <= limits.body_bytes_max);
      pending.erase(0, taken);
      if (parser.fault()) {
        out.push_back("!" + std::to_string(parser.fault()->status));
        return out;
      }
      if (!parser.is_done()) continue;
      out.push_back(use_request(parser, request));
      parser.reset();
      request.clear();
    }
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  use_body(text);
  const auto whole = parse(text, std::max<std::size_t>(size, 1));
  const auto pieces = parse(text, 1 + size % 7);
  // Which limit is met first may depend on the cut; that one is met may not.
  require(whole == pieces ||
          (!whole.empty() && !pieces.empty() && whole.back()[0] == '!' && pieces.back()[0] == '!'));
  return 0;
}
