#include "cli/migration_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "cli/text.h"
#include "lint/locks.h"
#include "migration/source_text.h"
#include "schema/sql.h"
#include "schema/tree.h"

namespace poundlock::cli {
namespace {

namespace fs = std::filesystem;
constexpr std::size_t kFilesMax = 10'000;
constexpr std::size_t kBytesMax = std::size_t{64} << 20;  // of a file, as lint's

constexpr std::string_view kDownEnd = "down.sql";  // of an undo's name, where it has a file of its own

Result<std::vector<migration::Source>> read_one(const Context& context, const std::string& file) {
  PL_TRY(const std::string bytes, read_file(context, file, kBytesMax));
  const std::string name = file == "-" ? "<stdin>" : file;
  PL_TRY(const auto text, migration::utf8_text(bytes, name));
  PL_TRY(const auto conf, script_configuration(context, file));
  PL_TRY(auto sources,
         migration::read_sources(text, name, conf ? std::optional<std::string_view>(*conf) : std::nullopt));
  for (auto& source : sources) {
    PL_TRY(source.sql, migration::runnable_sql(source));
  }
  return sources;
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

bool before(const migration::Source& a, const migration::Source& b) {
  const auto repeated = [](const auto& one) { return one.kind == migration::Kind::kRepeatable; };
  if (repeated(a) != repeated(b)) return repeated(b);
  return !repeated(a) && migration::compare_versions(a.version, b.version) < 0;
}

// Whose migrations come among each other in the order of their versions: Flyway's of all folders, and those
// with a number in front (golang-migrate, goose, dbmate, sql-migrate) of one folder. nullopt: this one keeps
// its place.
std::optional<std::string> ordered_with(const migration::Source& source) {
  using migration::Tool;
  if (source.tool == Tool::kFlyway) return "";
  const bool numbered = source.tool == Tool::kPlain || source.tool == Tool::kGoose ||
                        source.tool == Tool::kDbmate || source.tool == Tool::kSqlMigrate;
  if (!numbered || source.version.empty()) return std::nullopt;
  return "in " + fs::path(source.file).parent_path().string();
}

// Within the places that they have: files of no tool are run where they were named.
void order(std::vector<migration::Source>& sources) {
  std::map<std::string, std::vector<std::size_t>> groups;
  for (std::size_t i = 0; i < sources.size(); ++i)
    if (const auto group = ordered_with(sources[i])) groups[*group].push_back(i);
  for (const auto& [group, places] : groups) {
    std::vector<migration::Source> sorted;
    for (const std::size_t i : places) sorted.push_back(std::move(sources[i]));
    std::ranges::stable_sort(sorted, before);
    for (std::size_t i = 0; i < places.size(); ++i) sources[places[i]] = std::move(sorted[i]);
  }
}

// An undo is run on request only: where its file is named, and neither holds nor stands beside the migration
// that it takes back, as a shell's * names both. Flyway's U files have their own version, which may be named
// with another.
void leave_out_undo(std::vector<migration::Source>& sources) {
  using migration::Kind;
  std::set<std::string> forward;
  for (const auto& one : sources)
    if (one.kind == Kind::kVersioned) forward.insert(one.file);
  std::erase_if(sources, [&](const auto& one) {
    if (one.kind != Kind::kUndo || one.tool == migration::Tool::kFlyway) return false;
    const std::string beside = one.file.substr(0, one.file.size() - kDownEnd.size()) + "up.sql";
    return forward.contains(one.tool == migration::Tool::kPlain ? beside : one.file);
  });
}

}  // namespace

bool is_sql_name(const std::string& file) {
  std::string extension = fs::path(file).extension().string();
  std::ranges::transform(extension, extension.begin(), [](unsigned char c) { return std::tolower(c); });
  return extension == ".sql";
}

Result<std::vector<std::string>> files_below(const Context& context, const std::string& folder,
                                             std::string_view code,
                                             const std::function<bool(const std::string& file)>& takes) {
  std::error_code error;
  std::vector<std::string> found;
  for (auto it = fs::recursive_directory_iterator(context.directory / folder, error);
       !error && it != fs::recursive_directory_iterator(); it.increment(error)) {
    if (!it->is_regular_file(error)) continue;
    auto file = (fs::path(folder) / it->path().lexically_relative(context.directory / folder))
                    .lexically_normal()
                    .string();
    if (takes(file)) found.push_back(std::move(file));
    if (found.size() > kFilesMax)
      return fail(
          user_error(std::string(code), fmt::format("more than {} files below {}", kFilesMax, clean(folder)))
              .with_hint("name folders further down, or the files that are new"));
  }
  if (error)
    return fail(user_error(std::string(code),
                           fmt::format("cannot read all of {}: {}", clean(folder), error.message())));
  std::ranges::sort(found);
  return found;
}

Result<std::optional<std::string>> script_configuration(const Context& context, const std::string& file) {
  std::error_code error;
  if (file == "-" || !fs::is_regular_file(context.directory / (file + ".conf"), error))
    return std::optional<std::string>();
  PL_TRY(std::string text, read_file(context, file + ".conf"));
  return std::optional(std::move(text));
}

Result<std::vector<migration::Source>> read_migrations(const Context& context,
                                                       const std::vector<std::string>& files) {
  using migration::Kind;
  std::vector<migration::Source> sources;
  for (const auto& one : files) {
    std::error_code error;
    const bool folder = one != "-" && fs::is_directory(context.directory / one, error);
    std::vector<std::string> names{one};
    if (folder) {
      PL_TRY(names, files_below(context, one, "migration.files", is_sql_name));
      if (names.empty())
        return fail(user_error("migration.files", fmt::format("no .sql file below {}", clean(one))));
    }
    for (const auto& name : names) {
      PL_TRY(auto found, read_one(context, name));
      for (auto& source : found)
        if (!folder || source.kind == Kind::kVersioned || source.kind == Kind::kRepeatable)
          sources.push_back(std::move(source));
    }
  }
  leave_out_undo(sources);
  order(sources);
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
    const bool rows = table && table->kind != 'f';
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
