// Status of rollouts, and orders to them. Orders need the admin token.
#include <boost/json.hpp>

#include "server/body.h"
#include "server/service.h"
#include "server/view_json.h"

namespace poundlock::server {
namespace {

namespace bj = boost::json;

Response no_view(const Error& error) {
  if (error.code != "rollout.unknown") return error_response(error);
  return error_response(404, error.code, error.message, error.hint);
}

Response list(Service& service) {
  bj::array out;
  for (const auto& view : service.views()) out.push_back(view_summary_json(view));
  return json_response(bj::object{{"rollouts", std::move(out)}});
}

Response show(Service& service, const Request& request) {
  auto view = service.view(request.param("name"));
  if (!view) return no_view(view.error());
  return json_response(view_json(*view, service.clock().now()));
}

Response show_plan(Service& service, const Request& request) {
  auto view = service.view(request.param("name"));
  if (!view) return no_view(view.error());
  return json_response(rollout::to_json(*view->plan));
}

Response start(Service& service, const Request& request) {
  auto body = body_object(request);
  if (!body) return error_response(body.error());
  auto started = service.start_rollout(*body);
  if (!started) return error_response(started.error());
  return json_response(*started, 201);
}

Response order(Service& service, const Request& request, rollout::RequestKind kind) {
  auto body = body_object(request);
  if (!body) return error_response(body.error());
  rollout::Request order{kind, who_of(*body), text_of(*body, "why"), text_of(*body, "subject")};
  const auto name = request.param("name");
  if (auto known = service.view(name); !known) return no_view(known.error());
  if (auto status = service.request(name, std::move(order)); !status) return error_response(status.error());
  auto view = service.view(name);
  return view ? json_response(view_json(*view, service.clock().now())) : error_response(view.error());
}

}  // namespace

void add_rollout_routes(Router& router, Service& service) {
  using rollout::RequestKind;
  router.add(
      "GET", "/v1/rollouts", [&](const Request&) { return list(service); }, Access::kRead, Run::kPrompt);
  router.add(
      "GET", "/v1/rollouts/{name}", [&](const Request& r) { return show(service, r); }, Access::kRead,
      Run::kPrompt);
  router.add(
      "GET", "/v1/rollouts/{name}/plan", [&](const Request& r) { return show_plan(service, r); },
      Access::kRead, Run::kPrompt);
  router.add(
      "POST", "/v1/rollouts", [&](const Request& r) { return start(service, r); }, Access::kWrite,
      Run::kBlocking);
  for (const auto& [verb, kind] : {std::pair{"promote", RequestKind::kPromote},
                                   {"pause", RequestKind::kPause},
                                   {"resume", RequestKind::kResume},
                                   {"rollback", RequestKind::kRollback},
                                   {"approve", RequestKind::kApprove},
                                   {"abort", RequestKind::kAbort}}) {
    router.add(
        "POST", std::string("/v1/rollouts/{name}/") + verb,
        [&service, kind = kind](const Request& r) { return order(service, r, kind); }, Access::kWrite,
        Run::kPrompt);
  }
}

}  // namespace poundlock::server
