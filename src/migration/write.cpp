#include "migration/write.h"

#include <fmt/format.h>

#include <algorithm>

#include "change/table_sql.h"
#include "lint/context.h"
#include "lint/types.h"
#include "migration/do_block.h"
#include "migration/once.h"
#include "migration/source_words.h"
#include "migration/write_batches.h"
#include "schema/sql.h"
#include "schema/text.h"
#include "schema/tree.h"

namespace poundlock::migration {
namespace {

using change::StepKind;
using schema::quote_literal;

std::string with_semicolon(std::string text) {
  while (!text.empty() && (text.back() == ';' || text.back() == ' ' || text.back() == '\n')) text.pop_back();
  return text + ";";
}

std::string milliseconds(Millis value) {
  return value.count() % 1000 == 0 ? fmt::format("{}s", value.count() / 1000)
                                   : fmt::format("{}ms", value.count());
}

// In batches of blocks, each committed by itself; again from the start while rows are left, because a row
// that was updated meanwhile may lie behind. DO commits only outside a transaction. A value that the column
// rounds, or a trigger changes, is out of step however often it is written: each pass would write the whole
// table anew.
std::string batched(const change::InStep& in_step, Millis lock_timeout) {
  const std::string table = in_one_line(in_step.table);
  return do_block(fmt::format(
      "\nDECLARE\n  blocks bigint;\n  at_block bigint;\n  batch CONSTANT bigint := 256;\n"
      "  changed bigint;\n  of_batch bigint;\n  were_left bigint;\n  are_left bigint;\nBEGIN\n"
      "  SET LOCAL lock_timeout = '{6}';\n"
      "  SELECT count(*) INTO are_left FROM {0} WHERE {3};\n"
      "  FOR pass IN 1..20 LOOP\n    EXIT WHEN are_left = 0;\n"
      "    were_left := are_left;\n    changed := 0;\n"
      "    SELECT max(pg_relation_size(relid)) / current_setting('block_size')::bigint INTO blocks\n"
      "      FROM (SELECT relid FROM pg_partition_tree({1}::regclass) UNION SELECT {1}::regclass) leaves;\n"
      "    at_block := 0;\n    WHILE at_block <= blocks LOOP\n"
      "      SET LOCAL lock_timeout = '{6}';  -- it ended with the transaction before\n"
      "      BEGIN\n"
      "        UPDATE {0} SET {2}\n"
      "          WHERE ctid >= format('(%s,0)', at_block)::tid AND ctid < format('(%s,0)', at_block + "
      "batch)::tid\n"
      "            AND {3};\n"
      "        GET DIAGNOSTICS of_batch = ROW_COUNT;\n"
      "      EXCEPTION WHEN lock_not_available THEN\n"
      "        of_batch := 0;  -- somebody holds one of its rows: the next pass comes back\n"
      "      END;\n"
      "      changed := changed + of_batch;\n      COMMIT;\n      at_block := at_block + batch;\n    END "
      "LOOP;\n"
      "    SELECT count(*) INTO are_left FROM {0} WHERE {3};\n"
      "    IF changed > 0 AND are_left >= were_left THEN\n"
      "      RAISE EXCEPTION USING MESSAGE = {4};\n    END IF;\n"
      "  END LOOP;\n"
      "  IF are_left > 0 THEN\n    RAISE EXCEPTION USING MESSAGE = {5};\n  END IF;\nEND ",
      in_step.table, quote_literal(in_step.table), in_step.assignment, in_step.out_of_step,
      quote_literal(fmt::format("as many rows of {} differ behind a pass as before it: their type rounds the "
                                "value, a trigger changes it, or the application writes other values; a "
                                "further pass would write them again for nothing",
                                table)),
      quote_literal(fmt::format("rows of {} are still out of step", table)), milliseconds(lock_timeout)));
}

bool repairs_index(const change::Step& step) {
  return !step.repair.empty() && step.repair.front().starts_with("DROP INDEX ");
}

// An index that a failed build left invalid is dropped first; a valid one is kept, and not built again.
// Another one of the name is not taken for it, as IF NOT EXISTS would.
std::vector<std::string> index_again(const change::Step& step, std::string create) {
  std::vector<std::string> out;
  if (!repairs_index(step) || step.repair_when.empty()) return {with_semicolon(std::move(create))};
  const auto statement = schema::parse_statement(create);
  const auto* index = statement ? schema::as<PgQuery__IndexStmt>(statement->node()) : nullptr;
  const bool own = index != nullptr && !index->if_not_exists;  // else the author is content with any
  std::string drop = step.repair.front();
  std::string another;
  if (const auto at = drop.find("CONCURRENTLY "); at != std::string::npos) drop.erase(at, 13);
  constexpr std::string_view kDrop = "DROP INDEX IF EXISTS ";
  if (own && !step.probe.empty() && drop.starts_with(kDrop)) {
    const std::string name = drop.substr(kDrop.size());
    another = fmt::format(
        "  IF pg_catalog.to_regclass({}) IS NOT NULL AND NOT coalesce(({}), false) THEN\n"
        "    RAISE EXCEPTION USING MESSAGE = {};\n  END IF;\n",
        quote_literal(name), step.probe,
        quote_literal(fmt::format("there is {} already, and it is not the index that is to be built",
                                  in_one_line(name))));
  }
  out.push_back(do_block(
      fmt::format(" BEGIN\n  IF ({}) THEN\n    SET LOCAL lock_timeout = '1s';\n    {};\n  END IF;\n{}END ",
                  step.repair_when, drop, another)));
  if (own) {
    const auto words = statement->words({"CONCURRENTLY"});
    create = statement->text();
    create.insert(words.end, " IF NOT EXISTS");
  }
  out.push_back(with_semicolon(std::move(create)));
  return out;
}

std::string joined(const std::vector<std::string>& statements) {
  std::string out;
  for (const auto& one : statements) out += one + "\n";
  return out;
}

// What lint would say of statements that we wrote ourselves, answered where it is known why they are safe.
std::string ignores(const Migration& migration, const std::string& statement, bool back) {
  std::string out;
  const auto add = [&out](std::string_view rule, std::string_view reason) {
    out += fmt::format("-- poundlock: ignore {} {}\n", rule, reason);
  };
  const auto says = [&statement](std::string_view words) { return statement.find(words) != statement.npos; };
  const bool drops = statement.starts_with("DROP ") || says(" DROP COLUMN ");
  if (statement.starts_with("DO $poundlock"))
    add("unreadable_code", "written by poundlock plan with time-outs, and made to be run again");
  if (back && drops && !statement.starts_with("DROP INDEX"))
    add("drop_column_or_table",
        "takes back what the file of the same version made; what is in it goes along");
  if (back) return out;
  if (statement.starts_with("CREATE ") && says(" CONCURRENTLY IF NOT EXISTS ") &&
      repairs_index(migration.first->step))
    add("index_if_not_exists", "the block above it drops an index that a failed build left invalid");
  if (drops && migration.is_contract())
    add("drop_column_or_table", "the contract phase: whoever runs it answers for what stands above");
  if (const auto parsed = schema::parse_statement(statement.substr(0, statement.rfind(';'))); parsed) {
    bool starts_with_default = false;
    lint::each_action(*parsed, [&](const lint::Action& action) {
      const auto* column = schema::as<PgQuery__ColumnDef>(action.command.def);
      starts_with_default =
          starts_with_default || (column != nullptr && lint::column_traits(*column).default_expr != nullptr);
    });
    if (starts_with_default)
      add("expand_column_with_default", "every row is meant to read as the default, and none is written");
  }
  const bool proven = std::ranges::none_of(migration.steps, [](const SqlStep* one) { return one->scans; });
  if (says(" SET NOT NULL") && migration.first->rewritten && proven)
    add("set_not_null", "a CHECK that was validated before proves it without reading the table");
  return out;
}

std::string answered(const Migration& migration, const std::vector<std::string>& statements, bool back) {
  std::string out;
  for (const auto& one : statements) out += ignores(migration, one, back) + one + "\n";
  return out;
}

std::string heading(const Migration& migration) {
  std::string out;
  for (const auto* one : migration.steps)
    out += fmt::format("-- {}: {}\n", change::to_string(one->step.phase), in_one_line(one->step.title));
  const change::Step& step = migration.first->step;
  if (!step.repair.empty() && !repairs_index(step))
    out += fmt::format("-- Where it was stopped in the middle, finish it by: {}\n",
                       in_one_line(step.repair.front()));
  return out;
}

// PostgreSQL's own print of both is compared: the view is made once more as a temporary one, for which
// nobody's lock is waited for. "" for what makes no view, or may replace one.
std::string view_compared(const std::string& sql) {
  const auto statement = schema::parse_statement(sql);
  const auto* view = statement ? schema::as<PgQuery__ViewStmt>(statement->node()) : nullptr;
  if (view == nullptr || view->replace) return {};
  const auto& tokens = statement->tokens();
  const auto word = [&](std::size_t i) {
    return i < tokens.size() ? statement->slice(tokens[i].range) : std::string_view();
  };
  if (!schema::equals_ignoring_case(word(1), "VIEW")) return {};  // RECURSIVE
  std::size_t name = 2;
  while (word(name + 1) == ".") name += 2;
  if (name >= tokens.size()) return {};
  const std::string written(schema::name_of(*view->view).to_sql());
  return do_block(
      fmt::format(" BEGIN\n  CREATE TEMPORARY VIEW poundlock_wanted{};\n"
                  "  IF pg_catalog.pg_get_viewdef('pg_temp.poundlock_wanted'::regclass) IS DISTINCT FROM "
                  "pg_catalog.pg_get_viewdef(pg_catalog.to_regclass({})) THEN\n"
                  "    RAISE EXCEPTION USING MESSAGE = {};\n  END IF;\n"
                  "  DROP VIEW pg_temp.poundlock_wanted;\nEND ",
                  statement->text().substr(tokens[name].range.end), quote_literal(written),
                  quote_literal(fmt::format("there is a view {} already, and it reads something else",
                                            in_one_line(written)))));
}

std::string views_compared(const Migration& migration) {
  std::vector<std::string> statements;
  bool some = false;
  for (const auto* one : migration.steps)
    for (const auto& sql : one->step.sql) {
      std::string compared = view_compared(sql);
      some = some || !compared.empty();
      if (!compared.empty())
        statements.push_back(std::move(compared));
      else if (sql.starts_with("SET LOCAL "))
        statements.push_back(with_semicolon(sql));
    }
  return some ? "BEGIN;\n" + answered(migration, statements, false) + "COMMIT;\n" : "";
}

// Nothing of an author's stands in a command of psql's: \echo would run what is between backticks.
std::string guarded(const Migration& migration, const std::string& body) {
  if (migration.probe.empty()) return body;
  const change::Step& step = migration.first->step;
  // A partition that is half detached is finished, and not detached anew.
  const bool finishes = !step.repair.empty() && !step.repair_when.empty() && !repairs_index(step);
  return fmt::format(
      "SELECT coalesce(({}), false) AS poundlock_done{} \\gset\n\\if :poundlock_done\n"
      "{}\\echo this is there already\n{}\\else\n{}\\endif\n",
      migration.probe,
      finishes ? fmt::format(", coalesce(({}), false) AS poundlock_half", step.repair_when) : "",
      views_compared(migration),
      finishes ? fmt::format("\\elif :poundlock_half\n{}\n", with_semicolon(step.repair.front())) : "", body);
}

// What a second run would do once more, and nothing tells that it has been done; null for none.
const SqlStep* only_once(const Migration& migration) {
  if (!migration.probe.empty()) return nullptr;
  for (const auto* one : migration.steps)
    if (one->step.kind == StepKind::kTransaction)
      for (const auto& sql : one->step.sql)
        if (migration::only_once(sql)) return one;
  return nullptr;
}

// A script has no history: behind a stop it is run from its beginning.
Result<std::vector<WrittenFile>> write_sql(std::span<const Migration> migrations) {
  std::string again = "-- It stops at the first error. Run again, it leaves out what is there already.\n";
  for (const auto& migration : migrations) {
    const SqlStep* once = only_once(migration);
    if (once == nullptr) continue;
    if (migrations.size() > 1)
      return fail(
          user_error("plan.only_once",
                     fmt::format("a script for psql has no history: stopped behind this statement and run "
                                 "again, it would change the same rows once more: {}",
                                 in_one_line(once->step.title)))
              .with_hint("write it for a tool that keeps a history (--format flyway), give the statement a "
                         "script of its own, or write it so that a second run finds nothing to do (ON "
                         "CONFLICT, WHERE)")
              .at({once->file, once->line, 1}));
    again =
        "-- It stops at the first error. DO NOT RUN IT AGAIN once it has said COMMIT: nothing tells that "
        "the\n"
        "-- rows below have been changed, and a second run would change them once more.\n";
  }
  std::string text = std::string(kOwnScript) + again + "\\set ON_ERROR_STOP on\n";
  bool contract = false;
  for (const auto& migration : migrations) {
    const std::string body = answered(migration, migration.forward(), false);
    if (migration.is_contract() && !contract) text.append("\n").append(contract_comment(migration, "--"));
    contract = contract || migration.is_contract();
    text += "\n" + heading(migration) +
            guarded(migration, migration.in_transaction ? "BEGIN;\n" + body + "COMMIT;\n" : body);
  }
  return std::vector<WrittenFile>{{"", std::move(text), contract}};
}

bool is_version(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789._") == text.npos && text.front() >= '0' &&
         text.front() <= '9' && text.back() >= '0' && text.back() <= '9';
}

constexpr const char* kFlywayLock =
    "-- Needs flyway.postgresql.transactional.lock=false: else it waits for Flyway's own lock, for ever.\n";

Result<std::vector<WrittenFile>> write_flyway(std::span<const Migration> migrations,
                                              const WriteOptions& options) {
  if (!is_version(options.version))
    return fail(user_error("plan.version",
                           fmt::format("'{}' is no version of Flyway's", schema::printable(options.version)))
                    .with_hint("digits with dots between them, such as 7 or 2026.11"));
  std::string version = options.version;
  std::ranges::replace(version, '.', '_');
  std::vector<WrittenFile> out;
  for (std::size_t i = 0; i < migrations.size(); ++i) {
    const Migration& migration = migrations[i];
    const std::string stem = fmt::format("{}_{}__{}.sql", version, i + 1, migration.slug);
    const bool contract = migration.is_contract();
    const std::string forward = answered(migration, migration.forward(), false);
    // Flyway's usual lock is an open transaction of its own, which a concurrent build waits for, for ever.
    const bool waits = forward.find(" CONCURRENTLY ") != std::string::npos;
    out.push_back(
        {"V" + stem,
         contract_comment(migration, "--") + heading(migration) + (waits ? kFlywayLock : "") + forward,
         contract});
    if (!migration.in_transaction)
      out.push_back({"V" + stem + ".conf", "executeInTransaction=false\n", contract});
    const auto back = migration.back();
    if (back.empty()) continue;
    out.push_back({"U" + stem, answered(migration, back, true), contract});
    if (!migration.back_in_transaction())
      out.push_back({"U" + stem + ".conf", "executeInTransaction=false\n", contract});
  }
  return out;
}

// Java reads these as the ends of lines, too, and Liquibase would put a line feed there, or take what follows
// for a statement of the changeset: then there is no rollback, and not that of another name.
bool has_odd_line(const std::vector<std::string>& statements) {
  return std::ranges::any_of(statements, [](const std::string& one) {
    return std::ranges::any_of(
        std::initializer_list<const char*>{"\r", "\xC2\x85", "\xE2\x80\xA8", "\xE2\x80\xA9"},
        [&](const char* end) { return one.find(end) != one.npos; });
  });
}

// Line by line, as it is: the body of a function may hold comments, which end with their line.
std::string rollback_lines(const std::string& statement) {
  std::string out;
  std::string_view rest = statement;
  for (;;) {
    const auto end = rest.find('\n');
    out += fmt::format("--rollback {}\n", rest.substr(0, end));
    if (end == rest.npos) return out;
    rest.remove_prefix(end + 1);
  }
}

// What Liquibase takes an identifier of a changeset for: no blank, colon or line break ends it early.
std::string changeset_name(std::string name) {
  for (char& c : name)
    if (static_cast<unsigned char>(c) <= ' ' || c == ':' || c == 0x7f) c = '_';
  return name;
}

// A statement outside a transaction is a changeset of its own: Liquibase marks what it has run.
Result<std::vector<WrittenFile>> write_liquibase(std::span<const Migration> migrations,
                                                 const WriteOptions& options) {
  std::string text = "--liquibase formatted sql\n";
  for (std::size_t i = 0; i < migrations.size(); ++i) {
    const Migration& migration = migrations[i];
    const auto forward = migration.forward();
    const std::string head =
        fmt::format("\n--changeset poundlock:{}-{}", changeset_name(options.name), i + 1);
    const std::string traits = fmt::format(
        " runInTransaction:{} splitStatements:false rollbackSplitStatements:false stripComments:false\n",
        migration.in_transaction ? "true" : "false");
    std::string rollback;
    const auto back = migration.back();
    // Only one statement can be sent outside a transaction at once. Without a line Liquibase refuses to take
    // the changeset back; of an empty rollback it would say that it has been, and run it again.
    if (back.empty())
      rollback = migration.leaves_nothing() ? "--rollback empty\n" : "";
    else if (!has_odd_line(back) && (migration.back_in_transaction() || back.size() == 1))
      for (const auto& one : back) rollback += rollback_lines(one);
    if (migration.in_transaction) {
      text +=
          head + traits + contract_comment(migration, "--") + heading(migration) + joined(forward) + rollback;
      continue;
    }
    for (std::size_t k = 0; k < forward.size(); ++k)
      text += fmt::format("{}{}{}{}{}\n{}", head, forward.size() > 1 ? fmt::format("-{}", k + 1) : "", traits,
                          k == 0 ? heading(migration) : "", forward[k],
                          k + 1 == forward.size() ? rollback : "--rollback empty\n");
  }
  const bool contract = std::ranges::any_of(migrations, &Migration::is_contract);
  return std::vector<WrittenFile>{{"", std::move(text), contract}};
}

std::string plain(std::string_view id) {
  std::string out;
  for (const char c : id) out += (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ? c : '_';
  return out.substr(0, 60);
}

}  // namespace

std::vector<std::string> Migration::forward() const {
  std::vector<std::string> out;
  Millis lock{0};
  Millis statement{0};
  for (const auto* one : steps) {
    lock = std::max(lock, one->step.lock_timeout);
    statement = std::max(statement, one->step.statement_timeout);
  }
  const change::Step& step = first->step;
  if (step.kind == StepKind::kBackfill && step.in_step)
    return {first->once ? batched_once(*step.in_step, lock) : batched(*step.in_step, lock)};
  if (in_transaction) {
    if (lock.count() > 0) out.push_back(fmt::format("SET LOCAL lock_timeout = '{}';", milliseconds(lock)));
    if (statement.count() > 0)
      out.push_back(fmt::format("SET LOCAL statement_timeout = '{}';", milliseconds(statement)));
    for (const auto* one : steps)
      for (const auto& sql : one->step.sql) out.push_back(with_semicolon(sql));
    return out;
  }
  for (const auto& sql : step.sql) {
    if (&sql != &step.sql.back()) {
      out.push_back(with_semicolon(sql));
      continue;
    }
    const auto again = index_again(step, sql);
    out.insert(out.end(), again.begin(), again.end());
  }
  return out;
}

std::vector<std::string> Migration::back() const {
  std::vector<std::string> undo;
  Millis lock{50};
  Millis statement{10'000};
  for (auto it = steps.rbegin(); it != steps.rend(); ++it) {
    lock = std::max(lock, (*it)->step.lock_timeout);
    statement = std::max(statement, (*it)->step.statement_timeout);
    for (const auto& one : (*it)->step.undo) undo.push_back(with_semicolon(one));
  }
  // CONCURRENTLY waits for other transactions by its nature, and has to be sent alone.
  const bool concurrent = std::ranges::any_of(
      undo, [](const std::string& one) { return one.find(" CONCURRENTLY ") != one.npos; });
  if (undo.empty() || concurrent) return undo;
  const char* local = back_in_transaction() ? "LOCAL " : "";
  std::vector<std::string> out{
      fmt::format("SET {}lock_timeout = '{}';", local, milliseconds(lock)),
      fmt::format("SET {}statement_timeout = '{}';", local, milliseconds(statement))};
  for (auto& one : undo) {
    // It reads the whole table, while writers go on.
    if (one.find(" VALIDATE CONSTRAINT ") != one.npos)
      out.push_back(fmt::format("SET {}statement_timeout = 0;", local));
    out.push_back(std::move(one));
  }
  if (back_in_transaction()) return out;
  out.emplace_back("RESET lock_timeout;");  // the session is the tool's
  out.emplace_back("RESET statement_timeout;");
  return out;
}

std::string contract_comment(const Migration& migration, std::string_view mark) {
  if (!migration.is_contract()) return {};
  return fmt::format(
      "{0} CONTRACT PHASE. No gate stands here. Run what follows by itself, later, and only when no running\n"
      "{0} version, view, function, job or report uses what it takes away, and when a backup holds the "
      "data.\n",
      mark);
}

bool Migration::is_contract() const {
  return first->step.phase == change::Phase::kContract;
}

bool Migration::leaves_nothing() const {
  return std::ranges::all_of(steps, [](const SqlStep* one) {
    const change::Step& step = one->step;
    if (step.destructive) return false;
    if (step.kind == StepKind::kBackfill || step.kind == StepKind::kVerify) return true;
    return std::ranges::all_of(step.sql, [](const std::string& sql) {
      return (sql.starts_with("ALTER TABLE ") && sql.find(" VALIDATE CONSTRAINT ") != sql.npos) ||
             sql.starts_with("VACUUM") || sql.starts_with("ANALYZE") || sql.starts_with("REINDEX") ||
             sql.starts_with("SET ");
    });
  });
}

bool Migration::back_in_transaction() const {
  return std::ranges::none_of(steps, [](const SqlStep* one) { return one->step.undo_standalone; });
}

std::vector<Migration> migrations_of(const SqlPlan& plan) {
  std::vector<Migration> out;
  for (const auto& one : plan.steps) {
    if (out.empty() || out.back().first->transaction_group != one.transaction_group) {
      Migration migration;
      migration.first = &one;
      migration.in_transaction = one.step.kind == StepKind::kTransaction;
      migration.slug = plain(one.step.id);
      for (const auto& item : plan.plan.items)
        if (item.id == one.item && item.step) migration.probe = item.step->probe;
      out.push_back(std::move(migration));
    }
    out.back().steps.push_back(&one);
  }
  return out;
}

Result<Format> format_from(std::string_view text) {
  constexpr std::pair<std::string_view, Format> kFormats[] = {
      {"sql", Format::kSql},         {"flyway", Format::kFlyway}, {"liquibase", Format::kLiquibase},
      {"alembic", Format::kAlembic}, {"rails", Format::kRails},   {"rollout", Format::kRollout}};
  for (const auto& [name, format] : kFormats)
    if (name == text) return format;
  return fail(user_error("plan.format", fmt::format("there is no format '{}'", schema::printable(text)))
                  .with_hint("flyway, liquibase, alembic, rails, sql or rollout"));
}

bool one_file(Format format) {
  return format == Format::kSql || format == Format::kLiquibase || format == Format::kRollout;
}

Result<std::vector<WrittenFile>> write_plan(const SqlPlan& plan, Format format, const WriteOptions& options) {
  if (format == Format::kRollout) return write_rollout(plan, options);
  if (!plan.decisions.empty()) {
    const Decision& first = plan.decisions.front();
    return fail(
        user_error(
            "plan.decisions",
            fmt::format("{} of the statements are left to a person, and files without them would be half "
                        "of the change: {}",
                        plan.decisions.size(), first.why))
            .with_hint(first.choices.empty() ? "decide it in the SQL" : first.choices.front())
            .at({first.file, first.line, first.column}));
  }
  const auto migrations = migrations_of(plan);
  if (migrations.empty()) return fail(user_error("plan.empty", "there is no step to write"));
  switch (format) {
    case Format::kSql: return write_sql(migrations);
    case Format::kFlyway: return write_flyway(migrations, options);
    case Format::kLiquibase: return write_liquibase(migrations, options);
    case Format::kAlembic: return write_alembic(migrations, options);
    case Format::kRails: return write_rails(migrations, options);
    case Format::kRollout: break;
  }
  return write_rollout(plan, options);
}

}  // namespace poundlock::migration
