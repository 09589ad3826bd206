#include "lint/statement_options.h"

#include "schema/scan.h"
#include "schema/tree.h"

namespace poundlock::lint {

using schema::as;

const PgQuery__DefElem* find_option(PgQuery__Node* const* options, std::size_t count, std::string_view name) {
  const PgQuery__DefElem* last = nullptr;
  for (std::size_t i = 0; i < count; ++i) {
    const auto* option = as<PgQuery__DefElem>(options[i]);
    if (option != nullptr && schema::text_of(option->defname) == name) last = option;
  }
  return last;
}

bool option_is_on(const PgQuery__DefElem& option) {
  if (const auto* flag = as<PgQuery__Boolean>(option.arg)) return flag->boolval;
  if (const auto* number = as<PgQuery__Integer>(option.arg)) return number->ival != 0;
  const auto* word = as<PgQuery__String>(option.arg);
  const std::string_view value = word == nullptr ? "" : schema::text_of(word->sval);
  return !schema::equals_ignoring_case(value, "off") && !schema::equals_ignoring_case(value, "false");
}

bool has_option(PgQuery__Node* const* options, std::size_t count, std::string_view name) {
  const PgQuery__DefElem* option = find_option(options, count, name);
  return option != nullptr && option_is_on(*option);
}

}  // namespace poundlock::lint
