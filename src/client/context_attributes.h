// The public Context as the evaluator reads it: a call's, laid over the client's own. Borrows both; no copy,
// and for all but lists no memory.
#pragma once

#include <optional>
#include <string>

#include "flag/attributes.h"
#include "poundlock/context.h"

namespace poundlock::client {

class ContextAttributes final : public flag::Attributes {
 public:
  explicit ContextAttributes(const Context& context, const Context* base = nullptr)
      : context_(&context), base_(base) {}
  flag::Value find(std::string_view key, flag::Scratch& scratch) const override;
  flag::Value all(flag::Scratch& scratch) const override;

 private:
  const Context* context_;
  const Context* base_;  // may be null
};

// The attribute `context` as one short name for reports; a list's names joined by commas.
std::string context_label(const Context& context, const Context* base = nullptr);
// The same without a copy, where it is one name or absent; nothing where it is a list.
std::optional<std::string_view> context_name(const Context& context, const Context* base = nullptr);

// `over` laid over `base`: an attribute that both have is taken from `over`.
Context merged(const Context& over, const Context& base);

}  // namespace poundlock::client
