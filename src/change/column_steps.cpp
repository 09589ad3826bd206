#include "change/column_steps.h"

#include <fmt/format.h>

#include <algorithm>

#include "change/expression_guard.h"
#include "change/table_sql.h"

namespace poundlock::change {
namespace {

using schema::derive_name;
using schema::force_quote_identifier;
using schema::quote_literal;

constexpr Millis kMetadataTimeout{
    10'000};  // changes of the catalog take milliseconds once they have the lock

std::string table_of(const ColumnPlan& plan) {
  return quoted_table(plan.sync.table);
}

// A change of the catalog in one transaction; the lock is asked for 50 ms at a time.
Step metadata_step(const ColumnPlan& plan, std::string id, Phase phase, std::string title,
                   std::vector<std::string> sql, std::string probe) {
  Step step;
  step.id = std::move(id);
  step.phase = phase;
  step.kind = StepKind::kTransaction;
  step.title = std::move(title);
  step.sql = std::move(sql);
  step.probe = std::move(probe);
  step.relation = table_of(plan);
  step.lock_mode = "AccessExclusiveLock";
  step.statement_timeout = kMetadataTimeout;
  step.blocks_writers = true;
  return step;
}

// Replacing a function takes no lock on the table.
Step mode_step(const ColumnPlan& plan, std::string id, Phase phase, std::string title, SyncMode mode) {
  Step step;
  step.id = std::move(id);
  step.phase = phase;
  step.kind = StepKind::kTransaction;
  step.title = std::move(title);
  step.sql = {create_sync_function(plan.sync, mode)};
  step.probe = sync_mode_probe(plan.sync, mode);
  step.statement_timeout = kMetadataTimeout;
  return step;
}

Step row_step(const ColumnPlan& plan, std::string id, Phase phase, StepKind kind, std::string title) {
  Step step;
  step.id = std::move(id);
  step.phase = phase;
  step.kind = kind;
  step.title = std::move(title);
  step.relation = table_of(plan);
  step.lock_mode = kind == StepKind::kBackfill ? "RowExclusiveLock" : "AccessShareLock";
  step.in_step = in_step(plan.sync);
  step.in_step->out_of_step_open = out_of_step_open(plan.sync);
  return step;
}

std::string check_name(const ColumnPlan& plan) {
  return derive_name({"poundlock", plan.sync.table.name, plan.sync.fresh.column, "not_null"});
}

// Refuses before anything is changed: would a row that leaves both sides to their defaults be in step?
std::string default_guard(const SyncSpec& sync) {
  const auto other = std::find_if(sync.up.column_names.begin(), sync.up.column_names.end(),
                                  [&](const std::string& name) { return name != sync.legacy.column; });
  if (!sync.legacy.default_expr || !sync.fresh.default_expr || other != sync.up.column_names.end()) return {};
  const std::string mapped = schema::rename_columns(sync.up, [&](const schema::ExpressionColumn&) {
    return std::optional(fmt::format("(({})::{})", *sync.legacy.default_expr, sync.legacy.type));
  });
  const std::string message =
      fmt::format("poundlock: `up` does not turn the default of {} into the default of {}",
                  sync.legacy.column, sync.fresh.column);
  return "DO " + quote_literal(fmt::format("BEGIN IF pg_catalog.record_image_ne(ROW(({0})::{1}), "
                                           "ROW(({2})::{1})) THEN RAISE EXCEPTION USING "
                                           "ERRCODE = 'invalid_parameter_value', MESSAGE = {3}, HINT = 'give "
                                           "the new column the default that "
                                           "`up` makes of the old one'; END IF; END",
                                           *sync.fresh.default_expr, sync.fresh.type, mapped,
                                           quote_literal(message)));
}

std::vector<std::string> drop_helpers(const SyncSpec& sync) {
  return {fmt::format("DROP TRIGGER IF EXISTS {} ON {}", sync_trigger(sync), quoted_table(sync.table)),
          fmt::format("DROP FUNCTION IF EXISTS {}()", sync_function(sync)),
          fmt::format("DROP SEQUENCE IF EXISTS {}", sync_sequence(sync))};
}

// Whoever has rights on the legacy column alone, and not on the table, needs them on `column` as well.
void append_grants(const ColumnPlan& plan, const std::string& column, std::vector<std::string>& sql) {
  for (const auto& grant : plan.table->column_grants) {
    if (grant.column != plan.legacy->name) continue;
    sql.push_back(fmt::format("GRANT {} ({}) ON {} TO {}", grant.privilege, force_quote_identifier(column),
                              table_of(plan), grant.grantee));
  }
}

Step add_column_step(const ColumnPlan& plan) {
  const SyncSpec& sync = plan.sync;
  const std::string column = force_quote_identifier(sync.fresh.column);
  std::vector<std::string> sql{expression_guard(sync)};
  if (std::string guard = default_guard(sync); !guard.empty()) sql.push_back(std::move(guard));
  sql.push_back(fmt::format("ALTER TABLE {} ADD COLUMN {} {}{}", table_of(plan), column, sync.fresh.type,
                            plan.collation.empty() ? "" : " COLLATE " + plan.collation));
  append_grants(plan, sync.fresh.column, sql);
  Step step = metadata_step(plan, "dual_write.add_column", Phase::kDualWrite,
                            fmt::format("add column {} {} to {}, without default", sync.fresh.column,
                                        sync.fresh.type, sync.table.to_sql()),
                            std::move(sql), column_probe(sync.table, sync.fresh.column, sync.fresh.type));
  // The undo of the whole expand: at no instant is there a trigger whose function does not fit the table.
  step.undo = drop_helpers(sync);
  // A column that is added again has to be filled again.
  step.undo.push_back(
      fmt::format("DELETE FROM {}.backfill WHERE rollout = {}", kHelperSchema, quote_literal(sync.rollout)));
  step.undo.push_back(fmt::format("ALTER TABLE {} DROP COLUMN IF EXISTS {}", table_of(plan), column));
  return step;
}

std::vector<std::string> trigger_sql(const ColumnPlan& plan, const SyncSpec& sync) {
  const std::string function = sync_function(sync);
  const std::string comment = quote_literal(rollout_comment(sync.rollout));
  const bool replace = plan.server_version_num >= 140000;  // 14 has CREATE OR REPLACE TRIGGER
  std::vector<std::string> sql{
      // Finds an expression that does not fit its column now, in place of in somebody's INSERT.
      fmt::format("EXPLAIN UPDATE {} AS row_ SET {} = ({}), {} = ({})", quoted_table(sync.table),
                  force_quote_identifier(sync.fresh.column), schema::qualify_columns(sync.up, "row_"),
                  force_quote_identifier(sync.legacy.column), schema::qualify_columns(sync.down, "row_")),
      fmt::format("CREATE SEQUENCE IF NOT EXISTS {}", sync_sequence(sync)),
      fmt::format("COMMENT ON SEQUENCE {} IS {}", sync_sequence(sync), comment),
      // Writers count conflicts under their own rights.
      fmt::format("GRANT USAGE ON SCHEMA {} TO PUBLIC", kHelperSchema),
      fmt::format("GRANT USAGE, SELECT ON SEQUENCE {} TO PUBLIC", sync_sequence(sync)),
      create_sync_function(sync, SyncMode::kLegacy),
      fmt::format("COMMENT ON FUNCTION {}() IS {}", function, comment)};
  if (!replace)
    sql.push_back(
        fmt::format("DROP TRIGGER IF EXISTS {} ON {}", sync_trigger(sync), quoted_table(sync.table)));
  sql.push_back(
      fmt::format("CREATE {}TRIGGER {} BEFORE INSERT OR UPDATE ON {} FOR EACH ROW{} EXECUTE FUNCTION {}()",
                  replace ? "OR REPLACE " : "", sync_trigger(sync), quoted_table(sync.table),
                  trigger_condition(sync), function));
  return sql;
}

Step trigger_step(const ColumnPlan& plan, const SyncSpec& sync, std::string id, Phase phase) {
  Step step = metadata_step(plan, std::move(id), phase,
                            fmt::format("keep {} in step with {} by a trigger on {}", sync.fresh.column,
                                        sync.legacy.column, sync.table.to_sql()),
                            trigger_sql(plan, sync), sync_installed_probe(sync));
  step.lock_mode = plan.server_version_num >= 140000 ? "ShareRowExclusiveLock" : "AccessExclusiveLock";
  return step;
}

void append_not_null(const ColumnPlan& plan, std::vector<Step>& steps) {
  const auto& table = plan.sync.table;
  const std::string name = check_name(plan);
  const std::string check = force_quote_identifier(name);
  const std::string column = force_quote_identifier(plan.sync.fresh.column);
  const std::string alter = "ALTER TABLE " + table_of(plan);
  const std::string is_set = attribute_probe(table, plan.sync.fresh.column, "a.attnotnull");
  auto or_set = [&](const std::string& probe) { return fmt::format("SELECT ({}) OR ({})", probe, is_set); };
  steps.push_back(metadata_step(
      plan, "dual_write.not_null_check", Phase::kDualWrite,
      fmt::format("refuse new NULLs in {}", plan.sync.fresh.column),
      {fmt::format("{} ADD CONSTRAINT {} CHECK ({} IS NOT NULL) NOT VALID", alter, check, column)},
      or_set(constraint_probe(table, name, "true"))));
  Step validate = metadata_step(plan, "dual_write.not_null_validate", Phase::kDualWrite,
                                fmt::format("prove that {} holds no NULL", plan.sync.fresh.column),
                                {fmt::format("{} VALIDATE CONSTRAINT {}", alter, check)},
                                or_set(constraint_probe(table, name, "k.convalidated")));
  validate.lock_mode = "ShareUpdateExclusiveLock";
  validate.blocks_writers = false;
  validate.statement_timeout = Millis{0};  // reads the whole table
  steps.push_back(std::move(validate));
  steps.push_back(metadata_step(
      plan, "dual_write.not_null_set", Phase::kDualWrite,
      fmt::format("make {} NOT NULL, which the proven check makes instant", plan.sync.fresh.column),
      {fmt::format("{} ALTER COLUMN {} SET NOT NULL", alter, column),
       fmt::format("{} DROP CONSTRAINT IF EXISTS {}", alter, check)},
      fmt::format("SELECT ({}) AND NOT ({})", is_set, constraint_probe(table, name, "true"))));
}

std::string set_default(const ColumnPlan& plan) {
  return fmt::format("ALTER TABLE {} ALTER COLUMN {} SET DEFAULT {}", table_of(plan),
                     force_quote_identifier(plan.sync.fresh.column), *plan.sync.fresh.default_expr);
}

void append_default(const ColumnPlan& plan, std::vector<Step>& steps) {
  const auto& fresh = plan.sync.fresh;
  if (!fresh.default_expr || plan.sync.default_at_drop) return;
  steps.push_back(metadata_step(plan, "dual_write.default", Phase::kDualWrite,
                                fmt::format("set the default of {} to {}", fresh.column, *fresh.default_expr),
                                {set_default(plan)},
                                attribute_probe(plan.sync.table, fresh.column, "a.atthasdef")));
}

// CREATE INDEX x ON ... as pg_get_indexdef() gives it, made concurrent.
std::string concurrent(std::string definition) {
  const std::string word = " INDEX ";
  const auto at = definition.find(word);
  return at == std::string::npos ? definition : definition.insert(at + word.size(), "CONCURRENTLY ");
}

bool names_column(const std::vector<std::string>& columns, const std::string& name) {
  return std::find(columns.begin(), columns.end(), name) != columns.end();
}

// No index is built concurrently on a partitioned table. Those of its partitions are; the parent's then takes
// them as its own, since they are like it, and builds none.
void append_restored_indexes(const ColumnPlan& plan, std::vector<Step>& steps) {
  const schema::QualifiedName& table = plan.sync.table;
  for (const auto* partition : plan.partitions) {
    const std::string of = partition->schema == table.schema ? "" : partition->schema + "_";
    for (const auto& index : partition->indexes)
      if (names_column(index.columns, plan.legacy->name))
        steps.push_back(index_step("restore.index_" + of + index.name, Phase::kContract,
                                   partition->qualified(), index.name, concurrent(index.definition)));
  }
  for (const auto& index : plan.table->indexes) {
    if (!names_column(index.columns, plan.legacy->name)) continue;
    const std::string id = "restore.index_" + index.name;
    if (plan.table->kind != 'p') {
      steps.push_back(index_step(id, Phase::kContract, table, index.name, concurrent(index.definition)));
      continue;
    }
    std::string create = index.definition;
    const std::string only = " ON ONLY " + table.to_sql() + " ";
    if (const auto at = create.find(only); at != std::string::npos) create.erase(at + 4, 5);
    Step step = metadata_step(plan, id, Phase::kContract,
                              fmt::format("make index {} of the indexes of its partitions", index.name),
                              {create}, index_ready_probe(table, index.name));
    step.lock_mode = "ShareLock";
    steps.push_back(std::move(step));
  }
}

void append_restored_parts(const ColumnPlan& plan, std::vector<Step>& steps) {
  const auto& legacy = *plan.legacy;
  const std::string column = force_quote_identifier(legacy.name);
  const std::string alter = "ALTER TABLE " + table_of(plan);
  if (legacy.default_expr) {
    steps.push_back(metadata_step(
        plan, "restore.default", Phase::kContract, fmt::format("give {} its default back", legacy.name),
        {fmt::format("{} ALTER COLUMN {} SET DEFAULT {}", alter, column, *legacy.default_expr)},
        attribute_probe(plan.sync.table, legacy.name, "a.atthasdef")));
  }
  for (const auto& constraint : plan.table->constraints) {
    if (!names_column(constraint.columns, legacy.name) || (constraint.kind != 'c' && constraint.kind != 'f'))
      continue;
    const bool valid_already = constraint.definition.ends_with("NOT VALID");
    const std::string name = force_quote_identifier(constraint.name);
    steps.push_back(metadata_step(plan, "restore.constraint_" + constraint.name, Phase::kContract,
                                  fmt::format("bring constraint {} back", constraint.name),
                                  {fmt::format("{} ADD CONSTRAINT {} {}{}", alter, name,
                                               constraint.definition, valid_already ? "" : " NOT VALID")},
                                  constraint_probe(plan.sync.table, constraint.name, "true")));
    if (!constraint.validated) continue;
    Step validate = metadata_step(plan, "restore.validate_" + constraint.name, Phase::kContract,
                                  fmt::format("check constraint {} on every row", constraint.name),
                                  {fmt::format("{} VALIDATE CONSTRAINT {}", alter, name)},
                                  constraint_probe(plan.sync.table, constraint.name, "k.convalidated"));
    validate.lock_mode = "ShareUpdateExclusiveLock";
    validate.blocks_writers = false;
    validate.statement_timeout = Millis{0};
    steps.push_back(std::move(validate));
  }
  append_restored_indexes(plan, steps);
  // A unique index alone would let the same rows in, but a foreign key or ON CONFLICT may name the
  // constraint.
  for (const auto& constraint : plan.table->constraints) {
    if (constraint.kind != 'u' || !names_column(constraint.columns, legacy.name)) continue;
    const std::string name = force_quote_identifier(constraint.name);
    const std::string deferrable = constraint.definition.substr(constraint.definition.rfind(')') + 1);
    steps.push_back(metadata_step(
        plan, "restore.unique_" + constraint.name, Phase::kContract,
        fmt::format("bring constraint {} back", constraint.name),
        {fmt::format("{} ADD CONSTRAINT {} UNIQUE USING INDEX {}{}", alter, name, name, deferrable)},
        constraint_probe(plan.sync.table, constraint.name, "true")));
  }
}

void append_restored_not_null(const ColumnPlan& plan, std::vector<Step>& steps) {
  if (!plan.legacy->not_null) return;
  const std::string name = derive_name({"poundlock", plan.sync.table.name, plan.legacy->name, "not_null"});
  const std::string column = force_quote_identifier(plan.legacy->name);
  const std::string alter = "ALTER TABLE " + table_of(plan);
  steps.push_back(metadata_step(
      plan, "restore.not_null", Phase::kContract, fmt::format("make {} NOT NULL again", plan.legacy->name),
      {fmt::format("{} ADD CONSTRAINT {} CHECK ({} IS NOT NULL) NOT VALID", alter,
                   force_quote_identifier(name), column)},
      fmt::format("SELECT ({}) OR ({})", constraint_probe(plan.sync.table, name, "true"),
                  attribute_probe(plan.sync.table, plan.legacy->name, "a.attnotnull"))));
  Step validate = metadata_step(
      plan, "restore.not_null_validate", Phase::kContract,
      fmt::format("prove that {} holds no NULL", plan.legacy->name),
      {fmt::format("{} VALIDATE CONSTRAINT {}", alter, force_quote_identifier(name))},
      fmt::format("SELECT ({}) OR ({})", constraint_probe(plan.sync.table, name, "k.convalidated"),
                  attribute_probe(plan.sync.table, plan.legacy->name, "a.attnotnull")));
  validate.lock_mode = "ShareUpdateExclusiveLock";
  validate.blocks_writers = false;
  validate.statement_timeout = Millis{0};
  steps.push_back(std::move(validate));
  steps.push_back(
      metadata_step(plan, "restore.not_null_set", Phase::kContract,
                    fmt::format("make {} NOT NULL again", plan.legacy->name),
                    {fmt::format("{} ALTER COLUMN {} SET NOT NULL", alter, column),
                     fmt::format("{} DROP CONSTRAINT IF EXISTS {}", alter, force_quote_identifier(name))},
                    attribute_probe(plan.sync.table, plan.legacy->name, "a.attnotnull")));
}

Step restore_open_step(const ColumnPlan& plan) {
  const std::string title =
      fmt::format("let both columns be written; {} wins a disagreement", plan.legacy->name);
  Step open = mode_step(plan, "restore.open_sync", Phase::kContract, title, SyncMode::kBoth);
  if (!plan.sync.default_at_drop) return open;
  // The default goes with the change of mode: a row that leaves both columns out is NULL in the old one
  // again.
  open = metadata_step(
      plan, open.id, open.phase, title,
      {open.sql.front(), fmt::format("ALTER TABLE {} ALTER COLUMN {} DROP DEFAULT", table_of(plan),
                                     force_quote_identifier(plan.sync.fresh.column))},
      fmt::format("SELECT ({}) AND NOT ({})", open.probe,
                  attribute_probe(plan.sync.table, plan.sync.fresh.column, "a.atthasdef")));
  return open;
}

}  // namespace

std::string column_list(const std::vector<std::string>& columns) {
  std::string text = "(";
  for (const auto& column : columns) text += (text.size() > 1 ? ", " : "") + force_quote_identifier(column);
  return text + ")";
}

Step index_step(const std::string& id, Phase phase, const schema::QualifiedName& table,
                const std::string& name, const std::string& create_sql) {
  const std::string quoted =
      fmt::format("{}.{}", force_quote_identifier(table.schema), force_quote_identifier(name));
  Step step;
  step.id = id;
  step.phase = phase;
  step.kind = StepKind::kStandalone;
  step.title = fmt::format("build index {} on {} while writers go on", name, table.to_sql());
  step.sql = {create_sql};
  step.probe = index_ready_probe(table, name);
  step.repair = {fmt::format("DROP INDEX CONCURRENTLY IF EXISTS {}", quoted)};
  step.repair_when = index_invalid_probe(table, name);
  step.relation = quoted_table(table);
  step.lock_mode = "ShareUpdateExclusiveLock";
  step.lock_timeout = Millis{0};  // a lock time-out in the middle would leave the index INVALID
  return step;
}

std::vector<Step> expand_steps(const ColumnPlan& plan) {
  const SyncSpec& sync = plan.sync;
  std::vector<Step> steps{add_column_step(plan),
                          trigger_step(plan, sync, "dual_write.sync_trigger", Phase::kDualWrite)};
  steps.push_back(row_step(plan, "dual_write.backfill", Phase::kDualWrite, StepKind::kBackfill,
                           fmt::format("bring {} of existing rows in step", sync.fresh.column)));
  steps.push_back(
      row_step(plan, "dual_write.verify", Phase::kDualWrite, StepKind::kVerify,
               fmt::format("compare {} with {} on every row", sync.fresh.column, sync.legacy.column)));
  for (const auto& index : plan.indexes) {
    const std::string create =
        fmt::format("CREATE {}INDEX CONCURRENTLY {} ON {} {}", index.unique ? "UNIQUE " : "",
                    force_quote_identifier(index.name), table_of(plan), column_list(index.columns));
    steps.push_back(
        index_step("dual_write.index_" + index.name, Phase::kDualWrite, sync.table, index.name, create));
  }
  if (sync.fresh.not_null) append_not_null(plan, steps);
  append_default(plan, steps);
  return steps;
}

std::vector<Step> open_steps(const ColumnPlan& plan) {
  Step both = mode_step(plan, "expose.open_sync", Phase::kExpose,
                        fmt::format("let {} be written too; {} wins a disagreement", plan.sync.fresh.column,
                                    plan.sync.legacy.column),
                        SyncMode::kBoth);
  both.undo = {create_sync_function(plan.sync, SyncMode::kLegacy)};
  Step fresh = mode_step(plan, "expose.open_sync_new", Phase::kExpose,
                         fmt::format("let {} win a disagreement", plan.sync.fresh.column), SyncMode::kNew);
  fresh.undo = {create_sync_function(plan.sync, SyncMode::kBoth)};
  return {std::move(both), std::move(fresh)};
}

std::vector<Step> close_steps(const ColumnPlan& plan) {
  const SyncSpec& sync = plan.sync;
  Step off = mode_step(plan, "dual_write.close_sync", Phase::kDualWrite,
                       fmt::format("stop keeping {} in step", sync.fresh.column), SyncMode::kOff);
  // Only where the function exists: a rollback of nothing must leave nothing.
  const std::string absent = function_absent_probe(sync_function(sync));
  off.sql = {"DO " + quote_literal(fmt::format("BEGIN IF NOT ({}) THEN EXECUTE {}; END IF; END", absent,
                                               quote_literal(off.sql.front())))};
  off.probe = fmt::format("SELECT ({}) OR ({})", absent, off.probe);
  return {std::move(off)};
}

std::vector<Step> contract_steps(const ColumnPlan& plan) {
  const SyncSpec& sync = plan.sync;
  std::vector<std::string> sql = drop_helpers(sync);
  sql.push_back(fmt::format("ALTER TABLE {} DROP COLUMN IF EXISTS {}", table_of(plan),
                            force_quote_identifier(sync.legacy.column)));
  if (sync.default_at_drop) sql.push_back(set_default(plan));
  Step drop = metadata_step(
      plan, "contract.drop", Phase::kContract,
      fmt::format("drop {} of {} together with its trigger", sync.legacy.column, sync.table.to_sql()),
      std::move(sql),
      fmt::format("SELECT ({}) AND ({})", column_absent_probe(sync.table, sync.legacy.column),
                  function_absent_probe(sync_function(sync))));
  drop.destructive = true;
  Step vacuum;
  vacuum.id = "contract.vacuum";
  vacuum.phase = Phase::kContract;
  vacuum.kind = StepKind::kStandalone;
  vacuum.title = fmt::format("vacuum and analyze {}", sync.table.to_sql());
  // Truncating the table's end would take its strongest lock, on the replicas too. From PostgreSQL 12 on.
  vacuum.sql = {fmt::format("VACUUM ({}ANALYZE) {}",
                            plan.server_version_num >= 120000 ? "TRUNCATE false, " : "", table_of(plan))};
  vacuum.relation = table_of(plan);
  vacuum.lock_mode = "ShareUpdateExclusiveLock";
  vacuum.lock_timeout = Millis{0};
  return {std::move(drop), std::move(vacuum)};
}

std::vector<Step> restore_steps(const ColumnPlan& plan) {
  ColumnPlan back = plan;
  back.sync = swapped(plan.sync);
  const auto& legacy = *plan.legacy;
  const std::string column = force_quote_identifier(legacy.name);
  std::vector<Step> steps;
  std::vector<std::string> sql{fmt::format("ALTER TABLE {} ADD COLUMN {} {}{}", table_of(plan), column,
                                           legacy.type,
                                           legacy.collation.empty() ? "" : " COLLATE " + legacy.collation)};
  append_grants(plan, legacy.name, sql);
  Step add = metadata_step(
      plan, "restore.add_column", Phase::kContract,
      fmt::format("add column {} {} to {} again", legacy.name, legacy.type, plan.sync.table.to_sql()),
      std::move(sql), column_probe(plan.sync.table, legacy.name, legacy.type));
  add.undo = drop_helpers(plan.sync);
  add.undo.push_back(fmt::format("ALTER TABLE {} DROP COLUMN IF EXISTS {}", table_of(plan), column));
  steps.push_back(std::move(add));
  steps.push_back(trigger_step(back, back.sync, "restore.sync_trigger", Phase::kContract));
  steps.push_back(row_step(back, "restore.backfill", Phase::kContract, StepKind::kBackfill,
                           fmt::format("fill {} through `down`", legacy.name)));
  steps.push_back(
      row_step(back, "restore.verify", Phase::kContract, StepKind::kVerify,
               fmt::format("compare {} with {} on every row", legacy.name, plan.sync.fresh.column)));
  append_restored_not_null(plan, steps);
  append_restored_parts(plan, steps);
  steps.push_back(restore_open_step(plan));
  return steps;
}

}  // namespace poundlock::change
