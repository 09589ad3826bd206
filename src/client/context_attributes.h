// The public Context as the evaluator reads it. Borrows the context; no copy, and for all but lists no
// memory.
#pragma once

#include <optional>
#include <string>

#include "flag/attributes.h"
#include "poundlock/context.h"

namespace poundlock::client {

class ContextAttributes final : public flag::Attributes {
 public:
  explicit ContextAttributes(const Context& context) : context_(&context) {}
  flag::Value find(std::string_view key, flag::Scratch& scratch) const override;
  flag::Value all(flag::Scratch& scratch) const override;

 private:
  const Context* context_;
};

// The attribute `context` as one short name for reports; a list's names joined by commas.
std::string context_label(const Context& context);
// The same without a copy, where it is one name or absent; nothing where it is a list.
std::optional<std::string_view> context_name(const Context& context);

}  // namespace poundlock::client
