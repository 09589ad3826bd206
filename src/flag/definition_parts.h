// What the parts of the definition parser share. Only definition*.cpp include this.
#pragma once

#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>

#include "base/json_place.h"
#include "base/yaml.h"
#include "flag/definition.h"

namespace poundlock::flag::parts {

using json::Place;

// The file as one JSON value, whatever it was written in, and where each of its values stands.
class Source {
 public:
  static Result<Source> read(std::string_view text, std::string file, const Limits& limits);

  const json::Value& root() const { return root_; }
  SourcePosition where(const Place& place) const;
  // The file as YAML; JSON is read once more, which only a JSON file with feature_flags needs.
  Result<yaml::Node> as_yaml(const Limits& limits) const;

 private:
  std::string_view text_;
  std::string file_;
  json::Value root_;
  std::optional<yaml::Node> yaml_;
};

// Collects what is found, up to a limit: a file of faults must not become gigabytes of messages.
class Findings {
 public:
  Findings(const Source& source, Definition& definition) : source_(source), definition_(definition) {}
  void problem(const char* code, const Place& place, std::string message, std::string hint = {});
  void problem(Error error);
  void warning(const Place& place, std::string_view message);
  std::size_t problems() const { return found_; }  // those beyond the limit included

 private:
  const Source& source_;
  Definition& definition_;
  std::size_t found_ = 0;
  std::set<std::string> warned_;
};

// The rule of one flag, or one of $evaluators; `subject` is what messages call it.
struct Rule {
  const json::Value& json;
  const Place& place;
  std::string subject;
  const json::Object* evaluators = nullptr;  // null in an evaluator, where no $ref may stand
  const json::Object* variants = nullptr;    // null in an evaluator
};
void check_rule(const Rule& rule, const Limits& limits, Findings& findings);
void check_portability(const Rule& rule, const Limits& limits, Findings& findings);

// The switch of `fractional` in metadata that stands at `place`.
void check_fractional_switch(const json::Object& metadata, const Place& place, Findings& findings);

// One entry of `flags`. Answers it self-contained; nullopt where it is beyond repair. `reference_nodes_left`
// as in replace_references().
struct Flag {
  std::string_view key;
  const json::Value& json;
  const Place& place;
  const Place& key_place;
  const json::Object* evaluators;
  const json::Object& metadata;  // the flag set's
};
std::optional<json::Object> read_flag(const Flag& flag, const Limits& limits, Findings& findings,
                                      std::size_t& reference_nodes_left);

}  // namespace poundlock::flag::parts
