// The evaluation context as the evaluator sees it: a targeting key and named attributes. The client
// library reads its own Context through this, the server a JSON body, without copying either.
#pragma once

#include <boost/json/object.hpp>
#include <string_view>

#include "flag/scratch.h"
#include "flag/value.h"

namespace poundlock::flag {

// Implementations are read-only and may be shared between threads as far as their source may. What does not
// fit into scratch is left out, and scratch is exhausted then: the evaluation fails.
class Attributes {
 public:
  virtual ~Attributes() = default;
  // Null where there is none. "targetingKey" is an attribute like the others.
  virtual Value find(std::string_view key, Scratch& scratch) const = 0;
  virtual Value all(Scratch& scratch) const = 0;  // the whole context as an object, for {"var": ""}
};

// {"targetingKey": "...", "context": "internal", ...}; borrows the object.
class JsonAttributes final : public Attributes {
 public:
  explicit JsonAttributes(const boost::json::object& object) : object_(&object) {}
  Value find(std::string_view key, Scratch& scratch) const override;
  Value all(Scratch& scratch) const override;

 private:
  const boost::json::object* object_;
};

}  // namespace poundlock::flag
