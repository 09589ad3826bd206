// Two environments side by side: what each is like, and in what they differ. `poundlock parity` shows all of
// it; the gate counts what touches its rollout. Values; read_side() uses one session, the rest is pure.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "flag/definition.h"
#include "ports/database.h"
#include "schema/catalog.h"

namespace poundlock::engine {

// Something of a whole database: its version, a setting, an entry of a migration tool's history.
struct Fact {
  std::string kind;    // "server version", "setting", "role setting", "migration"
  std::string object;  // "TimeZone"; a role's setting: "search_path of app"
  std::string value;
  std::string role;        // of a role's setting, quoted
  std::string place = {};  // of a migration: its history's table, quoted
};

struct Side {
  schema::Catalog catalog;  // with its parts
  std::string identity;     // of the database on the running server: two sides may be one and the same
  std::vector<Fact> facts;
  std::set<std::string> hidden;    // settings that this role may not read: they are not compared
  std::set<std::string> unread;    // tools whose history this role may not read: none is compared
  std::vector<std::string> notes;  // what could not be read, in plain words
};

// What this side's own roles are called on the other one. Unquoted.
using RoleNames = std::map<std::string, std::string>;

// Gives owners, grantees, members, policies and role settings the other side's names. A role that already
// bears a name which another one gets stays apart, as "NAME (unmapped)": two that fell into one would hide
// what differs between them.
void rename_roles(Side& side, const RoleNames& names);

using LoadCatalog = std::function<Result<schema::Catalog>(ports::Session&)>;

// In a transaction that reads only, which is over afterwards. `load`: a catalog with its parts.
Result<Side> read_side(ports::Session& session, const LoadCatalog& load);

struct Difference {
  std::string kind;                     // "column", "index", "setting", "flag targeting", ...
  std::string object;                   // "public.orders.status", "orders_pkey on public.orders", "TimeZone"
  std::optional<std::string> from, to;  // nullopt: is not there
  bool blocking = true;                 // false: does not touch the rollout
};

// What a rollout touches. Its partitions, the functions of its triggers, the types of its columns, what
// refers to it and the roles that use it are found in the catalogs.
struct Concern {
  std::vector<schema::QualifiedName> tables;
  std::set<std::string> flags;  // keys
};

// By kind, then by object. An object that only one side has is one difference, not one for each of its parts.
// `concern` nullptr: everything blocks. At most kDifferencesMax; the last then says how many there are.
std::vector<Difference> compare_sides(const Side& from, const Side& to, const Concern* concern);
// Tells of functions that differ in which line they do. White space alone, where it means nothing, blocks
// nothing.
void describe_functions(const schema::Catalog& from, const schema::Catalog& to, std::vector<Difference>& all);
std::vector<Difference> compare_flags(const flag::Definition& from, const flag::Definition& to,
                                      const Concern* concern);
inline constexpr std::size_t kDifferencesMax = 10'000;

std::size_t blocking(const std::vector<Difference>& differences);

// One setting that is compared, and what goes wrong where it differs: docs/how-to/compare-environments.md has
// the same list, held equal by a test.
struct ReviewedSetting {
  std::string_view name;
  std::string_view reason;
  int since = 0;  // the major version that brought it; 0: all
};
std::vector<ReviewedSetting> reviewed_settings();

// Entries of the history tables of Flyway, Liquibase, Alembic, Rails and Django, wherever they are and
// whatever they are called, and of Poundlock's own ledger. A table that may not be read gives a note.
Status read_migrations(ports::Session& session, Side& side);

}  // namespace poundlock::engine
