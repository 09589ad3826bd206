#include "cli/launchdarkly.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <boost/json.hpp>

#include "base/json.h"
#include "base/suggest.h"
#include "cli/fields.h"

namespace poundlock::cli {
namespace {

namespace bj = boost::json;
constexpr std::size_t kClausesMax = 1'000;

bj::value call(std::string_view name, bj::value arguments) {
  return bj::object{{name, std::move(arguments)}};
}
bj::value variable(const std::string& name) {
  return call("var", bj::value(name == "key" ? "targetingKey" : name));
}

// Tests that hold of no attribute but a text, or a number: JSONLogic would take null for 0, a text for a
// number and 0 for any text in a list. "starts_with" answers null unless both are texts; !! makes false of
// it.
bj::value is_text(const bj::value& item) {
  return call("!!", bj::array{call("starts_with", bj::array{item, ""})});
}
void require_number(const bj::value& item, bj::array& all) {
  for (const bj::value& other : {bj::value(nullptr), bj::value(true), bj::value(false)})
    all.push_back(call("!==", bj::array{item, other}));
  all.push_back(call("!", bj::array{is_text(item)}));
}
// LaunchDarkly's versions have no "v" in front; sem_ver takes one.
void require_version(const bj::value& item, bj::array& all) {
  for (const char* prefix : {"v", "V"})
    all.push_back(call("!", bj::array{call("starts_with", bj::array{item, prefix})}));
}

bj::value in_list(const bj::value& item, const bj::array& values) {
  bj::array texts, any;
  for (const auto& value : values) {
    if (value.is_string())
      texts.push_back(value);
    else
      any.push_back(call("===", bj::array{item, value}));
  }
  if (!texts.empty())
    any.push_back(call("and", bj::array{is_text(item), call("in", bj::array{item, std::move(texts)})}));
  return call("or", std::move(any));
}

std::string_view order_of(std::string_view op) {
  if (op == "lessThan") return "<";
  if (op == "lessThanOrEqual") return "<=";
  return op == "greaterThan" ? ">" : ">=";
}
std::string_view version_order_of(std::string_view op) {
  return op == "semVerEqual" ? "=" : op == "semVerLessThan" ? "<" : ">";
}

// One flag; the first thing that cannot be said ends it.
class Translator {
 public:
  Translator(std::string key, const bj::object& flag, const bj::object& settings)
      : key_(std::move(key)), flag_(flag), settings_(settings) {}
  Result<bj::object> definition();
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  Error cannot(const std::string& what) const {
    return user_error("flag.import", fmt::format("flag {}: {}", key_, what));
  }
  Status variants();
  Result<std::string> variant(const bj::value* index) const;
  Result<bj::value> outcome(const bj::object& from, bool whole) const;
  Result<bj::value> split(const bj::object& rollout) const;
  Result<bj::value> clause(const bj::object& clause) const;
  Result<bj::value> any_of(const bj::object& clause, const std::string& op, const bj::value& item) const;
  Status rules(bj::array& chain) const;
  Status targets(bj::array& chain) const;
  // What decides while it is on: a rule, or the name of a variant.
  Result<bj::value> targeting() const;
  void keep_targeting(bj::object& out);

