#include "flag/definition.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/strings.h"
#include "base/suggest.h"
#include "flag/compiler.h"
#include "flag/definition_parts.h"
#include "flag/flag_spec_problems.h"
#include "flag/fractional.h"
#include "flag/rollout_flag.h"

namespace poundlock::flag {

namespace parts {

constexpr std::size_t kWarningsMax = 200;

void Findings::problem(Error error) {
  ++found_;
  if (definition_.problems.size() < kProblemsMax) definition_.problems.push_back(std::move(error));
}

void Findings::problem(const char* code, const Place& place, std::string message, std::string hint) {
  // To find the line costs a walk through the file.
  if (definition_.problems.size() >= kProblemsMax) return void(++found_);
  problem(user_error(code, std::move(message)).at(source_.where(place)).with_hint(std::move(hint)));
}

void Findings::warning(const Place& place, std::string_view message) {
  if (definition_.warnings.size() >= kWarningsMax) return;
  const SourcePosition at = source_.where(place);
  std::string line = fmt::format("{}:{}:{}: {}", at.file, at.line, at.column, message);
  if (warned_.insert(line).second) definition_.warnings.push_back(std::move(line));
  if (definition_.warnings.size() == kWarningsMax)
    definition_.warnings.push_back("further warnings are not listed");
}

void check_fractional_switch(const json::Object& metadata, const Place& place, Findings& findings) {
  const Place at = place.member(kFractionalSwitch);
  const auto version = fractional_version(metadata);
  if (!version) return findings.problem("flag.metadata", at, version.error().message);
  if (*version == 2) return;
  findings.warning(at,
                   "version 3 of 'fractional' is not portable between evaluators; released flagd providers "
                   "compute version 2 and put users into other shares");
}

}  // namespace parts

namespace {

using parts::Findings;
using parts::Place;
using parts::Source;

constexpr std::string_view kFileKeys[] = {"flags", "$evaluators", "metadata", "feature_flags", "$schema"};
constexpr std::string_view kRolloutKeys[] = {"rollout", "change"};

class Reader {
 public:
  Reader(const Source& source, const Limits& limits)
      : source_(source), limits_(limits), findings_(source, definition_) {}

  Result<Definition> read() {
    if (!source_.root().is_object()) {
      return fail(error(root_, fmt::format("a flag definition is a mapping with 'flags', found {}",
                                           json::kind_of(source_.root()))));
    }
    const json::Object& document = source_.root().get_object();
    const json::Value* flags = document.if_contains("flags");
    const json::Value* specs = document.if_contains("feature_flags");
    in_rollout_ = std::any_of(std::begin(kRolloutKeys), std::end(kRolloutKeys),
                              [&](std::string_view key) { return document.contains(key); });
    if (!in_rollout_) top_level(document);
    if (flags == nullptr && specs == nullptr) {
      if (!definition_.problems.empty()) return fail(definition_.problems.front());  // it was misspelt
      return fail(
          error(root_, "there is neither 'flags' nor 'feature_flags'")
              .with_hint("write {\"flags\": {\"my-flag\": {...}}}, or feature_flags: {my_flag: {...}}"));
    }
    if (!in_rollout_) {
      PL_CHECK(read_metadata(document));
      PL_CHECK(read_evaluators(document));
      if (flags != nullptr) PL_CHECK(read_flags(*flags, root_.member("flags")));
    }
    if (specs != nullptr && !specs->is_null()) PL_CHECK(read_specs());
    if (definition_.flags.size() > limits_.flags_max) return fail(too_many(definition_.flags.size()));
    return std::move(definition_);
  }

 private:
  Error error(const Place& place, std::string message) const {
    return user_error("flag.document", std::move(message)).at(source_.where(place));
  }
  Error too_many(std::size_t count) const {
    return user_error("flag.size", fmt::format("{} flags, at most {} are allowed", count, limits_.flags_max))
        .at(source_.where(root_.member("flags")));
  }

