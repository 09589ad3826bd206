#include "flag/attributes.h"

namespace poundlock::flag {

Value JsonAttributes::find(std::string_view key, Scratch& scratch) const {
  const boost::json::value* value = object_->if_contains(key);
  return value == nullptr ? Value{} : from_json(*value, scratch);
}

Value JsonAttributes::all(Scratch& scratch) const {
  if (const Value* made = scratch.made_of(object_)) return *made;
  std::span<Member> members = scratch.make<Member>(object_->size());
  auto entry = object_->begin();
  for (std::size_t i = 0; i < members.size(); ++i, ++entry) {
    members[i] = {{entry->key().data(), entry->key().size()}, from_json(entry->value(), scratch)};
  }
  return scratch.remember(object_, Value::object(members));
}

}  // namespace poundlock::flag
