// Sources: PostgreSQL's catalog pages (pg_index, pg_constraint, pg_trigger) and the typmods of its types.
#include "migration/effect_same.h"

#include <fmt/format.h>

#include <optional>
#include <vector>

#include "migration/check_text.h"
#include "migration/effect_probe.h"
#include "schema/tree.h"

namespace poundlock::migration {
namespace {

using schema::as;
using schema::quote_literal;
using schema::text_of;

std::string texts(const std::vector<std::string>& words) {
  std::string out;
  for (const auto& one : words) out += (out.empty() ? "" : ", ") + quote_literal(one);
  return "ARRAY[" + out + "]::text[]";
}

// The names of the columns of `table` whose numbers `keys` has, in its order.
std::string names_of(std::string_view table, std::string_view keys, std::string_view which = "true") {
  return fmt::format(
      "ARRAY(SELECT (SELECT a.attname FROM pg_catalog.pg_attribute a WHERE a.attrelid = {} AND a.attnum = "
      "key.attnum)::text FROM pg_catalog.unnest({}) WITH ORDINALITY key(attnum, place) WHERE {} ORDER BY "
      "key.place)",
      table, keys, which);
}

// As the type's input function keeps them; nullopt where nobody knows here.
std::optional<int> typmod_of(const PgQuery__TypeName& type) {
  std::vector<int> mods;
  for (std::size_t i = 0; i < type.n_typmods; ++i) {
    const auto* value = as<PgQuery__AConst>(type.typmods[i]);
    if (value == nullptr || value->val_case != PG_QUERY__A__CONST__VAL_IVAL) return std::nullopt;
    mods.push_back(value->ival->ival);
  }
  if (mods.empty()) return -1;
  constexpr int kHeader = 4;  // of a value of changing length
  const std::string name = schema::name_of(type.names, type.n_names).name;
  if (name == "varchar" || name == "bpchar") return mods[0] + kHeader;
  if (name == "numeric" && (mods.size() == 1 || mods[1] >= 0))
    return mods[0] * 65536 + (mods.size() > 1 ? mods[1] : 0) + kHeader;
  for (const char* plain : {"timestamp", "timestamptz", "time", "timetz", "bit", "varbit"})
    if (name == plain) return mods[0];
  return std::nullopt;
}

const char* true_or_false(bool value) {
  return value ? "true" : "false";
}

}  // namespace

std::string same_type(std::string_view oid, std::string_view typmod, const PgQuery__TypeName& type) {
  std::string out = is_type(oid, type);
  const auto mods = type.pct_type ? std::nullopt : typmod_of(type);
  if (mods) out += fmt::format(" AND {} = {}", typmod, *mods);
  return out;
}

std::string same_column(const PgQuery__ColumnDef& column) {
  std::string out =
      column.type_name == nullptr ? "true" : same_type("a.atttypid", "a.atttypmod", *column.type_name);
  for (std::size_t i = 0; i < column.n_constraints; ++i) {
    const auto* one = as<PgQuery__Constraint>(column.constraints[i]);
    if (one == nullptr) continue;
    switch (one->contype) {
      case PG_QUERY__CONSTR_TYPE__CONSTR_NOTNULL:
      case PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY: out += " AND a.attnotnull"; break;
      case PG_QUERY__CONSTR_TYPE__CONSTR_IDENTITY: out += " AND a.attidentity <> ''"; break;
      case PG_QUERY__CONSTR_TYPE__CONSTR_GENERATED: out += " AND a.attgenerated <> ''"; [[fallthrough]];
      case PG_QUERY__CONSTR_TYPE__CONSTR_DEFAULT:
        out +=
            " AND NOT EXISTS (SELECT FROM pg_catalog.pg_attrdef d WHERE d.adrelid = a.attrelid AND "
            "d.adnum = a.attnum AND NOT (" +
            printed_as("pg_catalog.pg_get_expr(d.adbin, d.adrelid)", one->raw_expr) + "))";
        break;
      default: break;
    }
  }
  return out;
}

std::string same_index(const PgQuery__IndexStmt& index) {
  std::vector<std::string> included;
  for (std::size_t i = 0; i < index.n_index_including_params; ++i)
    if (const auto* element = as<PgQuery__IndexElem>(index.index_including_params[i]))
      included.emplace_back(text_of(element->name));
  std::string keys;
  std::string options;
  std::string expressions;
  std::string classes;
  for (std::size_t i = 0; i < index.n_index_params; ++i) {
    const auto* element = as<PgQuery__IndexElem>(index.index_params[i]);
    if (element == nullptr) continue;
    const std::string_view column = text_of(element->name);
    keys += (i == 0 ? "" : ", ") + (column.empty() ? std::string("NULL") : quote_literal(column));
    if (column.empty())
      expressions += " AND " + printed_as(fmt::format("pg_catalog.pg_get_indexdef(x.oid, {}, false)", i + 1),
                                          element->expr);
    const bool descends = element->ordering == PG_QUERY__SORT_BY_DIR__SORTBY_DESC;
    const bool nulls_first = element->nulls_ordering == PG_QUERY__SORT_BY_NULLS__SORTBY_NULLS_DEFAULT
                                 ? descends
                                 : element->nulls_ordering == PG_QUERY__SORT_BY_NULLS__SORTBY_NULLS_FIRST;
    options += fmt::format("{}{}", i == 0 ? "" : ", ", (descends ? 1 : 0) + (nulls_first ? 2 : 0));
    const auto opclass = schema::strings(element->opclass, element->n_opclass);
    classes +=
        fmt::format(" AND (SELECT {} FROM pg_catalog.pg_opclass c WHERE c.oid = i.indclass[{}])",
                    opclass.empty() ? "c.opcdefault" : "c.opcname = " + quote_literal(opclass.back()), i);
  }
  const std::string_view method = text_of(index.access_method);
  return fmt::format(
      " AND i.indisunique = {} AND (i.indpred IS NOT NULL) = {} AND i.indnkeyatts = {} AND i.indnatts = {} "
      "AND (SELECT m.amname FROM pg_catalog.pg_am m WHERE m.oid = x.relam) = {} AND {} = ARRAY[{}]::text[] "
      "AND {} = {} AND ARRAY(SELECT pg_catalog.unnest(i.indoption::int2[])) = ARRAY[{}]::int2[] AND "
      "coalesce((pg_catalog.to_jsonb(i) ->> 'indnullsnotdistinct')::bool, false) = {}{}{}{}",
      true_or_false(index.unique), true_or_false(index.where_clause != nullptr), index.n_index_params,
      index.n_index_params + index.n_index_including_params, quote_literal(method.empty() ? "btree" : method),
      names_of("i.indrelid", "i.indkey::int2[]", fmt::format("key.place <= {}", index.n_index_params)), keys,
      names_of("i.indrelid", "i.indkey::int2[]", fmt::format("key.place > {}", index.n_index_params)),
      texts(included), options, true_or_false(index.nulls_not_distinct), expressions, classes,
      index.where_clause == nullptr
          ? ""
          : " AND " + printed_as("pg_catalog.pg_get_expr(i.indpred, i.indrelid)", index.where_clause));
}

std::string same_foreign_key(const PgQuery__Constraint& constraint, const Names& names) {
  const auto or_else = [](const char* given, std::string_view otherwise) {
    return quote_literal(text_of(given).empty() ? otherwise : text_of(given));
  };
  const auto referenced = names.resolve(constraint.pktable == nullptr ? schema::QualifiedName{}
                                                                      : schema::name_of(*constraint.pktable));
  std::string out = fmt::format(
      " AND k.contype = 'f' AND {} = {} AND EXISTS (SELECT FROM pg_catalog.pg_class r JOIN "
      "pg_catalog.pg_namespace m ON m.oid = r.relnamespace WHERE r.oid = k.confrelid AND r.relname = {} AND "
      "{}) AND k.confdeltype = {} AND k.confupdtype = {} AND k.confmatchtype = {} AND "
      "k.condeferrable = {} AND k.condeferred = {}",
      names_of("k.conrelid", "k.conkey"), texts(schema::strings(constraint.fk_attrs, constraint.n_fk_attrs)),
      quote_literal(referenced.name),
      names.catalog() != nullptr ? "m.nspname = " + quote_literal(referenced.schema) : "true",
      or_else(constraint.fk_del_action, "a"), or_else(constraint.fk_upd_action, "a"),
      or_else(constraint.fk_matchtype, "s"), true_or_false(constraint.deferrable),
      true_or_false(constraint.initdeferred));
  if (constraint.n_pk_attrs > 0)
    out += fmt::format(" AND {} = {}", names_of("k.confrelid", "k.confkey"),
                       texts(schema::strings(constraint.pk_attrs, constraint.n_pk_attrs)));
  return out;
}

std::string same_trigger(const PgQuery__CreateTrigStmt& trigger) {
  const auto function = schema::name_of(trigger.funcname, trigger.n_funcname);
  // The bits of tgtype are those of the syntax tree, and the lowest says FOR EACH ROW.
  std::string out = fmt::format(
      " AND o.tgtype = {} AND {} = {} AND o.tgnargs = {} AND (o.tgconstraint <> 0) = {} AND (o.tgqual IS NOT "
      "NULL) = {} AND (SELECT p.proname FROM pg_catalog.pg_proc p WHERE p.oid = o.tgfoid) = {}",
      (trigger.row ? 1 : 0) | trigger.timing | trigger.events, names_of("o.tgrelid", "o.tgattr::int2[]"),
      texts(schema::strings(trigger.columns, trigger.n_columns)), trigger.n_args,
      true_or_false(trigger.isconstraint), true_or_false(trigger.when_clause != nullptr),
      quote_literal(function.name));
  if (trigger.when_clause != nullptr)
    out +=
        " AND " +
        printed_as(R"(pg_catalog.regexp_replace(pg_catalog."substring"(pg_catalog.pg_get_triggerdef(o.oid), )"
                   R"('WHEN \((.*)\) EXECUTE '), '\m(old|new)\.', '', 'g'))",
                   trigger.when_clause);
  return out;
}

std::string same_view_columns(const PgQuery__ViewStmt& view) {
  std::vector<std::string> names = schema::strings(view.aliases, view.n_aliases);
  const auto* select = as<PgQuery__SelectStmt>(view.query);
  while (select != nullptr && select->larg != nullptr) select = select->larg;
  for (std::size_t i = names.size(); select != nullptr && i < select->n_target_list; ++i) {
    const auto* target = as<PgQuery__ResTarget>(select->target_list[i]);
    const auto* column = target == nullptr ? nullptr : as<PgQuery__ColumnRef>(target->val);
    const auto parts =
        column == nullptr ? std::vector<std::string>{} : schema::strings(column->fields, column->n_fields);
    std::string name(target == nullptr ? "" : text_of(target->name));
    if (name.empty() && !parts.empty()) name = parts.back();
    if (name.empty()) return "true";  // PostgreSQL chooses it, or * stands for several
    names.push_back(std::move(name));
  }
  if (names.empty()) return "true";
  return fmt::format(
      "ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a WHERE a.attrelid = o.oid AND a.attnum > 0 "
      "ORDER BY a.attnum) = {}",
      texts(names));
}

}  // namespace poundlock::migration
