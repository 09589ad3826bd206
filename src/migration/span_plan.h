// How a script's taking off and putting back of a protection is planned: in one transaction as it was written
// where all of it is quick, with the new key or index built first where it replaces one, else by a person.
// Pure; thread-safe.
#pragma once

#include <functional>
#include <map>
#include <optional>

#include "migration/safe_form.h"
#include "migration/taken_off.h"

namespace poundlock::migration {

struct SpanStep {
  std::optional<SafeForm> form;  // in place of the statement's own
  bool joined = false;           // commits with the statement before it
  bool left = false;             // the decision of an earlier statement holds for it, too
  bool done = false;             // a later statement's form does it
};

// The statement's own form, with what the rules say of it; `names` as they are before it.
using FormOf = std::function<SafeForm(const schema::Statement&, const Names&, std::size_t)>;

// By index. `accepted`: has the statement a rule that a comment takes responsibility for?
std::map<std::size_t, SpanStep> plan_span(const schema::Script& script, const Span& span, const Names& names,
                                          const FormOf& form_of,
                                          const std::function<bool(std::size_t)>& accepted);

// The new key or unique constraint of `on`, one ADD CONSTRAINT, is built beside `old` and takes its place;
// `names` as they are without it. safe_replace.cpp.
SafeForm replaced_key(const schema::Statement& on, const Names& names, const schema::Constraint& old);
// The same of an index; `table` is the one that has it.
SafeForm replaced_index(const schema::Statement& on, const Names& names, const schema::Table& table,
                        const schema::Index& old);

}  // namespace poundlock::migration
