// YAML with exact positions, read strictly: duplicate keys, aliases, deep nesting, several documents
// and bad UTF-8 are errors with a line and a column. A Node is a plain value and owns its text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace poundlock::yaml {

enum class Kind { kNull, kScalar, kSequence, kMapping };
const char* to_string(Kind kind);  // "nothing", "a value", "a list", "a mapping"

struct Entry;  // of a mapping; complete below, since it holds two nodes

struct Node {
  Kind kind = Kind::kNull;
  std::string scalar;   // text of a scalar, unquoted and unescaped
  bool quoted = false;  // "true" and true differ: only the second is a boolean
  SourcePosition where;
  std::vector<Node> items;     // of a sequence
  std::vector<Entry> entries;  // of a mapping, in file order

  const Node* find(std::string_view key) const;  // nullptr where the mapping lacks it

  // Each names what was expected and what stands there. `what` is the key's name, for the message.
  Result<std::string> as_string(std::string_view what) const;
  Result<std::int64_t> as_int(std::string_view what, std::int64_t min, std::int64_t max) const;
  Result<double> as_double(std::string_view what, double min, double max) const;
  Result<bool> as_bool(std::string_view what) const;
  Error error(std::string code, std::string message) const;  // a user error at this node's place
};

struct Entry {
  Node first;   // the key
  Node second;  // what it is set to
};

struct Limits {
  std::size_t bytes_max = 1 << 20;
  std::size_t depth_max = 32;
  std::size_t nodes_max = 100'000;
};

Result<Node> parse(std::string_view text, std::string file, const Limits& limits = {});

// Reads one mapping key by key; finish() refuses every key that nobody asked for and suggests the
// nearest known one, so that a misspelt setting is never silently ignored.
class Fields {
 public:
  // `what` names the mapping for messages: "rollout", "change_column".
  static Result<Fields> of(const Node& mapping, std::string what);
  const Node* optional(std::string_view key);  // nullptr where absent
  Result<const Node*> required(std::string_view key);
  Status finish() const;
  const Node& node() const { return *mapping_; }

 private:
  const Node* mapping_ = nullptr;
  std::string what_;
  std::vector<std::string> known_;
};

}  // namespace poundlock::yaml
