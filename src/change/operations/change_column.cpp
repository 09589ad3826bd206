// change_column: replaces a column by another one (name, type, meaning) while both are in use.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "change/column_steps.h"
#include "change/operation.h"
#include "change/sync.h"
#include "change/table_sql.h"
#include "change/type_facts.h"
#include "change/value_cut.h"

namespace poundlock::change {
namespace {

struct Written {  // a setting with its place in the file
  std::string text;
  yaml::Node where;
};

struct WrittenIndex {
  Written name;
  std::vector<Written> columns;
  bool unique = false;
};

struct Settings {
  Written table, from, to_name, to_type, up, down;
  std::optional<Written> default_expr;
  std::optional<bool> not_null;
  std::vector<WrittenIndex> indexes;
};

Result<Written> written(yaml::Fields& fields, std::string_view key) {
  PL_TRY(const yaml::Node* node, fields.required(key));
  PL_TRY(auto text, node->as_string(key));
  return Written{std::move(text), *node};
}

Result<WrittenIndex> read_index(const yaml::Node& node) {
  PL_TRY(auto fields, yaml::Fields::of(node, "index"));
  WrittenIndex index;
  PL_TRY(index.name, written(fields, "name"));
  PL_TRY(const yaml::Node* columns, fields.required("columns"));
  if (columns->kind != yaml::Kind::kSequence || columns->items.empty()) {
    return fail(columns->error("change.bad_index", "columns: expected a list of column names"));
  }
  for (const auto& item : columns->items) {
    PL_TRY(auto text, item.as_string("columns"));
    index.columns.push_back({std::move(text), item});
  }
  if (const yaml::Node* unique = fields.optional("unique")) {
    PL_TRY(index.unique, unique->as_bool("unique"));
  }
  PL_CHECK(fields.finish());
  return index;
}

Status read_target(const yaml::Node& node, Settings& settings) {
  PL_TRY(auto fields, yaml::Fields::of(node, "to"));
  PL_TRY(settings.to_name, written(fields, "name"));
  PL_TRY(settings.to_type, written(fields, "type"));
  if (const yaml::Node* value = fields.optional("default")) {
    if (value->kind != yaml::Kind::kScalar)
      return fail(value->error("change.bad_default", "default: expected SQL"));
    settings.default_expr = Written{value->scalar, *value};  // 0 and true are SQL as well as YAML
  }
  return fields.finish();
}

Result<Settings> read_settings(const yaml::Node& node) {
  PL_TRY(auto fields, yaml::Fields::of(node, "change_column"));
  Settings settings;
  PL_TRY(settings.table, written(fields, "table"));
  PL_TRY(settings.from, written(fields, "from"));
  PL_TRY(const yaml::Node* to, fields.required("to"));
  PL_CHECK(read_target(*to, settings));
  PL_TRY(settings.up, written(fields, "up"));
  PL_TRY(settings.down, written(fields, "down"));
  if (const yaml::Node* not_null = fields.optional("not_null")) {
    PL_TRY(settings.not_null, not_null->as_bool("not_null"));
  }
  if (const yaml::Node* indexes = fields.optional("indexes")) {
    if (indexes->kind != yaml::Kind::kSequence) {
      return fail(indexes->error("change.bad_index", "indexes: expected a list"));
    }
    for (const auto& item : indexes->items) {
      PL_TRY(auto index, read_index(item));
      settings.indexes.push_back(std::move(index));
    }
  }
  PL_CHECK(fields.finish());
  return settings;
}

// An expression's columns must be there, and its functions found without a search_path.
Result<schema::Expression> read_expression(const Written& setting, std::string_view what,
                                           const schema::Table& table, std::string_view fresh,
                                           const schema::Catalog& catalog) {
  auto parsed = schema::parse_expression(setting.text);
  if (!parsed) return fail(in_file(std::move(parsed).error(), setting.where, what));
  for (const auto& column : parsed->columns) {
    if (!column.qualifier.empty() && column.qualifier != table.name) {
      return fail(setting.where.error(
          "change.foreign_column",
          fmt::format("{}: {}.{} is not a column of the row", what, column.qualifier, column.name)));
    }
    if (column.name == fresh) continue;
    auto known = find_column(table, column.name, setting.where);
    if (!known) return fail(in_file(std::move(known).error(), setting.where, what));
  }
  for (const auto& function : parsed->functions) {
    if (!function.schema.empty()) continue;
    for (const auto& known : catalog.functions) {
      if (known.name != function.name) continue;
      // The trigger runs under the application's search_path, the backfill under ours.
      return fail(setting.where
                      .error("change.unqualified_function",
                             fmt::format("{}: the function {} is found through search_path only", what,
                                         function.name))
                      .with_hint(fmt::format("write {}(...)",
                                             schema::QualifiedName{known.schema, known.name}.to_sql())));
    }
  }
  return std::move(*parsed);
}

// Rows that a policy hides from us would stay empty on the new side, and go with the old one.
Status check_every_row_is_seen(const schema::Table& table, const yaml::Node& where) {
  if (!table.policies_apply) return {};
  const std::string name = table.qualified().to_sql();
  return fail(
      where.error("change.rows_hidden", fmt::format("row security on {} may hide rows from this role", name))
          .with_hint(fmt::format("ALTER TABLE {} NO FORCE ROW LEVEL SECURITY until the rollout is "
                                 "over (the owner then sees every row, nobody else sees more), or "
                                 "use a role with BYPASSRLS",
                                 name)));
}

Status check_legacy(const schema::Table& table, const schema::Column& legacy, const yaml::Node& where) {
  const std::string shown = fmt::format("column {} of {}", legacy.name, table.qualified().to_sql());
  auto refuse = [&](const std::string& reason, std::string hint) {
    return fail(where.error("change.column_refused", shown + " " + reason).with_hint(std::move(hint)));
  };
  const auto& key = table.primary_key;
  if (std::find(key.begin(), key.end(), legacy.name) != key.end()) {
    return refuse("is part of the primary key: other tables and replication refer to rows by it",
                  "add the new key column by add_column and move the references first");
  }
  if (!legacy.generated.empty())
    return refuse("is generated: nobody writes it", "change the columns that it is made from");
  if (!legacy.identity.empty()) {
    return refuse("is an identity column: its default is volatile",
                  "drop the identity first, or keep the column");
  }
  if (!table.partition_key.empty()) {
    const auto open = table.partition_key.find('(');
    auto parsed =
        schema::parse_expression("ROW" + table.partition_key.substr(open == std::string::npos ? 0 : open));
    const bool inside = !parsed || std::find(parsed->column_names.begin(), parsed->column_names.end(),
                                             legacy.name) != parsed->column_names.end();
    if (inside) return refuse("is part of the partition key", "such a column can only change with its table");
  }
  return {};
}

// A constant as its bare literal: 'pending'::text and ('pending') are 'pending'. Empty where it is more.
std::string literal_of(std::string_view text) {
  if (text.size() < 2 || text.front() != '\'') return {};
  std::size_t end = 1;
  while (end < text.size()) {
    if (text[end] != '\'') {
      ++end;
    } else if (end + 1 < text.size() && text[end + 1] == '\'') {
      end += 2;
    } else {
      break;
    }
  }
  if (end >= text.size()) return {};
  const std::string_view rest = text.substr(end + 1);
  return rest.empty() || rest.starts_with("::") ? std::string(text.substr(0, end + 1)) : std::string();
}

// The new side's default has to be what `up` makes of the old one's; where the file alone cannot tell, the
// first step asks the server before it changes anything.
Status check_defaults(const SyncSpec& sync, const Settings& settings) {
  if (!sync.legacy.default_expr || !sync.fresh.default_expr) return {};
  const bool same = sync.up.columns.size() == 1 && sync.up.columns[0].name == sync.legacy.column &&
                    sync.up.columns[0].range.size() == sync.up.text.size();
  const std::string a = literal_of(*sync.legacy.default_expr), b = literal_of(*sync.fresh.default_expr);
  const bool texts = is_textual(sync.legacy.type) && is_textual(sync.fresh.type);
  if (!same || !texts || a.empty() || b.empty() || a == b) return {};
  return fail(
      settings.default_expr->where
          .error("change.default_mismatch",
                 fmt::format("the default {} is not what `up` makes of the default {} of {}", b, a,
                             sync.legacy.column))
          .with_hint("a row that leaves both columns out would be out of step; give both the same default"));
}

// Whether a NOT NULL new column could fail a writer of the old one.
Status check_not_null(const SyncSpec& sync, const Settings& settings) {
  const bool certain = up_is_safe(sync) && sync.legacy.not_null && sync.up.column_names.size() == 1 &&
                       sync.up.column_names[0] == sync.legacy.column;
  if (!sync.fresh.not_null || sync.fresh.default_expr || certain) return {};
  return fail(settings.up.where
                  .error("change.not_null_without_default",
                         fmt::format("`up` may fail or give NULL, and {} is to be NOT NULL without a default",
                                     sync.fresh.column))
                  .with_hint("give `to` a default for such rows, or write `not_null: false`"));
}

// An explicit cast makes of 'too long' a value that fits, on every row and without an error.
Status check_uncut(const schema::Expression& expression, const Written& setting, std::string_view what,
                   const SyncSpec& sync) {
  const std::string type = cutting_cast(expression, sync.column_types);
  if (type.empty()) return {};
  return fail(
      setting.where
          .error("change.cuts_values",
                 fmt::format("`{}` casts to {}, which cuts longer values off without an error", what, type))
          .with_hint("write the column without the cast: assigned to the other column, a value that is too "
                     "long is refused and named. Where cutting is meant, say so: left(column, length)"));
}

class ChangeColumn final : public Operation {
 public:
  explicit ChangeColumn(Settings settings) : settings_(std::move(settings)) {}
  Profile profile() const override { return Profile::kFull; }
  std::string title() const override {
    return fmt::format("{}.{} -> {} {}", settings_.table.text, settings_.from.text, settings_.to_name.text,
                       settings_.to_type.text);
  }
  Result<OperationPlan> plan(const schema::Catalog& catalog, std::string_view rollout) const override;

