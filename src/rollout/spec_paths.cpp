// paths: of a rollout file: the application's statements, both ways.
#include <fmt/format.h>

#include <charconv>
#include <map>

#include "rollout/spec_parts.h"
#include "schema/sql.h"

namespace poundlock::rollout::parts {
namespace {

using schema::StatementKind;
using yaml::Fields;
using yaml::Node;

constexpr std::size_t kPathsMax = 200;

// libpg_query tells where in the statement it stopped; where the statement stands as it is in the file,
// that is a place in the file too.
Error in_file(Error error, const Node& node, std::string_view what) {
  SourcePosition where = node.where;
  const bool as_written = !node.quoted && node.scalar.find('\n') == std::string::npos;
  if (as_written && error.where && error.where->line == 1) where.column += error.where->column - 1;
  error.message = fmt::format("{}: {}", what, error.message);
  error.where = std::move(where);
  error.code = "spec.sql";
  return error;
}

struct Sql {
  schema::Statement statement;
  int parameters = 0;  // the largest $n
};

// Parameters are read off the tokens: a $1 inside a string is text.
int count_parameters(const schema::Statement& statement) {
  int largest = 0;
  for (const schema::Token& token : statement.tokens()) {
    const std::string_view word = statement.slice(token.range);
    if (word.size() < 2 || word[0] != '$') continue;
    int number = 0;
    const auto [end, code] = std::from_chars(word.data() + 1, word.data() + word.size(), number);
    if (code == std::errc{} && end == word.data() + word.size()) largest = std::max(largest, number);
  }
  return largest;
}

Result<Sql> statement(const Node& node, std::string_view what) {
  PL_TRY(const std::string sql, text(node, what, schema::kStatementBytesMax));
  auto parsed = schema::parse_statement(sql);
  if (!parsed) return fail(in_file(std::move(parsed).error(), node, what));
  const int parameters = count_parameters(*parsed);
  return Sql{std::move(*parsed), parameters};
}

bool reads(StatementKind kind) {
  return kind == StatementKind::kSelect;
}

Status check_kind(const Node& node, std::string_view what, StatementKind kind) {
  switch (kind) {
    case StatementKind::kSelect:
    case StatementKind::kInsert:
    case StatementKind::kUpdate:
    case StatementKind::kDelete:
    case StatementKind::kMerge: return {};
    default: break;
  }
  return fail(
      node.error("spec.sql", fmt::format("{}: expected SELECT, INSERT, UPDATE, DELETE or MERGE, found {}",
                                         what, schema::to_string(kind))));
}

Status check_sides(const Node& legacy_node, const Sql& legacy, const Node& new_node, const Sql& fresh) {
  PL_CHECK(check_kind(legacy_node, "legacy", legacy.statement.kind()));
  PL_CHECK(check_kind(new_node, "new", fresh.statement.kind()));
  if (reads(legacy.statement.kind()) != reads(fresh.statement.kind())) {
    return fail(new_node.error(
        "spec.sides",
        fmt::format("legacy is {} and new is {}: one reads, the other writes",
                    schema::to_string(legacy.statement.kind()), schema::to_string(fresh.statement.kind()))));
  }
  if (legacy.parameters != fresh.parameters) {
    return fail(new_node
                    .error("spec.parameters", fmt::format("new has {} parameters, legacy has {}",
                                                          fresh.parameters, legacy.parameters))
                    .with_hint("both sides get the same parameters: number them alike"));
  }
  return {};
}

Result<PathSpec> one_path(const Node& node) {
  PL_TRY(Fields fields, mapping(node, "path", {"name", "legacy", "new", "sample"}));
  PathSpec path;
  path.where = node.where;
  PL_TRY(const Node* name, fields.required("name"));
  PL_TRY(path.name, plain_name(*name, "name"));
  PL_TRY(const Node* legacy_node, fields.required("legacy"));
  PL_TRY(const Node* new_node, fields.required("new"));
  PL_TRY(const Sql legacy, statement(*legacy_node, "legacy"));
  PL_TRY(const Sql fresh, statement(*new_node, "new"));
  PL_CHECK(check_sides(*legacy_node, legacy, *new_node, fresh));
  path.legacy = legacy.statement.text();
  path.fresh = fresh.statement.text();
  if (const Node* sample_node = fields.optional("sample")) {
    PL_TRY(const Sql sample, statement(*sample_node, "sample"));
    if (!reads(sample.statement.kind()) || sample.parameters != 0) {
      return fail(
          sample_node->error("spec.sql", "sample: expected a SELECT without parameters")
              .with_hint("it yields rows of parameters for both sides: SELECT status FROM orders LIMIT 100"));
    }
    path.sample = sample.statement.text();
  }
  return path;
}

}  // namespace

Result<std::vector<PathSpec>> paths(const Node& node) {
  PL_CHECK(check_list(node, "paths", 0, kPathsMax, "{name: by_id, legacy: SELECT ..., new: SELECT ...}"));
  std::vector<PathSpec> paths;
  std::map<std::string, SourcePosition> seen;
  for (const Node& item : node.items) {
    PL_TRY(PathSpec path, one_path(item));
    const auto [first, added] = seen.emplace(path.name, path.where);
    if (!added) {
      return fail(item.error("spec.duplicate_path",
                             fmt::format("a second path named '{}'; the first stands at line {}", path.name,
                                         first->second.line))
                      .with_hint("each path has a name of its own: gates and breakers count by it"));
    }
    paths.push_back(std::move(path));
  }
  return paths;
}

}  // namespace poundlock::rollout::parts
