// One SQL expression on a row, as in a rollout's `up` and `down`: checked, and rewritten by the places that
// its syntax tree gives, never by looking for text.
// Pure functions; thread-safe. Errors are kUser; `where` counts lines and columns inside the expression.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "schema/identifier.h"
#include "schema/scan.h"

namespace poundlock::schema {

inline constexpr std::size_t kExpressionBytesMax = 16 * 1024;

struct ExpressionColumn {
  std::string qualifier;  // "orders" of orders.status; "" when bare
  std::string name;
  ByteRange range;  // the whole reference, in Expression::text
};

struct Expression {
  std::string text;                       // without space around it
  std::vector<ExpressionColumn> columns;  // each occurrence, in order
  std::vector<std::string> column_names;  // each name once, in order
  std::vector<QualifiedName> functions;   // called by name: the caller looks up whether they are immutable
  std::vector<std::string> types;         // cast to, rendered; for USAGE checks
};

// Codes: "schema.syntax"; "schema.not_one_expression" (two expressions, a FROM, an alias, a comment, open
// parentheses that would swallow what follows); "schema.not_row_expression" (subquery, aggregate, window
// function, set-returning function, parameter, *, DEFAULT); "schema.not_deterministic" (random(), now(),
// current_user, nextval()...: trigger and backfill would compute different values for the same row).
Result<Expression> parse_expression(std::string_view text);

// The expression with each column reference replaced by what `replace` answers; nullopt leaves it.
using ReplaceColumn = std::function<std::optional<std::string>(const ExpressionColumn&)>;
std::string rename_columns(const Expression& expression, const ReplaceColumn& replace);
Result<std::string> rename_columns(std::string_view expression, const ReplaceColumn& replace);

// legacy_status || 'x' with "NEW" -> NEW."legacy_status" || 'x'. `qualifier` is SQL, placed as it is; a
// qualifier that the reference had is replaced.
std::string qualify_columns(const Expression& expression, std::string_view qualifier);
Result<std::string> qualify_columns(std::string_view expression, std::string_view qualifier);

}  // namespace poundlock::schema