  const std::string key_;
  const bj::object& flag_;
  const bj::object& settings_;  // on, offVariation, fallthrough, rules, targets
  std::vector<std::string> names_;
  bj::object variants_;
  std::vector<std::string> notes_;
};

Status Translator::variants() {
  for (const auto& one : list_at(flag_, "variations")) {
    const bool wrapped = one.is_object() && one.as_object().contains("value");
    const bj::value value = wrapped ? one.as_object().at("value") : one;
    std::string name =
        value.is_bool() ? (value.get_bool() ? "on" : "off") : fmt::format("v{}", names_.size());
    if (variants_.contains(name)) return fail(cannot("two variations have one value"));
    variants_[name] = value;
    names_.push_back(std::move(name));
  }
  if (names_.empty()) return fail(cannot("it has no variations"));
  return {};
}

Result<std::string> Translator::variant(const bj::value* index) const {
  if (!index || !index->is_int64() || index->get_int64() < 0 ||
      static_cast<std::size_t>(index->get_int64()) >= names_.size())
    return fail(cannot("a variation is named that it does not have"));
  return names_[static_cast<std::size_t>(index->get_int64())];
}

Result<bj::value> Translator::split(const bj::object& rollout) const {
  if (text_at(rollout, "kind") == "experiment") return fail(cannot("an experiment"));
  std::string by = text_at(rollout, "bucketBy");
  if (by.empty()) by = "key";
  if (const auto kind = text_at(rollout, "contextKind"); !kind.empty() && kind != "user")
    return fail(cannot("a percentage of the context kind " + kind));
  bj::array out;
  // Of the key this is what fractional hashes by itself, and somebody without one gets the default.
  if (by != "key") out.push_back(call("cat", bj::array{call("var", "$flagd.flagKey"), variable(by)}));
  const std::size_t none = out.size();
  for (const auto& one : list_at(rollout, "variations")) {
    PL_TRY(const auto name, variant(element(one).if_contains("variation")));
    const auto weight = number_at(element(one), "weight").value_or(-1);
    if (weight < 0 || weight > 100'000) return fail(cannot("a weight that is none"));
    out.push_back(bj::array{bj::value(name), bj::value(static_cast<std::int64_t>(weight))});
  }
  if (out.size() == none) return fail(cannot("a percentage without variations"));
  return call("fractional", std::move(out));
}

Result<bj::value> Translator::outcome(const bj::object& from, bool whole) const {
  const bj::object& rollout = object_at(from, "rollout");
  if (!rollout.empty()) return split(rollout);
  if (whole && !from.contains("variation")) return fail(cannot("no fallthrough"));
  PL_TRY(const auto name, variant(from.if_contains("variation")));
  return bj::value(name);
}

// Of several values one is enough.
Result<bj::value> Translator::any_of(const bj::object& clause, const std::string& op,
                                     const bj::value& item) const {
  const auto& values = list_at(clause, "values");
  if (op == "in") return in_list(item, values);
  const bool numbers = op.starts_with("less") || op.starts_with("greater");
  bj::array all, any;
  if (numbers)
    require_number(item, all);
  else
    all.push_back(is_text(item));
  if (op.starts_with("semVer")) require_version(item, all);
  for (const auto& value : values) {
    if (numbers ? !value.is_number() : !value.is_string())
      return fail(cannot(fmt::format("{} with {}", op, json::kind_of(value))));
    if (op == "contains")
      any.push_back(call("in", bj::array{value, item}));
    else if (op == "startsWith" || op == "endsWith")
      any.push_back(call(op == "startsWith" ? "starts_with" : "ends_with", bj::array{item, value}));
    else if (numbers)
      any.push_back(call(order_of(op), bj::array{item, value}));
    else  // null for what is no version
      any.push_back(call("!!", bj::array{call("sem_ver", bj::array{item, version_order_of(op), value})}));
  }
  all.push_back(call("or", std::move(any)));
  return call("and", std::move(all));
}

Result<bj::value> Translator::clause(const bj::object& clause) const {
  static constexpr std::string_view kKnown[] = {"in",          "contains",           "startsWith",
                                                "endsWith",    "lessThan",           "lessThanOrEqual",
                                                "greaterThan", "greaterThanOrEqual", "semVerLessThan",
                                                "semVerEqual", "semVerGreaterThan"};
  const std::string op = text_at(clause, "op"), attribute = text_at(clause, "attribute");
  if (std::find(std::begin(kKnown), std::end(kKnown), op) == std::end(kKnown))
    return fail(cannot("the operator " + op));
  if (const auto kind = text_at(clause, "contextKind"); !kind.empty() && kind != "user")
    return fail(cannot("a clause on the context kind " + kind));
  if (attribute.empty() || attribute.starts_with("/")) return fail(cannot("the attribute " + attribute));
  if (list_at(clause, "values").empty()) return fail(cannot("a clause without values"));
  // Of an attribute that is a list one item is enough.
  PL_TRY(auto of_item, any_of(clause, op, call("var", "")));
  auto test = call("some", bj::array{call("merge", bj::array{variable(attribute)}), std::move(of_item)});
  // Somebody without the attribute is in no clause, and in no negated one either.
  if (bool_at(clause, "negate"))
    test = call("and", bj::array{call("!==", bj::array{variable(attribute), nullptr}),
                                 call("!", bj::array{std::move(test)})});
  return test;
}

Status Translator::rules(bj::array& chain) const {
  std::size_t clauses = 0;
  for (const auto& one : list_at(settings_, "rules")) {
    bj::array all;
    for (const auto& test : list_at(element(one), "clauses")) {
      if (++clauses > kClausesMax) return fail(cannot("too many clauses"));
      PL_TRY(auto made, clause(element(test)));
      all.push_back(std::move(made));
    }
    if (all.empty()) return fail(cannot("a rule without clauses"));
    PL_TRY(auto result, outcome(element(one), true));
    chain.push_back(all.size() == 1 ? bj::value(all.front()) : call("and", std::move(all)));
    chain.push_back(std::move(result));
  }
  return {};
}

Status Translator::targets(bj::array& chain) const {
  for (const char* list : {"targets", "contextTargets"}) {
    for (const auto& one : list_at(settings_, list)) {
      const auto& values = list_at(element(one), "values");
      const auto kind = text_at(element(one), "contextKind");
      if (values.empty()) continue;
      if (!kind.empty() && kind != "user") return fail(cannot("targets of the context kind " + kind));
      PL_TRY(auto name, variant(element(one).if_contains("variation")));
      chain.push_back(call("in", bj::array{variable("key"), values}));
      chain.push_back(bj::value(name));
    }
  }
  return {};
}

Result<bj::value> Translator::targeting() const {
  bj::array chain;
  PL_CHECK(targets(chain));
  PL_CHECK(rules(chain));
  PL_TRY(auto last, outcome(object_at(settings_, "fallthrough"), true));
  if (chain.empty()) return last;
  chain.push_back(std::move(last));
  return call("if", std::move(chain));
}

// Of a flag that is off: it decides nothing now, and is what somebody means to turn on again.
void Translator::keep_targeting(bj::object& out) {
  auto rule = targeting();
  if (!rule) {
    notes_.push_back(
        fmt::format("{}; it is off, and was taken over without its targeting", rule.error().message));
    return;
  }
  if (!rule->is_object()) return;
  const bool disabled = out.at("state") == "DISABLED";
  const char* how = disabled ? "it is disabled, and its targeting waits"
                             : R"(its targeting is kept behind {"if": [false, ...]})";
  out["targeting"] =
      disabled ? std::move(*rule) : call("if", bj::array{false, std::move(*rule), out.at("defaultVariant")});
  notes_.push_back(fmt::format("flag {}: it is off: {}", key_, how));
}

Result<bj::object> Translator::definition() {
  PL_CHECK(variants());
  if (!list_at(settings_, "prerequisites").empty()) return fail(cannot("prerequisites"));
  bj::object out{{"state", "ENABLED"}, {"variants", variants_}};
  const bool has_off = settings_.contains("offVariation") && !settings_.at("offVariation").is_null();
  // A rule that answers nothing (nobody to put into a bucket) falls to what "off" would give.
  out["defaultVariant"] = names_.front();
  if (has_off) {
    PL_TRY(out["defaultVariant"], variant(settings_.if_contains("offVariation")));
  }
  if (!bool_at(settings_, "on")) {
    if (!has_off) out["state"] = "DISABLED";
    keep_targeting(out);
    return out;
  }
  PL_TRY(auto rule, targeting());
  out[rule.is_string() ? "defaultVariant" : "targeting"] = std::move(rule);
  return out;
}

const bj::object* settings_of(const bj::object& flag, const std::string& environment) {
  const auto* all = flag.if_contains("environments");
  if (!all || !all->is_object()) return &flag;
  const auto& list = all->as_object();
  const auto* one = list.if_contains(environment.empty() ? "production" : environment);
  if (!one && environment.empty() && list.size() == 1) one = &list.begin()->value();
  return one && one->is_object() ? &one->as_object() : nullptr;
}

void add(Imported& to, const std::string& key, const bj::value& flag, const std::string& environment) {
  if (!flag.is_object()) {
    to.left_out.push_back(fmt::format("flag {}: no object", key));
    return;
  }
  for (const char* gone : {"archived", "deleted"}) {
    if (!bool_at(flag.as_object(), gone)) continue;
    to.left_out.push_back(fmt::format("flag {}: it is {}", key, gone));
    return;
  }
  const auto* settings = settings_of(flag.as_object(), environment);
  if (!settings) {
    to.left_out.push_back(fmt::format("flag {}: it is not clear which environment is meant", key));
    return;
  }
  Translator translator(key, flag.as_object(), *settings);
  auto made = translator.definition();
  for (const auto& note : translator.notes()) to.notes.push_back(note);
  if (made)
    to.flags[key] = std::move(*made);
  else
    to.left_out.push_back(made.error().message);
}

// With a wrong name every flag would be left out, and --partial would call that done.
Status check_environment(const bj::object& root, const std::string& environment) {
  std::vector<std::string> known;
  bool any = false;
  const auto look = [&](const bj::object& flag) {
    any = any || settings_of(flag, environment) != nullptr;
    for (const auto& one : object_at(flag, "environments"))
      if (std::find(known.begin(), known.end(), one.key()) == known.end()) known.emplace_back(one.key());
  };
  for (const auto& one : list_at(root, "items")) look(element(one));
  for (const auto& one : object_at(root, "flags")) look(element(one.value()));
  if (any || known.empty()) return {};
  std::sort(known.begin(), known.end());
  const auto wanted = environment.empty() ? std::string("production") : environment;
  const auto near = nearest(wanted, std::span<const std::string>(known));
  constexpr std::size_t kNamed = 20;
  if (known.size() > kNamed) known.resize(kNamed);
  return fail(user_error("flag.environment", fmt::format("no flag has an environment {}; there are {}",
                                                         wanted, fmt::join(known, ", ")))
                  .with_hint(near.empty() || environment.empty() ? "--environment-key names one of them"
                                                                 : fmt::format("did you mean {}?", near)));
}

}  // namespace

Result<Imported> import_launchdarkly(std::string_view text, const std::string& file,
                                     const std::string& environment) {
  PL_TRY(const auto value, json::parse(text, file, {4 << 20, 64, 1'000'000}));
  const bj::object& root = element(value);
  PL_CHECK(check_environment(root, environment));
  Imported out;
  for (const auto& one : list_at(root, "items")) add(out, text_at(element(one), "key"), one, environment);
  for (const auto& one : object_at(root, "flags")) add(out, std::string(one.key()), one.value(), environment);
  if (out.flags.empty() && out.left_out.empty()) {
    return fail(
        user_error("flag.import", fmt::format("{} is no export of LaunchDarkly", file))
            .with_hint(R"(known are {"items": [...]} of its REST API and {"flags": {...}} of its SDKs)"));
  }
  return out;
}

}  // namespace poundlock::cli
