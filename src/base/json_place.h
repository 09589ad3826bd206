// Where a value stands in a JSON text that json::parse() accepted. Nothing is remembered while parsing:
// a document without faults pays nothing, and for a fault the text is walked once more. Pure, thread-safe.
#pragma once

#include <cstddef>
#include <string_view>

namespace poundlock::json {

// A path, innermost step first, on the stack of whoever walks a value: a member's key, or an item's index
// where `is_item`. The outermost step has no parent and is the document itself.
struct Place {
  const Place* parent = nullptr;
  std::string_view key = {};
  std::size_t index = 0;
  bool is_item = false;
  bool at_key = false;  // means the key itself, not what stands behind it

  Place member(std::string_view name) const { return {this, name, 0, false, false}; }
  Place item(std::size_t number) const { return {this, {}, number, true, false}; }
  Place key_of(std::string_view name) const { return {this, name, 0, false, true}; }
};

// The byte offset of what `place` names; where the text has no such value, of the nearest value around it.
std::size_t offset_of(std::string_view text, const Place& place);

}  // namespace poundlock::json
