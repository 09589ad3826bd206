#include "lint/rule.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

std::vector<Match> check(const Context& context) {
  std::vector<Match> matches;
  each_action(context, [&](const Action& action) {
    const auto* constraint = schema::as<PgQuery__Constraint>(action.command.def);
    if (action.command.subtype != PG_QUERY__ALTER_TABLE_TYPE__AT_AddConstraint || constraint == nullptr ||
        constraint->contype != PG_QUERY__CONSTR_TYPE__CONSTR_EXCLUSION)
      return;
    matches.push_back({.range = action.range,
                       .detail = table_text(action.table),
                       .rewrite = "",
                       .lesser = context.is_small(action.table)});
  });
  return matches;
}

}  // namespace

const Rule& add_exclude() {
  static const Rule rule{
      .id = "add_exclude",
      .title = "an exclusion constraint on a table that is in use",
      .reason =
          "Its index is built and every pair of rows compared under ACCESS EXCLUSIVE, and PostgreSQL has "
          "neither NOT VALID nor USING INDEX for it: nobody reads or writes the table meanwhile.",
      .fix =
          "Make a new table with the constraint, keep it in step by a trigger, fill it in batches and move "
          "readers over. Or let a trigger check new rows.",
      .bad = {"ALTER TABLE bookings ADD CONSTRAINT no_overlap EXCLUDE USING gist (during WITH &&);"},
      .good = {"CREATE TABLE rooms (during tstzrange, EXCLUDE USING gist (during WITH &&));",
               "CREATE TABLE rooms (during tstzrange);\n"
               "ALTER TABLE rooms ADD CONSTRAINT no_overlap EXCLUDE USING gist (during WITH &&);"},
      .check = check};
  return rule;
}

}  // namespace poundlock::lint