 private:
  Result<ColumnPlan> resolve(const schema::Catalog& catalog, std::string_view rollout) const;
  Result<IndexSpec> resolve_index(const WrittenIndex& index, const schema::Catalog& catalog,
                                  const schema::Table& table, const std::string& fresh) const;
  std::vector<std::string> notes(const ColumnPlan& plan) const;
  Settings settings_;
};

Result<IndexSpec> ChangeColumn::resolve_index(const WrittenIndex& index, const schema::Catalog& catalog,
                                              const schema::Table& table, const std::string& fresh) const {
  IndexSpec spec;
  PL_TRY(spec.name, new_name(index.name.text, index.name.where));
  PL_CHECK(check_relation_free(catalog, table.schema, spec.name, index.name.where));
  if (table.kind == 'p') {
    return fail(
        index.name.where
            .error("change.partitioned_index", "no index can be built concurrently on a partitioned table")
            .with_hint("create it on each partition first, then attach them to an index ON ONLY the parent"));
  }
  for (const auto& column : index.columns) {
    if (column.text == fresh || column.text == settings_.to_name.text) {
      spec.columns.push_back(fresh);
      continue;
    }
    PL_TRY(const schema::Column* known, find_column(table, column.text, column.where));
    spec.columns.push_back(known->name);
  }
  if (std::find(spec.columns.begin(), spec.columns.end(), fresh) == spec.columns.end()) {
    return fail(index.name.where
                    .error("change.bad_index",
                           fmt::format("index {} does not hold the new column {}", spec.name, fresh))
                    .with_hint("an index of other columns is an operation of its own: create_index"));
  }
  spec.unique = index.unique;
  return spec;
}

// Of all levels; those in between hold no rows.
std::vector<const schema::Table*> leaves_of(const schema::Catalog& catalog, const schema::Table& table) {
  std::set<schema::QualifiedName> parents{table.qualified()};
  for (std::size_t before = 0; before != parents.size();) {
    before = parents.size();
    for (const auto& one : catalog.tables)
      if (one.kind == 'p' && parents.contains(one.partition_of)) parents.insert(one.qualified());
  }
  std::vector<const schema::Table*> out;
  for (const auto& one : catalog.tables)
    if (one.is_partition && one.kind == 'r' && parents.contains(one.partition_of)) out.push_back(&one);
  return out;
}

Result<ColumnPlan> ChangeColumn::resolve(const schema::Catalog& catalog, std::string_view rollout) const {
  ColumnPlan plan;
  plan.server_version_num = catalog.server_version_num;
  PL_TRY(plan.table, find_table(catalog, settings_.table.text, settings_.table.where));
  const schema::Table& table = *plan.table;
  plan.partitions = leaves_of(catalog, table);
  PL_CHECK(check_every_row_is_seen(table, settings_.table.where));
  PL_TRY(plan.legacy, find_column(table, settings_.from.text, settings_.from.where));
  PL_CHECK(check_legacy(table, *plan.legacy, settings_.from.where));
  SyncSpec& sync = plan.sync;
  sync.table = table.qualified();
  sync.rollout = std::string(rollout);
  sync.key = table.primary_key;
  sync.legacy = {plan.legacy->name, plan.legacy->type, plan.legacy->default_expr, plan.legacy->not_null};
  if (sync.legacy.default_expr) {
    auto constant = check_constant(*sync.legacy.default_expr, settings_.from.where);
    if (!constant) {
      return fail(std::move(constant).error().with_hint(
          "the old column's default must be a constant while both columns "
          "are written: drop it or let the application send the value"));
    }
  }
  PL_TRY(sync.fresh.column, new_name(settings_.to_name.text, settings_.to_name.where));
  PL_CHECK(check_column_free(table, sync.fresh.column, settings_.to_name.where));
  sync.name = sync.fresh.column;
  PL_TRY(sync.fresh.type, check_type(catalog, settings_.to_type.text, settings_.to_type.where));
  if (settings_.default_expr) {
    PL_TRY(sync.fresh.default_expr,
           check_constant(settings_.default_expr->text, settings_.default_expr->where));
  }
  // Beside such an old column a default would hide who wrote a row; docs/adr/0008 tells why.
  sync.default_at_drop = sync.fresh.default_expr && !sync.legacy.default_expr && !sync.legacy.not_null;
  sync.fresh.not_null = settings_.not_null.value_or(plan.legacy->not_null);
  for (const auto& column : table.columns) {
    sync.collations = sync.collations || !column.collation.empty();
    sync.column_types.emplace_back(column.name, column.type);
  }
  sync.column_types.emplace_back(sync.fresh.column, sync.fresh.type);
  if (is_textual(sync.fresh.type) && is_textual(plan.legacy->type)) plan.collation = plan.legacy->collation;
  PL_TRY(sync.up, read_expression(settings_.up, "up", table, "", catalog));
  PL_TRY(sync.down, read_expression(settings_.down, "down", table, sync.fresh.column, catalog));
  PL_CHECK(check_uncut(sync.up, settings_.up, "up", sync));
  PL_CHECK(check_uncut(sync.down, settings_.down, "down", sync));
  PL_CHECK(check_defaults(sync, settings_));
  PL_CHECK(check_not_null(sync, settings_));
  for (const auto& index : settings_.indexes) {
    PL_TRY(auto spec, resolve_index(index, catalog, table, sync.fresh.column));
    plan.indexes.push_back(std::move(spec));
  }
  return plan;
}

std::vector<std::string> ChangeColumn::notes(const ColumnPlan& plan) const {
  std::vector<std::string> notes;
  const std::string& legacy = plan.legacy->name;
  auto has = [&](const std::vector<std::string>& columns) {
    return std::find(columns.begin(), columns.end(), legacy) != columns.end();
  };
  for (const auto& index : plan.table->indexes) {
    if (has(index.columns))
      notes.push_back(fmt::format("the drop of {} takes the index {} with it", legacy, index.name));
  }
  for (const auto& constraint : plan.table->constraints) {
    if (has(constraint.columns)) {
      notes.push_back(fmt::format("the drop of {} takes the constraint {} with it: {}", legacy,
                                  constraint.name, constraint.definition));
    }
  }
  if (plan.legacy->default_expr && !plan.sync.fresh.default_expr) {
    notes.push_back(
        fmt::format("{} has the default {}, {} has none: after the contract a row without a value holds NULL",
                    legacy, *plan.legacy->default_expr, plan.sync.fresh.column));
  }
  if (plan.sync.default_at_drop) {
    notes.push_back(fmt::format(
        "{} gets its default {} with the drop of {}, not before: until then a row that leaves both "
        "out gets what `up` makes of NULL, as its readers of {} expect",
        plan.sync.fresh.column, *plan.sync.fresh.default_expr, legacy, legacy));
  }
  if (plan.sync.key.empty()) {
    notes.push_back(fmt::format("{} has no primary key: rows out of step can be counted but not named",
                                plan.sync.table.to_sql()));
  }
  if (plan.table->row_security)
    notes.emplace_back("row security is on: FORCE must stay off, so that the owner sees every row");
  if (!up_is_safe(plan.sync))
    notes.emplace_back("where `up` fails on a row, the new column stays empty and verify names the row");
  return notes;
}

Result<OperationPlan> ChangeColumn::plan(const schema::Catalog& catalog, std::string_view rollout) const {
  PL_TRY(const ColumnPlan resolved, resolve(catalog, rollout));
  const auto& table = resolved.sync.table;
  OperationPlan plan;
  plan.steps = expand_steps(resolved);
  for (auto& step : contract_steps(resolved)) plan.steps.push_back(std::move(step));
  plan.open_sync = open_steps(resolved);
  plan.close_sync = close_steps(resolved);
  plan.restore = restore_steps(resolved);
  plan.legacy = {{table.schema, table.name, resolved.sync.legacy.column}};
  plan.fresh = {{table.schema, table.name, resolved.sync.fresh.column}};
  plan.notes = notes(resolved);
  return plan;
}

Result<std::unique_ptr<Operation>> parse(const yaml::Node& node) {
  PL_TRY(auto settings, read_settings(node));
  return std::unique_ptr<Operation>(std::make_unique<ChangeColumn>(std::move(settings)));
}

}  // namespace

const OperationKind& change_column() {
  static const OperationKind kind{
      .name = "change_column",
      .summary =
          "replaces a column by another one of a new name, type or meaning, with both in use meanwhile",
      .example =
          "table: orders\n"
          "from: legacy_status\n"
          "to: {name: new_status, type: varchar(32), default: \"'pending'\"}\n"
          "up: legacy_status\n"
          "down: new_status\n"
          "indexes: [{name: idx_orders_new_status, columns: [new_status]}]\n",
      .parse = &parse};
  return kind;
}

}  // namespace poundlock::change