  void unknown_key(const Place& object, std::string_view key, std::string_view what,
                   std::span<const std::string_view> known) {
    const std::string_view near = nearest(key, known);
    findings_.problem("flag.unknown_key", object.key_of(key),
                      fmt::format("{}: unknown key {}", what, quote_for_message(key)),
                      near.empty() ? fmt::format("known keys: {}", fmt::join(known, ", "))
                                   : fmt::format("did you mean '{}'?", near));
  }

  void top_level(const json::Object& document) {
    for (const auto& entry : document) {
      const std::string_view key = entry.key();
      if (std::find(std::begin(kFileKeys), std::end(kFileKeys), key) != std::end(kFileKeys)) continue;
      if (!nearest(key, kFileKeys).empty()) {
        unknown_key(root_, key, "the definition", kFileKeys);
      } else {
        findings_.warning(root_.key_of(key),
                          fmt::format("the key {} has no effect here", quote_for_message(key)));
      }
    }
  }

  Status read_metadata(const json::Object& document) {
    const json::Value* metadata = json::find(document, "metadata");
    if (metadata == nullptr) return {};
    const Place place = root_.member("metadata");
    if (!metadata->is_object()) return fail(error(place, wrong_kind("metadata", "a mapping", *metadata)));
    definition_.metadata = metadata->get_object();
    check_metadata(definition_.metadata, "metadata", place);
    parts::check_fractional_switch(definition_.metadata, place, findings_);
    return {};
  }

  static std::string wrong_kind(std::string_view what, std::string_view expected, const json::Value& found) {
    return fmt::format("{}: expected {}, found {}", what, expected, json::kind_of(found));
  }

  void check_metadata(const json::Object& metadata, std::string_view what, const Place& place) {
    for (const auto& entry : metadata) {
      const json::Value& value = entry.value();
      if (value.is_string() || value.is_number() || value.is_bool()) continue;
      findings_.problem("flag.metadata", place.member(entry.key()),
                        wrong_kind(fmt::format("{}: {}", what, quote_for_message(entry.key())),
                                   "text, a number, or true or false", value));
    }
  }

  Status read_evaluators(const json::Object& document) {
    const json::Value* evaluators = json::find(document, "$evaluators");
    if (evaluators == nullptr) return {};
    const Place place = root_.member("$evaluators");
    if (!evaluators->is_object()) {
      return fail(error(place, wrong_kind("$evaluators", "a mapping of rules by name", *evaluators)));
    }
    evaluators_ = &evaluators->get_object();
    for (const auto& entry : *evaluators_) {
      const Place inside = place.member(entry.key());
      const parts::Rule rule{entry.value(), inside,
                             fmt::format("evaluator '{}'", std::string_view(entry.key()))};
      parts::check_rule(rule, limits_, findings_);
      parts::check_portability(rule, limits_, findings_);
    }
    return {};
  }

  Status read_flags(const json::Value& flags, const Place& place) {
    if (flags.is_array()) return read_list(flags.get_array(), place);
    if (!flags.is_object()) {
      return fail(error(place, wrong_kind("flags", "a mapping from key to flag", flags)));
    }
    if (flags.get_object().size() > limits_.flags_max) return fail(too_many(flags.get_object().size()));
    definition_.flags.reserve(flags.get_object().size());
    for (const auto& entry : flags.get_object()) {
      read_flag(entry.key(), entry.value(), place.member(entry.key()), place.key_of(entry.key()));
    }
    return {};
  }

