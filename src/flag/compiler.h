// From a parsed flag document to a Snapshot. Used by Snapshot::compile only.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "flag/snapshot.h"

namespace poundlock::flag {

// Flags by key: open addressing, at most half full, a hash that reads eight bytes at a time. A look-up is
// a good part of an evaluation, and std::unordered_map takes three times as long. Duplicate keys cannot
// occur: the parser refuses them.
class KeyTable {
 public:
  void build(const std::deque<CompiledFlag>& flags);
  const CompiledFlag* find(std::string_view key) const;

 private:
  static std::uint64_t hash(std::string_view key);
  std::vector<const CompiledFlag*> slots_;
};

// What a snapshot's views refer to. Deques: their elements never move.
struct Snapshot::Storage {
  std::deque<CompiledFlag> flags;
  std::deque<std::vector<Value>> lists;
  std::deque<std::vector<Member>> objects;
  KeyTable by_key;
};

// What all references of a document together may bring in.
inline constexpr std::size_t kReferenceNodesMax = 1'000'000;

class Compiler {
 public:
  explicit Compiler(const Limits& limits) : limits_(limits) {}
  Result<std::shared_ptr<const Snapshot>> compile(const boost::json::object& document);

 private:
  Status read_metadata(const boost::json::object& document);
  Status add_flag(std::string_view key, const boost::json::value& source,
                  const boost::json::object* evaluators);
  Status add_variants(CompiledFlag& flag, const boost::json::object& variants);
  Status set_fallback(CompiledFlag& flag);
  void compile_rule(CompiledFlag& flag, const boost::json::object* evaluators);

  std::shared_ptr<Snapshot> snapshot_;
  boost::json::object shared_metadata_;  // the document's, as each flag gets it
  Limits limits_;
  std::size_t reference_nodes_left_ = kReferenceNodesMax;
};

// Compiles one rule. `rule` must outlive the storage's snapshot: literals refer into it.
class RuleCompiler {
 public:
  // `fractional_version` is 2 or 3.
  RuleCompiler(Snapshot::Storage& storage, const Limits& limits, int fractional_version)
      : storage_(&storage), limits_(limits), fractional_version_(fractional_version) {}
  Result<Node> compile(const boost::json::value& rule, std::size_t depth = 0);

 private:
  Result<Node> compile_list(const boost::json::array& items, std::size_t depth);
  Result<Node> compile_call(const boost::json::object& call, std::size_t depth);
  Value literal(const boost::json::value& json, std::size_t depth);

  Snapshot::Storage* storage_;
  Limits limits_;
  int fractional_version_;
  std::size_t nodes_ = 0;
};

// Replaces {"$ref": name} by $evaluators.name. `nodes_left` is what all references of a document together
// may still bring in: a short document could otherwise unfold to gigabytes. Errors: an unknown name, a
// $ref inside an evaluator, nothing left.
Status replace_references(boost::json::value& rule, const boost::json::object* evaluators,
                          std::size_t depth_max, std::size_t& nodes_left);

// Sets needs_time, and reports variants that a rule names and the flag lacks.
void inspect_rule(CompiledFlag& flag, std::vector<Error>& problems);

}  // namespace poundlock::flag
