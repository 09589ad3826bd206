#include "flag/snapshot.h"

#include <algorithm>

#include "base/json.h"
#include "base/strings.h"
#include "flag/compiler.h"
#include "flag/variant_name.h"

namespace poundlock::flag {

const char* to_string(VariantType type) {
  switch (type) {
    case VariantType::kBool: return "boolean";
    case VariantType::kString: return "string";
    case VariantType::kNumber: return "number";
    case VariantType::kObject: return "object";
  }
  return "";
}

std::optional<VariantType> variant_type(const boost::json::value& json) {
  if (json.is_bool()) return VariantType::kBool;
  if (json.is_string()) return VariantType::kString;
  if (json.is_number()) return VariantType::kNumber;
  if (json.is_object() || json.is_array()) return VariantType::kObject;
  return std::nullopt;
}

const char* to_string(Reason reason) {
  switch (reason) {
    case Reason::kStatic: return "STATIC";
    case Reason::kTargetingMatch: return "TARGETING_MATCH";
    case Reason::kDefault: return "DEFAULT";
    case Reason::kDisabled: return "DISABLED";
    case Reason::kError: return "ERROR";
  }
  return "";
}

const Variant* CompiledFlag::find_variant(std::string_view name) const {
  for (const Variant& variant : variants) {
    if (same_text(variant.name, name)) return &variant;
  }
  return nullptr;
}

Snapshot::Snapshot() : storage_(std::make_unique<Storage>()) {}
Snapshot::~Snapshot() = default;

Result<std::shared_ptr<const Snapshot>> Snapshot::compile(std::string_view document, std::string file,
                                                          const Limits& limits) {
  json::Limits bounds;
  bounds.bytes_max = limits.bytes_max;
  bounds.depth_max = limits.rule_depth_max + 8;
  bounds.nodes_max = limits.bytes_max;
  PL_TRY(json::Value value, json::parse(document, std::move(file), bounds));
  if (!value.is_object()) return fail(user_error("flag.document", "a flag document is a JSON object"));
  return Compiler(limits).compile(std::move(value.get_object()));
}

const CompiledFlag* Snapshot::find(std::string_view key) const {
  return storage_->by_key.find(key);
}

namespace {

Resolution error(ErrorCode code, const char* text, const CompiledFlag* flag) {
  return {Reason::kError, code, -1, text, nullptr, flag};
}

Resolution from_result(const CompiledFlag& flag, const Value& result) {
  if (result.is_null()) return {Reason::kDefault, ErrorCode::kNone, -1, "", flag.fallback, &flag};
  const Variant* variant = result.is_string() && !flag.has_backslash ? flag.find_variant(result.as_string())
                                                                     : variant_for(flag, result);
  if (variant == nullptr)
    return error(ErrorCode::kGeneral, "targeting names a variant that does not exist", &flag);
  return {Reason::kTargetingMatch, ErrorCode::kNone, -1, "", variant, &flag};
}

}  // namespace

Resolution Snapshot::evaluate(const CompiledFlag& flag, const Attributes& attributes, std::int64_t now_s,
                              std::int64_t* steps_left) const {
  if (!flag.enabled) return {Reason::kDisabled, ErrorCode::kNone, -1, "", nullptr, &flag};
  if (!flag.has_rule) {
    const Reason reason = flag.fallback == nullptr ? Reason::kDefault : Reason::kStatic;
    return {reason, ErrorCode::kNone, -1, "", flag.fallback, &flag};
  }
  if (!flag.rule_error.empty()) return error(ErrorCode::kParseError, flag.rule_error.c_str(), &flag);
  Scratch scratch;
  Evaluation evaluation;
  evaluation.attributes = &attributes;
  evaluation.flag_key = flag.key;
  evaluation.now_s = now_s;
  evaluation.scratch = &scratch;
  if (steps_left != nullptr) evaluation.steps = std::min(*steps_left, kStepsMax);
  const std::int64_t steps = evaluation.steps;
  std::int16_t branch = -1;
  const Value result =
      flag.branches > 0 ? evaluate_if(flag.rule, evaluation, branch) : flag::evaluate(flag.rule, evaluation);
  if (steps_left != nullptr)
    *steps_left = std::max<std::int64_t>(*steps_left - (steps - evaluation.steps), 0);
  if (evaluation.ended_in_error()) return error(evaluation.error, evaluation.error_text, &flag);
  Resolution resolution = from_result(flag, result);
  resolution.branch = branch;
  return resolution;
}

Resolution Snapshot::evaluate(std::string_view key, const Attributes& attributes, std::int64_t now_s) const {
  const CompiledFlag* flag = find(key);
  if (flag == nullptr) return error(ErrorCode::kFlagNotFound, "no such flag", nullptr);
  return evaluate(*flag, attributes, now_s);
}

Resolution expect_type(Resolution resolution, VariantType wanted) {
  if (resolution.flag == nullptr || resolution.reason == Reason::kError || resolution.flag->type == wanted) {
    return resolution;
  }
  return error(ErrorCode::kTypeMismatch, "the flag's variants are of another type", resolution.flag);
}

}  // namespace poundlock::flag
