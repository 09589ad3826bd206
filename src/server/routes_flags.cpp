// Flags over HTTP: the snapshot stream of the client library, and list, get and set for the command line.
#include <boost/json.hpp>

#include "server/body.h"
#include "server/service.h"

namespace poundlock::server {
namespace {

namespace bj = boost::json;

bj::object info_json(const FlagInfo& info) {
  bj::object out{{"key", info.key}, {"rollout", info.owner}, {"definition", info.definition}};
  if (!info.source.empty()) out["source"] = info.source;
  if (!info.overridden.empty()) out["overridden"] = info.overridden;
  return out;
}

Response list(Service& service) {
  bj::array out;
  for (const auto& info : service.flags().list()) out.push_back(info_json(info));
  bj::array refused;
  for (const auto& one : service.refused_flag_files())
    refused.push_back(
        bj::object{{"file", one.path}, {"since", format_timestamp(one.since)}, {"why", one.why}});
  const auto revision = service.flags().view()->revision;
  return json_response(bj::object{{"flags", std::move(out)},
                                  {"epoch", revision.epoch},
                                  {"revision", revision.number},
                                  {"refused", std::move(refused)}});
}

Response get(Service& service, const Request& request) {
  const auto key = request.param("key");
  if (const auto info = service.flags().find(key)) return json_response(info_json(*info));
  return error_response(404, "flag.unknown", "there is no flag " + std::string(key),
                        "`poundlock flag list` shows them");
}

// The name of the variant that has this boolean value; "" where none has.
std::string variant_with(const bj::object& definition, bool value) {
  const auto* variants = definition.if_contains("variants");
  if (!variants || !variants->is_object()) return {};
  for (const auto& [name, one] : variants->as_object())
    if (one.is_bool() && one.get_bool() == value) return std::string(name);
  return {};
}

bool has_rule(const bj::object& definition) {
  const auto* rule = definition.if_contains("targeting");
  return rule && rule->is_object() && !rule->as_object().empty();
}

Error refused(int status, std::string code, std::string message, std::string hint) {
  const auto disposition = status == 409 ? Disposition::kConflict : Disposition::kUser;
  return make_error(disposition, std::move(code), std::move(message)).with_hint(std::move(hint));
}

// {"definition": {...}} replaces the flag; {"variant": "on"} makes that variant the default of a flag
// that exists; {"value": false} gives everybody that value of a boolean flag, and takes its rule out, which
// is told in `out`.
Result<bj::object> edited(const std::string& key, const bj::object& body,
                          const std::optional<FlagInfo>& known, bj::object& out) {
  if (const auto* given = body.if_contains("definition"); given && given->is_object())
    return given->as_object();
  const std::string variant = text_of(body, "variant");
  const auto* value = body.if_contains("value");
  if (variant.empty() && !(value && value->is_bool()))
    return fail(refused(400, "flag.set", "neither definition nor variant nor value is given", {}));
  if (!known)
    return fail(
        refused(404, "flag.unknown", "there is no flag " + key, "give a whole definition to make one"));
  if (!known->overridden.empty())
    return fail(refused(409, "flag.overridden",
                        "the override file gives everybody the variant " + known->overridden,
                        "take the flag out of that file first"));
  bj::object definition = known->definition;
  if (!variant.empty()) {
    definition["defaultVariant"] = variant;
    if (has_rule(definition)) out["rule_decides"] = true;
    return definition;
  }
  const std::string named = variant_with(definition, value->get_bool());
  if (named.empty())
    return fail(refused(400, "flag.type", "the flag " + key + " is no boolean flag",
                        "`poundlock flag set` chooses one of its variants"));
  definition["state"] = "ENABLED";
  definition["defaultVariant"] = named;
  if (has_rule(definition)) out["targeting"] = definition["targeting"];
  definition.erase("targeting");
  return definition;
}

Response set(Service& service, const Request& request) {
  const std::string key(request.param("key"));
  auto body = body_object(request);
  if (!body) return error_response(body.error());
  bj::object out{{"key", key}};
  const auto edit = [&](const std::optional<FlagInfo>& known) { return edited(key, *body, known, out); };
  auto revision = service.flags().change(key, edit, who_of(*body), text_of(*body, "why"));
  if (!revision && revision.error().code == "flag.unknown")
    return error_response(404, "flag.unknown", revision.error().message, revision.error().hint);
  if (!revision) return error_response(revision.error());
  out["epoch"] = revision->epoch;
  out["revision"] = revision->number;
  return json_response(out);
}

Response erase(Service& service, const Request& request) {
  auto body = body_object(request);
  if (!body) return error_response(body.error());
  const auto key = request.param("key");
  auto revision = service.flags().erase(key, who_of(*body), text_of(*body, "why"));
  if (!revision && revision.error().code == "flag.unknown")
    return error_response(404, revision.error().code, revision.error().message, revision.error().hint);
  if (!revision) return error_response(revision.error());
  return json_response(bj::object{{"key", key}, {"epoch", revision->epoch}, {"revision", revision->number}});
}

// Takes back what was set by hand over a file's flag.
Response reset(Service& service, const Request& request) {
  auto body = body_object(request);
  if (!body) return error_response(body.error());
  const auto key = request.param("key");
  auto revision = service.flags().reset(key, who_of(*body), text_of(*body, "why"));
  if (!revision && revision.error().code == "flag.unknown")
    return error_response(404, revision.error().code, revision.error().message, revision.error().hint);
  if (!revision) return error_response(revision.error());
  bj::object out{{"key", key}, {"epoch", revision->epoch}, {"revision", revision->number}};
  if (const auto info = service.flags().find(key)) out["source"] = info->source;
  return json_response(out);
}

}  // namespace

void add_flag_routes(Router& router, Service& service) {
  router.add(
      "GET", "/v1/flags/stream", [&](const Request& r) { return stream_response(service.hub(), r); },
      Access::kReport);  // whoever opens it counts as an instance that has to follow
  router.add(
      "GET", "/v1/flags", [&](const Request&) { return list(service); }, Access::kRead, Run::kPrompt);
  // The same; a flag called "stream" has no other address.
  router.add(
      "GET", "/v1/flags/{key}/definition", [&](const Request& r) { return get(service, r); }, Access::kRead,
      Run::kPrompt);
  router.add(
      "GET", "/v1/flags/{key}", [&](const Request& r) { return get(service, r); }, Access::kRead,
      Run::kPrompt);
  router.add(
      "PUT", "/v1/flags/{key}", [&](const Request& r) { return set(service, r); }, Access::kWrite,
      Run::kPrompt);
  router.add(
      "DELETE", "/v1/flags/{key}", [&](const Request& r) { return erase(service, r); }, Access::kWrite,
      Run::kPrompt);
  router.add(
      "POST", "/v1/flags/{key}/reset", [&](const Request& r) { return reset(service, r); }, Access::kWrite,
      Run::kPrompt);
}

}  // namespace poundlock::server
