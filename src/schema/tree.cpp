#include "schema/tree.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace poundlock::schema {
namespace {

bool is_node(const Message* message) {
  return message->descriptor == &pg_query__node__descriptor;
}

template <typename T>
const T& member(const Message* message, unsigned offset) {
  return *reinterpret_cast<const T*>(reinterpret_cast<const char*>(message) + offset);
}

}  // namespace

const Message* content(const PgQuery__Node* node) {
  // Every member of the union is a pointer to a message: the first stands for all.
  return node == nullptr || node->node_case == PG_QUERY__NODE__NODE__NOT_SET
             ? nullptr
             : reinterpret_cast<const Message*>(node->alias);
}

void each_child(const Message* message, const std::function<void(const Message*)>& visit) {
  const auto give = [&](const Message* child) {
    if (child == nullptr) return;
    if (!is_node(child)) return visit(child);
    if (const Message* inner = content(reinterpret_cast<const PgQuery__Node*>(child))) visit(inner);
  };
  const ProtobufCMessageDescriptor& type = *message->descriptor;
  for (unsigned i = 0; i < type.n_fields; ++i) {
    const ProtobufCFieldDescriptor& field = type.fields[i];
    if (field.type != PROTOBUF_C_TYPE_MESSAGE) continue;
    if (field.label == PROTOBUF_C_LABEL_REPEATED) {
      const auto count = member<std::size_t>(message, field.quantifier_offset);
      const auto* items = member<const Message* const*>(message, field.offset);
      for (std::size_t item = 0; item < count; ++item) give(items[item]);
      continue;
    }
    // The members of a oneof share their bytes: only the one that the case names is a message.
    const bool absent = (field.flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 &&
                        member<std::uint32_t>(message, field.quantifier_offset) != field.id;
    if (!absent) give(member<const Message*>(message, field.offset));
  }
}

// Without recursion, as depth(): a tree may be tens of thousands of levels deep, and a thread's stack need
// not hold them.
void walk(const Message* message, const std::function<bool(const Message*)>& visit) {
  if (message != nullptr && is_node(message))
    message = content(reinterpret_cast<const PgQuery__Node*>(message));
  if (message == nullptr) return;
  std::vector<const Message*> open{message};  // the next one last
  while (!open.empty()) {
    const Message* next = open.back();
    open.pop_back();
    if (!visit(next)) continue;
    const auto first = static_cast<std::ptrdiff_t>(open.size());
    each_child(next, [&](const Message* child) { open.push_back(child); });
    std::reverse(open.begin() + first, open.end());
  }
}

int depth(const Message* message) {
  int deepest = 0;
  std::vector<std::pair<const Message*, int>> open{{message, 1}};
  while (!open.empty()) {
    const auto [next, level] = open.back();
    open.pop_back();
    deepest = std::max(deepest, level);
    each_child(next, [&, below = level + 1](const Message* child) { open.emplace_back(child, below); });
  }
  return deepest;
}

QualifiedName name_of(const PgQuery__RangeVar& relation) {
  return {std::string(text_of(relation.schemaname)), std::string(text_of(relation.relname))};
}

std::vector<std::string> strings(PgQuery__Node* const* nodes, std::size_t count) {
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < count; ++i) {
    const auto* string = as<PgQuery__String>(nodes[i]);
    texts.emplace_back(string == nullptr ? "" : text_of(string->sval));
  }
  return texts;
}

QualifiedName name_of(PgQuery__Node* const* nodes, std::size_t count) {
  auto parts = strings(nodes, count);
  if (parts.empty()) return {};
  if (parts.size() == 1) return {"", std::move(parts[0])};
  return {std::move(parts[parts.size() - 2]), std::move(parts.back())};
}

}  // namespace poundlock::schema
