#include "flag/compiler.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/json.h"
#include "base/suggest.h"
#include "flag/fractional.h"

namespace poundlock::flag {

namespace {

using boost::json::object;
using boost::json::value;

constexpr std::string_view kFlagKeys[] = {"state", "variants", "defaultVariant", "targeting", "metadata"};

Error flag_error(std::string code, std::string_view key, std::string message) {
  return user_error(std::move(code), fmt::format("flag '{}': {}", key, message));
}

}  // namespace

Status Compiler::read_metadata(const object& document) {
  PL_TRY(const object* metadata, json::optional_object(document, "metadata"));
  if (metadata == nullptr) return {};
  snapshot_->metadata_ = *metadata;
  shared_metadata_ = *metadata;
  const value* given = metadata->if_contains("revision");
  if (given && given->is_string()) return {};  // somebody else's revision, and theirs
  PL_TRY(auto epoch, json::optional_uint(*metadata, "epoch"));
  PL_TRY(auto revision, json::optional_uint(*metadata, "revision"));
  snapshot_->revision_ = Revision{epoch.value_or(0), revision.value_or(0)};
  // They order documents and say nothing about a flag: answers would change with every publication.
  shared_metadata_.erase("epoch");
  shared_metadata_.erase("revision");
  return {};
}

Status Compiler::add_variants(CompiledFlag& flag, const object& variants) {
  if (variants.empty() || variants.size() > limits_.variants_max) {
    return fail(
        flag_error("flag.variants", flag.key,
                   fmt::format("{} variants, expected 1 to {}", variants.size(), limits_.variants_max)));
  }
  flag.variants.reserve(variants.size());  // values refer into their variant: it must not move
  for (const auto& entry : variants) {
    const std::string_view name = entry.key();
    if (name.empty() || name.size() > limits_.key_length_max) {
      return fail(flag_error("flag.variants", flag.key, "a variant's name is empty or too long"));
    }
    const auto type = variant_type(entry.value());
    if (!type) {
      return fail(flag_error("flag.variants", flag.key,
                             "a variant is null; expected a boolean, text, number or object"));
    }
    if (!flag.variants.empty() && *type != flag.type) {
      return fail(flag_error("flag.variants", flag.key,
                             fmt::format("variant '{}' is a {}, the ones before it are of type {}", name,
                                         to_string(*type), to_string(flag.type))));
    }
    flag.type = *type;
    flag.has_backslash = flag.has_backslash || name.find('\\') != std::string_view::npos;
    Variant& variant = flag.variants.emplace_back(Variant{std::string(name), {}, entry.value()});
    const value& json = variant.json;
    if (json.is_bool()) variant.value = Value::boolean(json.get_bool());
    if (json.is_number()) variant.value = Value::number(json.to_number<double>());
    if (json.is_string()) variant.value = Value::text({json.get_string().data(), json.get_string().size()});
  }
  return {};
}

Status Compiler::set_fallback(CompiledFlag& flag) {
  PL_TRY(auto name, json::optional_string(flag.source, "defaultVariant"));
  if (!name || name->empty()) return {};
  flag.fallback = flag.find_variant(*name);
  if (flag.fallback == nullptr) {
    return fail(
        flag_error("flag.default", flag.key, fmt::format("defaultVariant '{}' is no variant", *name)));
  }
  return {};
}

void Compiler::compile_rule(CompiledFlag& flag, const object* evaluators) {
  value* rule = flag.source.if_contains("targeting");
  if (rule == nullptr || rule->is_null() || (rule->is_object() && rule->get_object().empty())) return;
  flag.has_rule = true;
  Result<Node> compiled = [&]() -> Result<Node> {
    PL_CHECK(replace_references(*rule, evaluators, limits_.rule_depth_max, reference_nodes_left_));
    PL_TRY(const int version, fractional_version(flag.metadata));
    return RuleCompiler(*snapshot_->storage_, limits_, version).compile(*rule);
  }();
  if (compiled) {
    flag.rule = std::move(*compiled);
    if (flag.rule.kind == Node::Kind::kCall && flag.rule.op->name == "if") {
      flag.branches =
          static_cast<std::int16_t>(std::min<std::size_t>((flag.rule.args.size() + 1) / 2, 32'767));
    }
    inspect_rule(flag, snapshot_->problems_);
    return;
  }
  flag.rule_error = compiled.error().message;
  snapshot_->problems_.push_back(flag_error("flag.targeting", flag.key, flag.rule_error));
}

Status Compiler::add_flag(std::string_view key, const value& source, const object* evaluators) {
  if (key.empty() || key.size() > limits_.key_length_max) {
    return fail(user_error("flag.key", "a flag's key is empty or too long"));
  }
  if (!source.is_object()) {
    return fail(flag_error("flag.document", key,
                           fmt::format("{} stands where an object is expected", json::kind_of(source))));
  }
  CompiledFlag& flag = snapshot_->storage_->flags.emplace_back();
  flag.key = std::string(key);
  flag.source = source.get_object();
  for (const auto& entry : flag.source) {
    const std::string_view name = entry.key();
    if (std::find(std::begin(kFlagKeys), std::end(kFlagKeys), name) != std::end(kFlagKeys)) continue;
    const std::string_view known = nearest(name, kFlagKeys);
    Error error = flag_error("flag.unknown_key", key, fmt::format("unknown key '{}'", name));
    if (!known.empty()) error.hint = fmt::format("did you mean '{}'?", known);
    snapshot_->problems_.push_back(std::move(error));
  }
  PL_TRY(const std::string state, json::get_string(flag.source, "state"));
  if (state != "ENABLED" && state != "DISABLED") {
    return fail(
        flag_error("flag.state", key, fmt::format("state is '{}', expected ENABLED or DISABLED", state)));
  }
  flag.enabled = state == "ENABLED";
  PL_TRY(const object* variants, json::get_object(flag.source, "variants"));
  PL_CHECK(add_variants(flag, *variants));
  PL_CHECK(set_fallback(flag));
  PL_TRY(const object* metadata, json::optional_object(flag.source, "metadata"));
  flag.metadata = shared_metadata_;
  if (metadata != nullptr) {
    for (const auto& entry : *metadata) flag.metadata[entry.key()] = entry.value();
  }
  compile_rule(flag, evaluators);
  snapshot_->ordered_.push_back(&flag);
  return {};
}

Result<std::shared_ptr<const Snapshot>> Compiler::compile(const object& document) {
  snapshot_ = std::shared_ptr<Snapshot>(new Snapshot());
  PL_CHECK(read_metadata(document));
  PL_TRY(const object* flags, json::get_object(document, "flags"));
  if (flags->size() > limits_.flags_max) {
    return fail(user_error(
        "flag.size", fmt::format("{} flags, at most {} are allowed", flags->size(), limits_.flags_max)));
  }
  PL_TRY(const object* evaluators, json::optional_object(document, "$evaluators"));
  for (const auto& entry : *flags) PL_CHECK(add_flag(entry.key(), entry.value(), evaluators));
  snapshot_->storage_->by_key.build(snapshot_->storage_->flags);
  return std::shared_ptr<const Snapshot>(std::move(snapshot_));
}

}  // namespace poundlock::flag
