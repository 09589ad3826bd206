// CREATE of whatever has a name.
#include <fmt/format.h>

#include "change/table_sql.h"
#include "migration/effect.h"
#include "migration/effect_probe.h"
#include "migration/effect_same.h"
#include "schema/tree.h"

namespace poundlock::migration {
namespace {

using change::quoted_table;
using schema::as;
using schema::force_quote_identifier;
using schema::QualifiedName;
using schema::quote_literal;
using schema::text_of;

// Something that was not there before, unless IF NOT EXISTS let it be.
Effect made(std::string probe, std::string_view word, const std::string& name, bool may_be_older) {
  Effect effect;
  effect.probe = std::move(probe);
  if (!may_be_older) effect.undo = {fmt::format("DROP {} IF EXISTS {}", word, name)};
  return effect;
}

Effect create_index(const PgQuery__IndexStmt& index, const Names& names) {
  const QualifiedName table = names.resolve(schema::name_of(*index.relation));
  const std::string name(text_of(index.idxname));
  if (name.empty()) return {};  // which one it is, only PostgreSQL knows
  const std::string quoted =
      fmt::format("{}.{}", force_quote_identifier(table.schema), force_quote_identifier(name));
  const std::string traits = same_index(index);
  Effect effect;
  // On a partitioned table ONLY leaves an index that is not valid before those of the partitions are
  // attached.
  effect.probe =
      (index.relation->inh ? change::index_ready_probe(table, name) : change::index_there_probe(table, name));
  effect.probe.insert(effect.probe.rfind(')'), traits);
  const bool older = index.if_not_exists &&
                     (names.catalog() == nullptr || names.book().relation_taken({table.schema, name}));
  // IF NOT EXISTS is content with whatever has the name.
  if (index.if_not_exists)
    effect.probe =
        both(relation_probe({table.schema, name}), negated(change::index_invalid_probe(table, name)));
  if (!index.concurrent) {
    if (!older) effect.undo = {"DROP INDEX IF EXISTS " + quoted};
    return effect;
  }
  if (!older) {
    effect.undo = {"DROP INDEX CONCURRENTLY IF EXISTS " + quoted};
    effect.undo_standalone = true;
  }
  effect.repair = "DROP INDEX CONCURRENTLY IF EXISTS " + quoted;
  effect.repair_when = change::index_invalid_probe(table, name);
  return effect;
}

// Input parameters alone make two functions of one name different ones.
struct Arguments {
  std::string same;  // of pg_proc o: does it take these?
  std::size_t count = 0;
};

Arguments arguments_of(const PgQuery__CreateFunctionStmt& create) {
  Arguments out;
  for (std::size_t i = 0; i < create.n_parameters; ++i) {
    const auto* wrapped = create.parameters[i];
    if (wrapped == nullptr || wrapped->node_case != PG_QUERY__NODE__NODE_FUNCTION_PARAMETER) continue;
    const auto& parameter = *wrapped->function_parameter;
    const bool output = parameter.mode == PG_QUERY__FUNCTION_PARAMETER_MODE__FUNC_PARAM_TABLE ||
                        (parameter.mode == PG_QUERY__FUNCTION_PARAMETER_MODE__FUNC_PARAM_OUT &&
                         !create.is_procedure);  // a procedure's are among its arguments
    if (output || parameter.arg_type == nullptr) continue;
    out.same += " AND " + is_type(fmt::format("o.proargtypes[{}]", out.count), *parameter.arg_type);
    ++out.count;
  }
  out.same = fmt::format(" AND o.pronargs = {}", out.count) + out.same;
  return out;
}

std::size_t arguments_of(const schema::Function& function) {
  if (function.arguments.empty()) return 0;
  std::size_t out = 1;
  int depth = 0;
  for (const char c : function.arguments) {
    depth += (c == '(') - (c == ')');
    out += c == ',' && depth == 0 ? 1 : 0;
  }
  return out;
}

Effect create_function(const PgQuery__CreateFunctionStmt& create, const Names& names) {
  const QualifiedName name = names.resolve_new(schema::name_of(create.funcname, create.n_funcname));
  std::string body;
  for (std::size_t i = 0; i < create.n_options; ++i) {
    const auto* option = as<PgQuery__DefElem>(create.options[i]);
    if (option == nullptr || text_of(option->defname) != "as") continue;
    if (const auto* list = as<PgQuery__List>(option->arg); list != nullptr && list->n_items == 1)
      if (const auto* text = as<PgQuery__String>(list->items[0])) body = text_of(text->sval);
  }
  const Arguments arguments = arguments_of(create);
  Effect effect;
  // What CREATE OR REPLACE changes beside the body (volatility, rights, settings) the body does not tell of.
  if (!create.replace && !body.empty())
    effect.probe =
        named_probe("pg_proc", "pro", name, arguments.same + " AND o.prosrc = " + quote_literal(body));
  const schema::Function* before = nullptr;
  int overloads = 0;
  if (names.catalog() != nullptr)
    for (const auto& known : names.catalog()->functions)
      if (known.schema == name.schema && known.name == name.name && ++overloads == 1) before = &known;
  const std::string quoted =
      fmt::format("{}.{}", force_quote_identifier(name.schema), force_quote_identifier(name.name));
  if (overloads == 1 && create.replace && !before->definition.empty() && arguments.count == 0 &&
      arguments_of(*before) == 0)
    effect.undo = {before->definition};
  else if (overloads == 0 && names.catalog() != nullptr && !names.book().function_made(name))
    effect.undo = {
        fmt::format("DROP {} IF EXISTS {}", create.is_procedure ? "PROCEDURE" : "FUNCTION", quoted)};
  return effect;
}

Effect create_view(const PgQuery__ViewStmt& create, const Names& names) {
  const QualifiedName name = names.resolve_new(schema::name_of(*create.view));
  if (!create.replace)
    return made(relation_probe(name, " AND o.relkind = 'v' AND " + same_view_columns(create)), "VIEW",
                quoted_table(name), false);
  const schema::Table* before = names.table(name);
  if (before != nullptr) return effect_of_replaced_view(create, *before, names);
  return names.catalog() == nullptr ? Effect{}
                                    : made(relation_probe(name), "VIEW", quoted_table(name), false);
}

// What IF NOT EXISTS finds may be somebody else's, unless the catalog says that there is none.
bool may_be_older(bool if_not_exists, const QualifiedName& name, const Names& names) {
  return if_not_exists && (names.catalog() == nullptr || names.table(name) != nullptr);
}

Effect create_table_as(const PgQuery__CreateTableAsStmt& create, const Names& names) {
  if (create.into == nullptr || create.into->rel == nullptr) return {};
  const QualifiedName name = names.resolve_new(schema::name_of(*create.into->rel));
  const bool view = create.objtype == PG_QUERY__OBJECT_TYPE__OBJECT_MATVIEW;
  const char* kind = create.if_not_exists ? "" : view ? " AND o.relkind = 'm'" : " AND o.relkind = 'r'";
  return made(relation_probe(name, kind), view ? "MATERIALIZED VIEW" : "TABLE", quoted_table(name),
              may_be_older(create.if_not_exists, name, names));
}

// Every column with its type, and the key. Columns and constraints may have been added since.
std::string table_traits(const PgQuery__CreateStmt& create) {
  std::string out =
      fmt::format(" AND o.relkind = '{}' AND o.relispartition = {}", create.partspec != nullptr ? 'p' : 'r',
                  create.partbound != nullptr ? "true" : "false");
  bool key = false;
  const auto see = [&key](const PgQuery__Node* node) {
    const auto* one = as<PgQuery__Constraint>(node);
    key = key || (one != nullptr && one->contype == PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY);
  };
  for (std::size_t i = 0; i < create.n_table_elts; ++i) {
    see(create.table_elts[i]);
    const auto* column = as<PgQuery__ColumnDef>(create.table_elts[i]);
    if (column == nullptr) continue;
    for (std::size_t k = 0; k < column->n_constraints; ++k) see(column->constraints[k]);
    out += fmt::format(
        " AND EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = o.oid AND a.attname = {} AND "
        "NOT a.attisdropped AND {})",
        quote_literal(text_of(column->colname)), same_column(*column));
  }
  if (key)
    out +=
        " AND EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conrelid = o.oid AND k.contype = 'p')";
  return out;
}

Effect create_table(const PgQuery__CreateStmt& create, const Names& names) {
  const QualifiedName name = names.resolve_new(schema::name_of(*create.relation));
  return made(relation_probe(name, create.if_not_exists ? "" : table_traits(create)), "TABLE",
              quoted_table(name), may_be_older(create.if_not_exists, name, names));
}

// The kind, the type of its numbers and the column that it goes with.
std::string sequence_traits(const PgQuery__CreateSeqStmt& create, const Names& names) {
  std::string out = " AND o.relkind = 'S'";
  for (std::size_t i = 0; i < create.n_options; ++i) {
    const auto* option = as<PgQuery__DefElem>(create.options[i]);
    if (option == nullptr) continue;
    if (const auto* type = as<PgQuery__TypeName>(option->arg); type && text_of(option->defname) == "as")
      out += " AND " +
             is_type("(SELECT s.seqtypid FROM pg_catalog.pg_sequence s WHERE s.seqrelid = o.oid)", *type);
    const auto* owner = as<PgQuery__List>(option->arg);
    if (owner == nullptr || text_of(option->defname) != "owned_by" || owner->n_items < 2) continue;
    const QualifiedName table = names.resolve(schema::name_of(owner->items, owner->n_items - 1));
    const auto column = schema::strings(owner->items, owner->n_items).back();
    out += fmt::format(
        " AND EXISTS (SELECT FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class t ON t.oid = d.refobjid "
        "JOIN "
        "pg_catalog.pg_namespace m ON m.oid = t.relnamespace JOIN pg_catalog.pg_attribute a ON a.attrelid = "
        "t.oid AND a.attnum = d.refobjsubid WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = "
        "o.oid AND d.deptype = 'a' AND m.nspname = {} AND t.relname = {} AND a.attname = {})",
        quote_literal(table.schema), quote_literal(table.name), quote_literal(column));
  }
  return out;
}

Effect create_sequence(const PgQuery__CreateSeqStmt& create, const Names& names) {
  const QualifiedName name = names.resolve_new(schema::name_of(*create.sequence));
  const bool older =
      create.if_not_exists && (names.catalog() == nullptr || names.book().relation_taken(name));
  return made(relation_probe(name, create.if_not_exists ? "" : sequence_traits(create, names)), "SEQUENCE",
              quoted_table(name), older);
}

Effect create_enum(const PgQuery__CreateEnumStmt& create, const Names& names) {
  const QualifiedName name = names.resolve_new(schema::name_of(create.type_name, create.n_type_name));
  std::string labels;
  for (std::size_t i = 0; i < create.n_vals; ++i)
    if (const auto* label = as<PgQuery__String>(create.vals[i]))
      labels += (labels.empty() ? "" : ", ") + quote_literal(text_of(label->sval));
  return made(
      type_probe(name, fmt::format(" AND o.typtype = 'e' AND ARRAY(SELECT e.enumlabel::text FROM "
                                   "pg_catalog.pg_enum e WHERE e.enumtypid = o.oid) @> ARRAY[{}]::text[]",
                                   labels)),
      "TYPE", quoted_table(name), false);
}

Effect create_trigger(const PgQuery__CreateTrigStmt& create, const Names& names) {
  if (create.replace || create.relation == nullptr) return {};
  const QualifiedName table = names.resolve(schema::name_of(*create.relation));
  return {.probe = on_table_probe("pg_trigger", "tg", table, text_of(create.trigname), same_trigger(create)),
          .undo = {fmt::format("DROP TRIGGER IF EXISTS {} ON {}",
                               force_quote_identifier(text_of(create.trigname)), quoted_table(table))}};
}

Effect create_policy(const PgQuery__CreatePolicyStmt& create, const Names& names) {
  const QualifiedName table = names.resolve(schema::name_of(*create.table));
  return {.probe = on_table_probe("pg_policy", "pol", table, text_of(create.policy_name)),
          .undo = {fmt::format("DROP POLICY IF EXISTS {} ON {}",
                               force_quote_identifier(text_of(create.policy_name)), quoted_table(table))}};
}

Effect create_rule(const PgQuery__RuleStmt& create, const Names& names) {
  if (create.replace || create.relation == nullptr) return {};
  const QualifiedName table = names.resolve(schema::name_of(*create.relation));
  return {.probe = fmt::format(
              "SELECT EXISTS (SELECT FROM pg_catalog.pg_rewrite o JOIN pg_catalog.pg_class c ON c.oid = "
              "o.ev_class JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = {} AND "
              "c.relname = {} AND o.rulename = {} AND o.is_instead = {})",
              quote_literal(table.schema), quote_literal(table.name), quote_literal(text_of(create.rulename)),
              create.instead ? "true" : "false"),
          .undo = {fmt::format("DROP RULE IF EXISTS {} ON {}",
                               force_quote_identifier(text_of(create.rulename)), quoted_table(table))}};
}

Effect create_statistics(const PgQuery__CreateStatsStmt& create, const Names& names) {
  if (create.n_defnames == 0) return {};  // PostgreSQL names it
  const QualifiedName name = names.resolve_new(schema::name_of(create.defnames, create.n_defnames));
  return made(named_probe("pg_statistic_ext", "stx", name), "STATISTICS", quoted_table(name),
              create.if_not_exists);
}

Effect create_schema(const PgQuery__CreateSchemaStmt& create) {
  const std::string name(text_of(create.schemaname));
  if (name.empty()) return {};  // of AUTHORIZATION alone: the role's
  return made(simple_probe("pg_namespace", "nspname", name), "SCHEMA", force_quote_identifier(name),
              create.if_not_exists);
}

}  // namespace

Effect effect_of_create(const schema::Statement& statement, const Names& names) {
  const PgQuery__Node& node = *statement.node();
  switch (node.node_case) {
    case PG_QUERY__NODE__NODE_INDEX_STMT: return create_index(*node.index_stmt, names);
    case PG_QUERY__NODE__NODE_CREATE_STMT: return create_table(*node.create_stmt, names);
    case PG_QUERY__NODE__NODE_CREATE_TABLE_AS_STMT: return create_table_as(*node.create_table_as_stmt, names);
    case PG_QUERY__NODE__NODE_VIEW_STMT: return create_view(*node.view_stmt, names);
    case PG_QUERY__NODE__NODE_CREATE_FUNCTION_STMT: return create_function(*node.create_function_stmt, names);
    case PG_QUERY__NODE__NODE_CREATE_TRIG_STMT: return create_trigger(*node.create_trig_stmt, names);
    case PG_QUERY__NODE__NODE_CREATE_POLICY_STMT: return create_policy(*node.create_policy_stmt, names);
    case PG_QUERY__NODE__NODE_RULE_STMT: return create_rule(*node.rule_stmt, names);
    case PG_QUERY__NODE__NODE_CREATE_STATS_STMT: return create_statistics(*node.create_stats_stmt, names);
    case PG_QUERY__NODE__NODE_CREATE_SEQ_STMT: return create_sequence(*node.create_seq_stmt, names);
    case PG_QUERY__NODE__NODE_CREATE_ENUM_STMT: return create_enum(*node.create_enum_stmt, names);
    case PG_QUERY__NODE__NODE_COMPOSITE_TYPE_STMT: {
      const QualifiedName name = names.resolve_new(schema::name_of(*node.composite_type_stmt->typevar));
      return made(type_probe(name, " AND o.typtype = 'c'"), "TYPE", quoted_table(name), false);
    }
    case PG_QUERY__NODE__NODE_CREATE_DOMAIN_STMT: {
      const auto& create = *node.create_domain_stmt;
      const QualifiedName name = names.resolve_new(schema::name_of(create.domainname, create.n_domainname));
      const std::string base =
          create.type_name == nullptr ? "true" : is_type("o.typbasetype", *create.type_name);
      return made(type_probe(name, " AND o.typtype = 'd' AND " + base), "DOMAIN", quoted_table(name), false);
    }
    case PG_QUERY__NODE__NODE_CREATE_SCHEMA_STMT: return create_schema(*node.create_schema_stmt);
    case PG_QUERY__NODE__NODE_CREATE_EXTENSION_STMT: {
      const std::string name(text_of(node.create_extension_stmt->extname));
      return made(simple_probe("pg_extension", "extname", name), "EXTENSION", force_quote_identifier(name),
                  node.create_extension_stmt->if_not_exists);
    }
    default: return {};
  }
}

}  // namespace poundlock::migration
