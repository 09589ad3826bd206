#include "change/table_sql.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/suggest.h"
#include "change/type_facts.h"

namespace poundlock::change {
namespace {

using schema::force_quote_identifier;
using schema::QualifiedName;
using schema::quote_literal;

// FROM pg_class c of the table, with its schema n.
std::string from_table(const QualifiedName& table) {
  return fmt::format(
      "pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname = "
      "{} AND c.relname = {}",
      quote_literal(table.schema), quote_literal(table.name));
}

std::string exists(const std::string& query) {
  return fmt::format("SELECT EXISTS (SELECT FROM {})", query);
}

std::string index_probe(const QualifiedName& table, std::string_view index, std::string_view condition) {
  return exists(
      fmt::format("{} JOIN pg_catalog.pg_index i ON i.indrelid = c.oid JOIN pg_catalog.pg_class x ON x.oid = "
                  "i.indexrelid AND x.relname = {} WHERE {}",
                  from_table(table), quote_literal(index), condition));
}

std::string suggestion(std::string_view word, const std::vector<std::string>& candidates) {
  const std::string_view near = nearest(word, std::span<const std::string>(candidates));
  return near.empty() ? std::string() : fmt::format("did you mean '{}'?", near);
}

}  // namespace

std::string quoted_table(const QualifiedName& table) {
  return fmt::format("{}.{}", force_quote_identifier(table.schema), force_quote_identifier(table.name));
}

std::string attribute_probe(const QualifiedName& table, std::string_view column, std::string_view condition) {
  return exists(
      fmt::format("{} JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = {} AND NOT "
                  "a.attisdropped WHERE {}",
                  from_table(table), quote_literal(column), condition));
}

std::string column_probe(const QualifiedName& table, std::string_view column, std::string_view type) {
  return attribute_probe(table, column,
                         fmt::format("a.atttypid = pg_catalog.to_regtype({})", quote_literal(type)));
}

std::string column_absent_probe(const QualifiedName& table, std::string_view column) {
  return fmt::format(
      "SELECT NOT EXISTS (SELECT FROM {} JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND "
      "a.attname = {} AND NOT a.attisdropped)",
      from_table(table), quote_literal(column));
}

std::string constraint_probe(const QualifiedName& table, std::string_view name, std::string_view condition) {
  return exists(
      fmt::format("{} JOIN pg_catalog.pg_constraint k ON k.conrelid = c.oid AND k.conname = {} WHERE {}",
                  from_table(table), quote_literal(name), condition));
}

std::string index_ready_probe(const QualifiedName& table, std::string_view index) {
  return index_probe(table, index, "i.indisvalid AND i.indisready AND i.indislive");
}

std::string index_there_probe(const QualifiedName& table, std::string_view index) {
  return index_probe(table, index, "true");
}

std::string index_invalid_probe(const QualifiedName& table, std::string_view index) {
  return index_probe(table, index, "NOT (i.indisvalid AND i.indisready AND i.indislive)");
}

std::string function_absent_probe(std::string_view quoted_name) {
  return fmt::format("SELECT pg_catalog.to_regproc({}) IS NULL", quote_literal(quoted_name));
}

Error in_file(Error error, const yaml::Node& where, std::string_view what) {
  error.message = fmt::format("{}: {}", what, error.message);
  error.where = where.where;
  return error;
}

Result<const schema::Table*> find_table(const schema::Catalog& catalog, const std::string& text,
                                        const yaml::Node& where) {
  auto name = schema::parse_qualified_name(text);
  if (!name) return fail(in_file(std::move(name).error(), where, "table"));
  const schema::Table* table = catalog.table(*name);
  if (table == nullptr) {
    std::vector<std::string> names, homonyms;
    for (const auto& candidate : catalog.tables) {
      names.push_back(name->schema.empty() ? candidate.name : candidate.qualified().to_sql());
      if (name->schema.empty() && candidate.name == name->name)
        homonyms.push_back(candidate.qualified().to_sql());
    }
    if (homonyms.size() > 1) {
      return fail(
          where.error("change.ambiguous_table", fmt::format("several tables are called {}", name->to_sql()))
              .with_hint(fmt::format("write {} or {}", homonyms[0], homonyms[1])));
    }
    const std::string wanted = name->schema.empty() ? name->name : name->to_sql();
    return fail(where
                    .error("change.no_table", fmt::format("there is no table {} in database {}",
                                                          name->to_sql(), catalog.database))
                    .with_hint(suggestion(wanted, names)));
  }
  const std::string shown = table->qualified().to_sql();
  auto refused = [&](std::string_view what, std::string hint) {
    return fail(
        where.error("change.not_a_table", fmt::format("{} is {}", shown, what)).with_hint(std::move(hint)));
  };
  if (table->kind == 'v')
    return refused("a view", "change the table behind it; views follow by CREATE OR REPLACE VIEW");
  if (table->kind == 'm') return refused("a materialized view", "change the tables that it is made from");
  if (table->kind == 'f')
    return refused("a foreign table", "run the rollout in the database that holds the rows");
  if (table->is_partition) return refused("a partition", "name the partitioned table; its partitions follow");
  if (table->inherits) {
    // Columns are added to children too, and a trigger is not: their writers would fail or be lost.
    return refused("part of an inheritance tree",
                   "a trigger on a parent does not see the rows of its children: take the tables apart with "
                   "ALTER TABLE ... NO INHERIT, or make partitions of them");
  }
  if (table->persistence == 't')
    return refused("a temporary table", "only tables that stay can be rolled out");
  return table;
}

Result<const schema::Column*> find_column(const schema::Table& table, const std::string& text,
                                          const yaml::Node& where) {
  // Names in rollout files are usually written as they are; a quoted one is read as SQL reads it.
  std::string name = text;
  if (table.column(name) == nullptr) {
    if (auto parsed = schema::parse_identifier(text)) name = *parsed;
  }
  if (const schema::Column* column = table.column(name)) return column;
  std::vector<std::string> names;
  for (const auto& column : table.columns) names.push_back(column.name);
  return fail(where
                  .error("change.no_column",
                         fmt::format("table {} has no column {}", table.qualified().to_sql(), text))
                  .with_hint(suggestion(name, names)));
}

Result<std::string> new_name(const std::string& text, const yaml::Node& where) {
  std::string name = text;
  if (text.starts_with('"')) {
    auto parsed = schema::parse_identifier(text);
    if (!parsed) return fail(in_file(std::move(parsed).error(), where, "name"));
    name = *parsed;
  }
  if (auto good = schema::check_identifier(name); !good) return fail(in_file(good.error(), where, "name"));
  return name;
}

Status check_column_free(const schema::Table& table, std::string_view name, const yaml::Node& where) {
  static constexpr std::array<std::string_view, 6> kSystem{"ctid", "xmin", "xmax",
                                                           "cmin", "cmax", "tableoid"};
  const bool system = std::find(kSystem.begin(), kSystem.end(), name) != kSystem.end();
  if (!system && table.column(name) == nullptr) return {};
  return fail(
      where
          .error("change.name_taken", fmt::format("table {} already has a {}column {}",
                                                  table.qualified().to_sql(), system ? "system " : "", name))
          .with_hint("choose another name, or drop what an earlier attempt left behind"));
}

Status check_relation_free(const schema::Catalog& catalog, std::string_view schema, std::string_view name,
                           const yaml::Node& where) {
  for (const auto& table : catalog.tables) {
    if (table.schema != schema) continue;
    const bool taken = table.name == name || table.index(name) != nullptr;
    if (!taken) continue;
    return fail(where
                    .error("change.name_taken", fmt::format("schema {} already has the {} {}", schema,
                                                            table.name == name ? "table" : "index", name))
                    .with_hint("choose another name, or drop the index that an earlier attempt left behind"));
  }
  return {};
}

namespace {

// What ADD COLUMN checks row by row, which makes it rewrite the table: also a domain over such a domain.
bool is_constrained(const schema::Catalog& catalog, const schema::Type& domain, int depth = 0) {
  if (domain.kind != 'd' || depth > 32) return false;
  if (domain.definition.find(" CHECK ") != std::string::npos ||
      domain.definition.find(" NOT NULL") != std::string::npos)
    return true;
  return std::any_of(catalog.types.begin(), catalog.types.end(), [&](const schema::Type& base) {
    const std::string name =
        schema::quote_identifier(base.schema) + "." + schema::quote_identifier(base.name);
    return domain.definition.starts_with(name) && is_constrained(catalog, base, depth + 1);
  });
}

}  // namespace

Result<std::string> check_type(const schema::Catalog& catalog, const std::string& text,
                               const yaml::Node& where) {
  // Both forms must parse: what closes a parenthesis early or goes on behind the type breaks one of them.
  auto cast = schema::parse_expression("NULL::" + text);
  auto call = schema::parse_expression("CAST(NULL AS " + text + ")");
  if (!cast || !call || cast->types.size() != 1 || call->types != cast->types) {
    return fail(where.error("change.bad_type", fmt::format("'{}' is not one SQL type", text))
                    .with_hint("write it as in CREATE TABLE: varchar(32), numeric(10,2), app.state"));
  }
  const std::string canonical = canonical_type(text);
  if (canonical.ends_with("serial") || canonical.starts_with("serial")) {
    return fail(
        where.error("change.serial_type", "a serial type brings a volatile default and rewrites the table")
            .with_hint("use integer or bigint; add the sequence as default at the end"));
  }
  std::string qualified = text;
  int matches = 0;
  for (const auto& type : catalog.types) {
    if (type.name != cast->types[0] && schema::quote_identifier(type.name) != cast->types[0]) continue;
    if (++matches == 1) {
      // What stands behind the name stays: [] of an array.
      const auto rest = text.find('[');
      qualified =
          fmt::format("{}.{}{}", force_quote_identifier(type.schema), force_quote_identifier(type.name),
                      rest == std::string::npos ? "" : text.substr(rest));
    }
    if (is_constrained(catalog, type)) {
      return fail(where
                      .error("change.bad_type", fmt::format("domain {} has constraints, so that adding the "
                                                            "column would rewrite the table under lock",
                                                            text))
                      .with_hint("use the base type and `not_null: true`; a CHECK can follow the rollout, "
                                 "added NOT VALID and then validated"));
    }
  }
  if (matches > 1)
    return fail(where.error("change.ambiguous_type", fmt::format("several types are called {}", text)));
  return qualified;
}

Result<std::string> check_constant(const std::string& text, const yaml::Node& where) {
  auto parsed = schema::parse_expression(text);
  if (!parsed && parsed.error().code == "schema.not_deterministic") {
    Error error = in_file(std::move(parsed).error(), where, "default");
    error.code = "change.volatile_default";
    return fail(
        std::move(error).with_hint("a volatile default gives each row another value; use a constant"));
  }
  if (!parsed) return fail(in_file(std::move(parsed).error(), where, "default"));
  if (!parsed->columns.empty()) {
    return fail(where
                    .error("change.bad_default",
                           fmt::format("a default cannot read the column {}", parsed->columns[0].name))
                    .with_hint(fmt::format("a text constant needs quotes of both kinds: \"'{}'\"", text)));
  }
  if (!parsed->functions.empty()) {
    return fail(
        where
            .error("change.bad_default", fmt::format("a default of a rollout must be a constant, and {} is a "
                                                     "function",
                                                     parsed->functions[0].to_sql()))
            .with_hint("write the value itself"));
  }
  return parsed->text;
}

}  // namespace poundlock::change
