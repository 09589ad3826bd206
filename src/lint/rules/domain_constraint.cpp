#include <fmt/format.h>

#include <algorithm>

#include "lint/rule.h"
#include "lint/script_facts.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

std::string rewritten(const schema::Statement& statement, const PgQuery__AlterDomainStmt& alter,
                      const PgQuery__Constraint& constraint) {
  const std::string_view name = schema::text_of(constraint.conname);
  if (name.empty() || constraint.contype != PG_QUERY__CONSTR_TYPE__CONSTR_CHECK) return "";
  return fmt::format("{} NOT VALID;\nALTER DOMAIN {} VALIDATE CONSTRAINT {};", statement.text(),
                     schema::name_of(alter.type_name, alter.n_type_name).to_sql(),
                     schema::quote_identifier(name));
}

std::vector<Match> of_new_domain(const Context& context, const PgQuery__CreateDomainStmt& create) {
  const schema::QualifiedName name = schema::name_of(create.domainname, create.n_domainname);
  if (!context.facts->makes_domain(name)) return {};
  return {{context.statement.words({"DOMAIN"}), "domain " + name.to_sql(), "", true}};
}

// Has the script itself added it NOT VALID before, as it is advised to?
bool adds_not_valid(const Context& context, std::string_view name) {
  return std::ranges::any_of(context.earlier(), [&](const schema::Statement& statement) {
    const auto* alter = schema::as<PgQuery__AlterDomainStmt>(statement.node());
    const auto* constraint = alter == nullptr ? nullptr : schema::as<PgQuery__Constraint>(alter->def);
    return constraint != nullptr && constraint->skip_validation &&
           schema::text_of(constraint->conname) == name;
  });
}

std::vector<Match> check(const Context& context) {
  const schema::Statement& statement = context.statement;
  if (const auto* create = schema::as<PgQuery__CreateDomainStmt>(statement.node()))
    return of_new_domain(context, *create);
  const auto* alter = schema::as<PgQuery__AlterDomainStmt>(statement.node());
  if (alter == nullptr) return {};
  const schema::QualifiedName name = schema::name_of(alter->type_name, alter->n_type_name);
  if (context.facts->makes_type(name, context.index())) return {};
  const schema::ByteRange all{0, statement.text().size()};
  const std::string what = "domain " + name.to_sql();
  // AlterDomainStmt.subtype: O set not null, N drop not null, C add, X drop, V validate a constraint.
  switch (schema::text_of(alter->subtype).empty() ? ' ' : alter->subtype[0]) {
    case 'C': {
      const auto* constraint = schema::as<PgQuery__Constraint>(alter->def);
      if (constraint == nullptr) return {};
      if (constraint->skip_validation) return {};
      return {{all, what, rewritten(statement, *alter, *constraint)}};
    }
    case 'O': return {{all, what, ""}};
    case 'V':
      if (adds_not_valid(context, schema::text_of(alter->name))) return {};
      return {{all, what + ": the tables of its columns are locked with SHARE and read", "", true}};
    case 'N':
    case 'X': return {{all, what + " gives up a condition", "", true}};
    default: return {};
  }
}

}  // namespace

const Rule& domain_constraint() {
  static const Rule rule{
      .id = "domain_constraint",
      .title = "a condition of a domain is added or given up",
      .reason =
          "A new condition reads every table that has a column of the domain, all of them locked with SHARE "
          "until the last is read: no write anywhere. And a column of a domain with conditions cannot be "
          "added without a rewrite of its table.",
      .fix =
          "Add it NOT VALID, which reads nothing, and VALIDATE it while few write: that too locks the tables "
          "with SHARE, one wait at a time. Better: put CHECKs on the columns instead, which validate while "
          "everybody works. To give one up, let a person approve it.",
      .bad = {"ALTER DOMAIN amount ADD CONSTRAINT positive CHECK (VALUE > 0);",
              "ALTER DOMAIN amount SET NOT NULL;", "ALTER DOMAIN amount DROP CONSTRAINT amount_check;",
              "ALTER DOMAIN amount VALIDATE CONSTRAINT positive;",
              "CREATE DOMAIN percent AS numeric CHECK (VALUE BETWEEN 0 AND 100);"},
      .good = {"ALTER DOMAIN amount ADD CONSTRAINT positive CHECK (VALUE > 0) NOT VALID;",
               "CREATE DOMAIN label AS text;", "ALTER DOMAIN amount SET DEFAULT 0;"},
      .check = check};
  return rule;
}

}  // namespace poundlock::lint
