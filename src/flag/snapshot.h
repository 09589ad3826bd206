// A flag document, compiled once and never changed: what evaluations read. Documents are flagd's JSON
// ({"flags", "$evaluators"?, "metadata"?}); metadata.epoch and metadata.revision order them. Immutable
// and thread-safe; held by shared_ptr because every thread keeps its own copy until it has seen a newer
// one. What an evaluation answers refers into the snapshot.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "flag/attributes.h"
#include "flag/operator.h"
#include "flag/report.h"

namespace poundlock::flag {

// Publisher and reader hold the same limits, so that no reader refuses what was accepted.
struct Limits {
  std::size_t bytes_max = 4 << 20;
  std::size_t flags_max = 10'000;
  std::size_t variants_max = 256;       // of one flag
  std::size_t key_length_max = 256;     // of flags and variants
  std::size_t rule_nodes_max = 20'000;  // of one flag, after $ref is replaced
  std::size_t rule_depth_max = 64;
};

enum class VariantType : std::uint8_t { kBool, kString, kNumber, kObject };
const char* to_string(VariantType type);  // "boolean", "string", "number", "object"
std::optional<VariantType> variant_type(const boost::json::value& json);  // nullopt: null is no variant

enum class Reason : std::uint8_t { kStatic, kTargetingMatch, kDefault, kDisabled, kError };
const char* to_string(Reason reason);  // OpenFeature's: "STATIC", "TARGETING_MATCH", ...

struct Variant {
  std::string name;
  Value value;  // arrays and objects are null here: read `json`
  boost::json::value json;
};

struct CompiledFlag {
  std::string key;
  bool enabled = true;
  VariantType type = VariantType::kBool;
  std::vector<Variant> variants;
  bool has_backslash = false;         // in a variant's name
  const Variant* fallback = nullptr;  // defaultVariant; null where it is absent, null or ""
  bool has_rule = false;
  bool needs_time = false;    // the rule may read $flagd.timestamp
  std::int16_t branches = 0;  // of the rule's outermost `if`, its else included; 0 where it is none
  Node rule;
  std::string rule_error;        // not empty: the rule does not compile; every evaluation is PARSE_ERROR
  boost::json::object metadata;  // the document's, overlaid by the flag's own
  boost::json::object source;    // the flag as it was written, with every $ref replaced

  const Variant* find_variant(std::string_view name) const;
  // Everybody gets `variant`, whatever the context.
  bool is_constant(std::string_view variant) const {
    return enabled && !has_rule && fallback != nullptr && fallback->name == variant;
  }
};

struct Resolution {
  Reason reason = Reason::kError;
  ErrorCode error = ErrorCode::kNone;
  std::int16_t branch = -1;            // which of the rule's `branches` answered; -1: none, or no `if`
  const char* error_text = "";         // lives as long as the snapshot
  const Variant* variant = nullptr;    // null: the caller's own default holds
  const CompiledFlag* flag = nullptr;  // null: no such flag
};

class Snapshot {
 public:
  struct Storage;  // compiler.h
  ~Snapshot();
  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;

  // Refuses (kUser) what is no valid document or over a limit: flag.size, flag.document, flag.state,
  // flag.variants, flag.default, flag.key, json.*. A rule that does not compile makes only its own flag
  // answer PARSE_ERROR, as flagd does; publishers refuse it too, see problems().
  static Result<std::shared_ptr<const Snapshot>> compile(std::string_view document, std::string file,
                                                         const Limits& limits = {});

  Revision revision() const { return revision_; }
  const CompiledFlag* find(std::string_view key) const;
  const std::vector<const CompiledFlag*>& flags() const { return ordered_; }  // in the document's order
  const boost::json::object& metadata() const { return metadata_; }

  // Takes no lock; allocates only where a rule builds more than two kilobytes of text or lists.
  // `now_s`: Unix seconds for $flagd.timestamp. A rule that would take more than kStepsMax steps answers
  // GENERAL. `steps_left`, where given, is what several evaluations share: each takes its steps from it, and
  // when it is used up (0) only rules that can not take long are answered.
  Resolution evaluate(std::string_view key, const Attributes& attributes, std::int64_t now_s) const;
  Resolution evaluate(const CompiledFlag& flag, const Attributes& attributes, std::int64_t now_s,
                      std::int64_t* steps_left = nullptr) const;

  // What a publisher must not accept: rules that do not compile, and rules that name variants that do
  // not exist. parse_definition() says the same with lines, and warns of rules that are not portable.
  const std::vector<Error>& problems() const { return problems_; }

 private:
  friend class Compiler;
  Snapshot();

  std::unique_ptr<Storage> storage_;
  std::vector<const CompiledFlag*> ordered_;
  Revision revision_;
  boost::json::object metadata_;
  std::vector<Error> problems_;
};

// A resolution of the wrong type becomes TYPE_MISMATCH without a variant.
Resolution expect_type(Resolution resolution, VariantType wanted);

}  // namespace poundlock::flag
