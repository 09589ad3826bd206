#include "cli/migration_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "cli/text.h"
#include "lint/locks.h"
#include "migration/source.h"
#include "schema/sql.h"
#include "schema/tree.h"

namespace poundlock::cli {
namespace {

namespace fs = std::filesystem;
constexpr std::size_t kFilesMax = 10'000;

Result<std::vector<std::string>> expand(const Context& context, const std::vector<std::string>& named) {
  std::vector<std::string> out;
  for (const auto& one : named) {
    std::error_code error;
    if (one == "-" || !fs::is_directory(context.directory / one, error)) {
      out.push_back(one);
      continue;
    }
    std::vector<std::string> found;
    for (auto it = fs::recursive_directory_iterator(context.directory / one, error);
         !error && it != fs::recursive_directory_iterator(); it.increment(error)) {
      if (it->is_regular_file(error) && it->path().extension() == ".sql")
        found.push_back((fs::path(one) / it->path().lexically_relative(context.directory / one)).string());
      if (found.size() > kFilesMax)
        return fail(
            user_error("dry_run.files", fmt::format("more than {} files below {}", kFilesMax, clean(one))));
    }
    if (found.empty())
      return fail(user_error("dry_run.files", fmt::format("no .sql file below {}", clean(one))));
    std::sort(found.begin(), found.end());
    out.insert(out.end(), found.begin(), found.end());
  }
  return out;
}

Result<std::vector<migration::Source>> read_one(const Context& context, const std::string& file) {
  PL_TRY(const std::string text, read_file(context, file));
  std::optional<std::string> conf;
  std::error_code error;
  if (file != "-" && fs::exists(context.directory / (file + ".conf"), error)) {
    PL_TRY(conf, read_file(context, file + ".conf"));
  }
  return migration::read_sources(text, file == "-" ? "<stdin>" : file,
                                 conf ? std::optional<std::string_view>(*conf) : std::nullopt);
}

// Statements of one migration. What PostgreSQL 15's grammar does not know cannot be split from the rest.
Result<engine::Script> script_of(const migration::Source& source) {
  PL_TRY(const auto parsed, schema::parse_script(source.sql));
  if (!parsed.errors.empty()) {
    Error error = parsed.errors.front();
    SourcePosition place = error.where.value_or(SourcePosition{});
    return fail(std::move(error).at({source.file, place.line + source.line - 1, place.column}));
  }
  engine::Script out;
  out.file = source.file;
  out.in_transaction = source.in_transaction;
  for (const auto& one : parsed.statements)
    out.statements.push_back({one.text(), one.position().line + source.line - 1});
  return out;
}

int rank(const migration::Source& source) {
  return source.kind == migration::Kind::kRepeatable ? 1 : 0;
}

bool before(const migration::Source& a, const migration::Source& b) {
  if (rank(a) != rank(b)) return rank(a) < rank(b);
  const bool versions = a.tool == migration::Tool::kFlyway && b.tool == migration::Tool::kFlyway &&
                        !a.version.empty() && !b.version.empty();
  return versions && migration::compare_versions(a.version, b.version) < 0;
}

}  // namespace

Result<std::vector<migration::Source>> read_migrations(const Context& context,
                                                       const std::vector<std::string>& files) {
  PL_TRY(const auto names, expand(context, files));
  std::vector<migration::Source> sources;
  for (const auto& name : names) {
    PL_TRY(const auto found, read_one(context, name));
    for (const auto& source : found) {
      // Undo scripts and baselines are run on request only; who names one asks for it.
      const bool usual =
          source.kind == migration::Kind::kVersioned || source.kind == migration::Kind::kRepeatable;
      if (usual || names.size() == 1) sources.push_back(source);
    }
  }
  std::stable_sort(sources.begin(), sources.end(), before);
  return sources;
}

Result<std::vector<engine::Script>> scripts_of(const std::vector<migration::Source>& sources) {
  std::vector<engine::Script> out;
  for (const auto& source : sources) {
    PL_TRY(auto script, script_of(source));
    if (!script.statements.empty()) out.push_back(std::move(script));
  }
  if (out.empty()) return fail(user_error("dry_run.files", "the files hold no statement"));
  return out;
}

std::vector<schema::QualifiedName> tables_of_scripts(const std::vector<engine::Script>& scripts,
                                                     const schema::Catalog& catalog) {
  std::vector<schema::QualifiedName> out;
  const auto add = [&](const schema::QualifiedName& name) {
    const schema::Table* table = catalog.table(name);
    for (const auto& one : catalog.tables) {
      const bool has = one.index(name.name) != nullptr && (name.schema.empty() || name.schema == one.schema);
      if (!table && has) table = &one;
    }
    const bool rows = table && (table->kind == 'r' || table->kind == 'p');
    if (rows && std::find(out.begin(), out.end(), table->qualified()) == out.end())
      out.push_back(table->qualified());
  };
  for (const auto& script : scripts) {
    for (const auto& one : script.statements) {
      const auto parsed = schema::parse_statement(one.sql);
      if (!parsed) continue;
      if (const auto lock = lint::strongest_lock(*parsed); !lock.relation.name.empty()) add(lock.relation);
      schema::walk(schema::content(parsed->node()), [&](const schema::Message* message) {
        if (const auto* name = schema::as<PgQuery__RangeVar>(message)) add(schema::name_of(*name));
        return true;
      });
    }
  }
  return out;
}

Status leave_out_applied(engine::ShadowUse& shadow, std::vector<engine::Script>& scripts) {
  PL_TRY(const auto session, shadow.database().connect());
  PL_TRY(
      const auto history,
      session->run("SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c JOIN "
                   "pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relname = "
                   "'flyway_schema_history' AND c.relkind = 'r' LIMIT 1"));
  if (history.rows.empty()) return {};
  PL_TRY(const auto applied, session->run("SELECT script FROM " + history.rows[0][0].value_or("") +
                                          " WHERE success AND version IS NOT NULL"));
  std::set<std::string> names;
  for (const auto& row : applied.rows) names.insert(fs::path(row[0].value_or("")).filename());
  std::erase_if(scripts,
                [&](const engine::Script& one) { return names.contains(fs::path(one.file).filename()); });
  return {};
}

}  // namespace poundlock::cli
