// Whether two CHECKs say the same, though PostgreSQL prints each in its own words: IN as = ANY (ARRAY[...]),
// BETWEEN as two comparisons, with casts and parentheses that nobody wrote. Casts are passed over.
// Source: PostgreSQL's ruleutils.c, tried on a server of 15. Pure; thread-safe.
#pragma once

#include <string>
#include <string_view>

struct PgQuery__Constraint;
struct PgQuery__Node;

namespace poundlock::migration {

enum class Alike { kYes, kNo, kUnknown };

// `definition`: what pg_get_constraintdef() prints of the constraint that is there. CHECK and FOREIGN KEY.
Alike same_constraint(const PgQuery__Constraint& wanted, std::string_view definition);

// A condition on pg_constraint k: is it a CHECK over the columns of `wanted`, of its words so far as it is
// sure how PostgreSQL prints them? What is not sure matches anything: a step must never miss what it made.
// `table`: its name without the schema, which stands for a whole row.
std::string check_condition(const PgQuery__Constraint& wanted, std::string_view table);

// A condition: is what the SQL expression `printed` gives, a text of pg_get_expr() or its like, the
// expression in PostgreSQL's words, so far as it is sure how it prints them? What is not sure matches
// anything.
std::string printed_as(std::string_view printed, const PgQuery__Node* wanted);

}  // namespace poundlock::migration