  Status read_list(const json::Array& flags, const Place& place) {
    if (flags.size() > limits_.flags_max) return fail(too_many(flags.size()));
    for (std::size_t i = 0; i < flags.size(); ++i) {
      const Place item = place.item(i);
      const json::Value* key = flags[i].is_object() ? flags[i].get_object().if_contains("key") : nullptr;
      if (key == nullptr || !key->is_string()) {
        findings_.problem("flag.key", item, fmt::format("flag {} of the list has no key", i + 1),
                          "write \"key\": \"my-flag\" beside its state");
        continue;
      }
      json::Object flag = flags[i].get_object();
      const std::string name(key->get_string());
      flag.erase("key");
      read_flag(name, std::move(flag), item, item.member("key"));
    }
    return {};
  }

  void read_flag(std::string_view key, const json::Value& json, const Place& place, const Place& key_place) {
    if (key.empty() || key.size() > limits_.key_length_max) {
      return findings_.problem("flag.key", key_place,
                               fmt::format("the key {} has {} bytes, expected 1 to {}",
                                           quote_for_message(key), key.size(), limits_.key_length_max));
    }
    if (definition_.flags.contains(key)) {
      return findings_.problem("flag.duplicate_key", key_place,
                               fmt::format("the flag {} is defined twice", quote_for_message(key)));
    }
    auto flag = parts::read_flag({key, json, place, key_place, evaluators_, definition_.metadata}, limits_,
                                 findings_, reference_nodes_left_);
    if (flag) definition_.flags.emplace(key, std::move(*flag));
  }

  Status read_specs() {
    PL_TRY(const yaml::Node file, source_.as_yaml(limits_));
    const yaml::Node* specs = file.find("feature_flags");
    if (specs == nullptr || specs->kind != yaml::Kind::kMapping) {
      return fail(error(root_.member("feature_flags"), "feature_flags: expected a mapping from key to flag")
                      .with_hint("write feature_flags: {my_flag: {initial_percentage: 100}}"));
    }
    for (const yaml::Entry& entry : specs->entries) {
      std::vector<Error> problems;  // at most one for each key, step and rule; findings_ has the bound of all
      const auto spec = read_flag_spec(entry.first, entry.second, problems);
      for (Error& problem : problems) findings_.problem(std::move(problem));
      if (spec) add_spec(*spec, entry.first);
    }
    return {};
  }

  void add_spec(const FlagSpec& spec, const yaml::Node& key) {
    auto compiled = compile_rollout_flag(plain_flag(spec, in_rollout_));
    if (!compiled) return findings_.problem(std::move(compiled).error().at(key.where));
    for (auto& entry : *compiled) {
      if (definition_.flags.contains(entry.key())) {
        findings_.problem(key.error("flag.duplicate_key", fmt::format("the flag '{}' is defined twice",
                                                                      std::string_view(entry.key()))));
        continue;
      }
      json::Object metadata = definition_.metadata;
      // A rollout's users keep their side whatever the rest of the file is switched to.
      if (metadata.contains(kFractionalSwitch)) metadata[kFractionalSwitch] = 2;
      if (!metadata.empty()) entry.value().get_object()["metadata"] = std::move(metadata);
      definition_.flags.insert(entry);
    }
    if (spec.stepped && spec.steps.size() > 1 && spec.initial_percentage < 100) {
      findings_.warning(root_.member("feature_flags").key_of(spec.key),
                        fmt::format("flag '{}': without a rollout nobody walks the steps: it stays at {} %",
                                    spec.key, spec.initial_percentage));
    }
  }

  const Source& source_;
  const Limits& limits_;
  Definition definition_;
  Findings findings_;
  const Place root_;
  const json::Object* evaluators_ = nullptr;
  bool in_rollout_ = false;
  std::size_t reference_nodes_left_ = kReferenceNodesMax;
};

}  // namespace

bool Definition::only_rules_at_fault() const {
  return std::all_of(problems.begin(), problems.end(),
                     [](const Error& error) { return error.code == "flag.targeting"; });
}

Result<Definition> parse_definition(std::string_view text, std::string file, const Limits& limits) {
  PL_TRY(const Source source, Source::read(text, std::move(file), limits));
  return Reader(source, limits).read();
}

}  // namespace poundlock::flag
