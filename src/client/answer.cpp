#include "client/answer.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <vector>

#include "base/json.h"

namespace poundlock::client {

namespace {

constexpr int kDepthMax = 64;  // as deep as a document may be

bool of_type(const Evaluated& result, flag::VariantType type) {
  return result.variant != nullptr && result.flag->type == type;
}

// An override of a flag that no snapshot has.
bool by_name_alone(const Evaluated& result) {
  return result.flag == nullptr && !result.name.empty();
}

std::optional<double> number_of(const Evaluated& result) {
  if (of_type(result, flag::VariantType::kNumber)) return result.variant->value.as_number();
  if (!by_name_alone(result)) return {};
  double number = 0;
  const char* end = result.name.data() + result.name.size();
  const auto read = std::from_chars(result.name.data(), end, number);
  if (read.ec != std::errc() || read.ptr != end || !std::isfinite(number)) return {};
  return number;
}

json::Value sorted(const json::Value& value, int depth = 0) {
  if (depth >= kDepthMax) return value;
  if (const json::Array* list = value.if_array()) {
    json::Array out;
    out.reserve(list->size());
    for (const json::Value& item : *list) out.push_back(sorted(item, depth + 1));
    return out;
  }
  const json::Object* object = value.if_object();
  if (object == nullptr) return value;
  std::vector<const json::Object::value_type*> entries;
  for (const auto& entry : *object) entries.push_back(&entry);
  std::sort(entries.begin(), entries.end(), [](const auto* a, const auto* b) {
    return std::string_view(a->key()) < std::string_view(b->key());
  });
  json::Object out;
  for (const auto* entry : entries) out.emplace(entry->key(), sorted(entry->value(), depth + 1));
  return out;
}

FlagMetadata metadata_of(const flag::CompiledFlag* flag) {
  FlagMetadata metadata;
  if (flag == nullptr) return metadata;
  for (const auto& entry : flag->metadata) {
    std::string key(entry.key());
    const json::Value& value = entry.value();
    if (value.is_bool())
      metadata.emplace_back(std::move(key), value.get_bool());
    else if (value.is_int64())
      metadata.emplace_back(std::move(key), value.get_int64());
    else if (value.is_number())
      metadata.emplace_back(std::move(key), value.to_number<double>());
    else if (value.is_string())
      metadata.emplace_back(std::move(key), std::string(value.get_string()));
  }
  return metadata;
}

Details& refuse(Details& details, const char* code, const char* message) {
  details.variant.clear();
  details.reason = flag::to_string(flag::Reason::kError);
  details.error_code = code;
  details.error_message = message;
  return details;
}

}  // namespace

std::optional<bool> as_bool(const Evaluated& result) {
  if (of_type(result, flag::VariantType::kBool)) return result.variant->value.as_bool();
  if (!by_name_alone(result)) return {};
  if (result.name == "on" || result.name == "true") return true;
  if (result.name == "off" || result.name == "false") return false;
  return {};
}

std::optional<std::string> as_string(const Evaluated& result) {
  if (of_type(result, flag::VariantType::kString)) return std::string(result.variant->value.as_string());
  if (by_name_alone(result)) return std::string(result.name);
  return {};
}

std::optional<std::int64_t> as_int64(const Evaluated& result) {
  if (of_type(result, flag::VariantType::kNumber)) {
    // A double has no room for every whole number.
    if (const std::int64_t* whole = result.variant->json.if_int64()) return *whole;
  }
  const std::optional<double> number = number_of(result);
  constexpr double kLimit = 9'223'372'036'854'775'808.0;  // 2 to the 63rd
  if (!number || !(*number >= -kLimit && *number < kLimit)) return {};
  return static_cast<std::int64_t>(*number);
}

std::optional<double> as_double(const Evaluated& result) {
  return number_of(result);
}

std::optional<std::string> as_object(const Evaluated& result) {
  if (!of_type(result, flag::VariantType::kObject)) return {};
  return json::dump(sorted(result.variant->json));
}

Details describe(const Evaluated& result, bool has_value) {
  Details details = describe(result);
  if (has_value || result.name.empty() || !details.error_code.empty()) return details;
  return refuse(details, "TYPE_MISMATCH", "the flag's variants are of another type");
}

Details describe(const Evaluated& result) {
  Details details;
  details.variant = result.name;
  details.reason = result.overridden ? "OVERRIDE" : flag::to_string(result.reason);
  details.error_code = result.ready ? flag::to_string(result.error) : "PROVIDER_NOT_READY";
  details.error_message = result.error_text;
  details.flag_metadata = metadata_of(result.flag);
  if (result.variant == nullptr && result.flag != nullptr && !result.name.empty()) {
    refuse(details, "GENERAL", "the override names a variant that the flag does not have");
  }
  return details;
}

}  // namespace poundlock::client
