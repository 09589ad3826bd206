#include "change/sync.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

#include "change/type_facts.h"

namespace poundlock::change {
namespace {

using schema::derive_name;
using schema::force_quote_identifier;
using schema::quote_literal;

std::string quoted(const SyncSide& side) {
  return force_quote_identifier(side.column);
}

// `expression` on the row `row` ("NEW", "OLD"), or with bare column names where `row` is empty.
std::string on_row(const schema::Expression& expression, std::string_view row) {
  if (!row.empty()) return schema::qualify_columns(expression, row);
  return schema::rename_columns(expression, [](const schema::ExpressionColumn& column) {
    return std::optional(force_quote_identifier(column.name));
  });
}

std::string field(std::string_view row, const SyncSide& side) {
  return row.empty() ? quoted(side) : fmt::format("{}.{}", row, quoted(side));
}

// "a differs from b", never NULL. By image, since json has no equality, numeric and citext compare
// loosely; where equality is exact the plain comparison says the same three times as fast.
std::string differs(const SyncSpec& spec, std::string_view type, const std::string& a, const std::string& b) {
  const bool plain = equality_is_exact(type) && !(is_textual(type) && spec.collations);
  if (plain) return fmt::format("({} IS DISTINCT FROM ({})::{})", a, b, type);
  return fmt::format("pg_catalog.record_image_ne(ROW({}::{}), ROW(({})::{}))", a, type, b, type);
}

const std::string* type_of(const SyncSpec& spec, std::string_view column) {
  for (const auto& [name, type] : spec.column_types) {
    if (name == column) return &type;
  }
  return nullptr;
}

// The type of the expression where it is one column and nothing else.
const std::string* plain_column_type(const SyncSpec& spec, const schema::Expression& expression) {
  const bool plain = expression.columns.size() == 1 && expression.columns[0].range.begin == 0 &&
                     expression.columns[0].range.end == expression.text.size();
  return plain ? type_of(spec, expression.columns[0].name) : nullptr;
}

bool evaluation_is_safe(const SyncSpec& spec, const schema::Expression& expression, std::string_view to) {
  const std::string* from = plain_column_type(spec, expression);
  return from != nullptr && cast_is_safe(*from, to);
}

// differs(), where the comparison's cast to `type` may cut what an assignment refuses: rows whose new side
// holds the beginning of a longer value are out of step, or the rest of it would go with the old column.
// Spaces behind the length are cut by an assignment, too (SQL's rule for character types).
std::string differs_uncut(const SyncSpec& spec, std::string_view type, const std::string& a,
                          const schema::Expression& expression, std::string_view row) {
  const std::string b = on_row(expression, row);
  const std::string* from = plain_column_type(spec, expression);
  const std::string whole = whole_type(type);
  const std::string as_cast = differs(spec, type, a, b);
  if (whole.empty() || (from != nullptr && assignment_is_safe(*from, type))) return as_cast;
  const std::string cut = fmt::format(
      "pg_catalog.rtrim((({0})::{1})::text) COLLATE pg_catalog.\"C\" IS DISTINCT FROM "
      "pg_catalog.rtrim((({0})::{2})::text)",
      b, type, whole);
  return fmt::format("({} OR {})", as_cast, cut);
}

std::string fresh_differs(const SyncSpec& spec, std::string_view row) {
  return differs_uncut(spec, spec.fresh.type, field(row, spec.fresh), spec.up, row);
}

std::string legacy_differs(const SyncSpec& spec, std::string_view row) {
  return differs_uncut(spec, spec.legacy.type, field(row, spec.legacy), spec.down, row);
}

// Rule (a) for one direction: leaves the function where the sides are in step.
std::string return_if_equal(const std::string& differ, bool safe) {
  std::string test = fmt::format("  IF NOT {} THEN\n    RETURN NEW;\n  END IF;\n", differ);
  if (safe) return test;
  return fmt::format(
      "  BEGIN\n  {}  EXCEPTION WHEN OTHERS THEN\n    NULL;  -- fails on this row: out of step\n"
      "  END;\n",
      test);
}

std::string written_on_insert(const SyncSpec& spec, const SyncSide& side, bool has_default = true) {
  const std::string value = field("NEW", side);
  std::string text = fmt::format("{} IS NOT NULL", value);
  if (has_default && side.default_expr) text += " AND " + differs(spec, side.type, value, *side.default_expr);
  return text;
}

// Any column that `up` reads belongs to the legacy side: a change of it asks for a new derivation.
std::string legacy_written_on_update(const SyncSpec& spec) {
  auto changed = [](const std::string& column) {
    const std::string name = force_quote_identifier(column);
    return fmt::format("pg_catalog.record_image_ne(ROW(OLD.{0}), ROW(NEW.{0}))", name);
  };
  std::string text = changed(spec.legacy.column);
  for (const auto& column : spec.up.column_names) {
    if (column != spec.legacy.column && column != spec.fresh.column) text += " OR " + changed(column);
  }
  return text;
}

std::string derive_fresh(const SyncSpec& spec) {
  const std::string target = field("NEW", spec.fresh);
  const std::string value = on_row(spec.up, "NEW");
  const std::string fallback =
      spec.fresh.not_null && spec.fresh.default_expr ? *spec.fresh.default_expr : "NULL";
  std::string text;
  if (up_is_safe(spec)) {
    text = fmt::format("    {} := {};\n", target, value);
  } else {
    text = fmt::format(
        "    BEGIN\n      {0} := {1};\n    EXCEPTION WHEN OTHERS THEN\n"
        "      {0} := {2};  -- a mismatch, for writers of the old side must not fail\n    END;\n",
        target, value, fallback);
  }
  if (fallback != "NULL")
    text += fmt::format("    IF {0} IS NULL THEN\n      {0} := {1};\n    END IF;\n", target, fallback);
  return text;
}

std::string derive_legacy(const SyncSpec& spec) {
  const std::string target = field("NEW", spec.legacy);
  const std::string what =
      quote_literal(fmt::format("poundlock: {} of {} cannot be kept in {}: ", spec.fresh.column,
                                spec.table.to_sql(), spec.legacy.column));
  std::string text = fmt::format(
      "    BEGIN\n      {} := {};\n    EXCEPTION WHEN OTHERS THEN\n      RAISE EXCEPTION USING ERRCODE = "
      "SQLSTATE,\n"
      "        MESSAGE = {} || SQLERRM,\n        HINT = 'the old column stays complete until it is dropped; "
      "write a "
      "value that `down` can turn into it';\n    END;\n",
      target, on_row(spec.down, "NEW"), what);
  if (spec.legacy.not_null) {
    text += fmt::format(
        "    IF {} IS NULL THEN\n      RAISE EXCEPTION USING ERRCODE = 'not_null_violation',\n"
        "        MESSAGE = {} || '`down` gives NULL and the column must not be NULL';\n    END IF;\n",
        target, what);
  }
  return text;
}

std::string path_says_new(SyncMode mode) {
  // Missing or empty (a SET LOCAL that has ended leaves '') means: as the mode says.
  return fmt::format("coalesce(nullif(pg_catalog.current_setting('poundlock.path', true), ''), '{}') = 'new'",
                     mode == SyncMode::kNew ? "new" : "legacy");
}

std::string choose_direction(const SyncSpec& spec, SyncMode mode) {
  const std::string count = fmt::format("    PERFORM pg_catalog.nextval({}::pg_catalog.regclass);\n",
                                        quote_literal(sync_sequence(spec)));
  const bool only_legacy = mode == SyncMode::kLegacy;
  std::string text = fmt::format("  IF legacy_written AND fresh_written THEN\n{}    from_fresh := {};\n",
                                 count, path_says_new(mode));
  text += "  ELSIF legacy_written THEN\n    from_fresh := false;\n  ELSIF fresh_written THEN\n";
  // While legacy is the only authority a lone write to the new side is against the rules: counted, and
  // undone unless the writer says that it means the new side.
  text += only_legacy ? count + fmt::format("    from_fresh := {};\n", path_says_new(mode))
                      : std::string("    from_fresh := true;\n");
  if (only_legacy) {
    text += "  ELSE\n    from_fresh := false;\n";
  } else {
    // Nobody who writes the old side leaves it NULL where it must not be: then it was the new side's default.
    const bool legacy_needs_it = spec.legacy.not_null && !spec.legacy.default_expr;
    text += fmt::format(
        "  ELSIF TG_OP = 'INSERT' THEN\n    from_fresh := {};\n  ELSE\n    RETURN NEW;\n",
        mode == SyncMode::kNew || legacy_needs_it ? field("NEW", spec.fresh) + " IS NOT NULL" : "false");
  }
  return text + "  END IF;\n";
}

std::string which_were_written(const SyncSpec& spec) {
  std::string text = "  IF TG_OP = 'INSERT' THEN\n";
  text += fmt::format("    legacy_written := {};\n", written_on_insert(spec, spec.legacy));
  text += fmt::format("    fresh_written := {};\n  ELSE\n",
                      written_on_insert(spec, spec.fresh, !spec.default_at_drop));
  text += fmt::format("    legacy_written := {};\n", legacy_written_on_update(spec));
  text +=
      fmt::format("    fresh_written := pg_catalog.record_image_ne(ROW(OLD.{0}), ROW(NEW.{0}));\n  END IF;\n",
                  quoted(spec.fresh));
  return text;
}

// Derives nothing any more, but answers for what the expand has made of the new column: a row of the old
// side must not fail its NOT NULL, nor meet another one's default in a unique index. So turning the sync off
// takes no lock, and the column's own attributes may wait until it is dropped.
std::string body_when_off(const SyncSpec& spec) {
  const bool has_default = spec.fresh.default_expr && !spec.default_at_drop;
  if (!spec.fresh.not_null && !has_default) return "BEGIN\n  RETURN NEW;\nEND;\n";
  const std::string value =
      spec.fresh.not_null ? derive_fresh(spec) : fmt::format("    {} := NULL;\n", field("NEW", spec.fresh));
  return fmt::format("BEGIN\n  IF TG_OP = 'INSERT' AND NOT ({}) THEN\n{}  END IF;\n  RETURN NEW;\nEND;\n",
                     written_on_insert(spec, spec.fresh, has_default), value);
}

std::string body_of(const SyncSpec& spec, SyncMode mode) {
  if (mode == SyncMode::kOff) return body_when_off(spec);
  std::string text =
      "DECLARE\n  legacy_written boolean;\n  fresh_written boolean;\n  from_fresh boolean;\nBEGIN\n";
  text += which_were_written(spec);
  // A row that came in by the new side alone has no old side yet. It may be in step by accident, where
  // up(NULL) is the very value that was written; left alone, it would fail the old side's NOT NULL, or be
  // missed by those who read it there.
  const bool open = mode != SyncMode::kLegacy;
  if (open)
    text += fmt::format(
        "  IF TG_OP = 'INSERT' AND fresh_written AND {} IS NULL THEN\n    from_fresh := true;\n  ELSE\n",
        field("NEW", spec.legacy));
  text += return_if_equal(fresh_differs(spec, "NEW"), evaluation_is_safe(spec, spec.up, spec.fresh.type));
  if (open) {
    text +=
        return_if_equal(legacy_differs(spec, "NEW"), evaluation_is_safe(spec, spec.down, spec.legacy.type));
  }
  text += choose_direction(spec, mode);
  if (open) text += "  END IF;\n";
  text += "  IF from_fresh THEN\n" + derive_legacy(spec) + "  ELSE\n" + derive_fresh(spec) + "  END IF;\n";
  return text + "  RETURN NEW;\nEND;\n";
}

// FNV-1a: enough to tell two generated texts apart in a probe.
std::uint64_t hash_of(std::string_view text) {
  std::uint64_t hash = 14695981039346656037ULL;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  return hash;
}

const char* name_of(SyncMode mode) {
  switch (mode) {
    case SyncMode::kOff: return "off";
    case SyncMode::kLegacy: return "legacy";
    case SyncMode::kBoth: return "both";
    case SyncMode::kNew: return "new";
  }
  return "off";
}

// First line of the function: what the probes look for. It holds no name, so no name can forge it.
std::string marker(const SyncSpec& spec, SyncMode mode) {
  return fmt::format("-- poundlock sync, mode {}, body {:016x}", name_of(mode), hash_of(body_of(spec, mode)));
}

std::string dollar_tag(std::string_view body) {
  std::string tag = "$poundlock$";
  for (int n = 1; body.find(tag) != std::string_view::npos; ++n) tag = fmt::format("$poundlock{}$", n);
  return tag;
}

std::string helper(const SyncSpec& spec, std::string_view role) {
  return derive_name({spec.rollout, spec.table.schema, spec.table.name, spec.name, role});
}

std::string in_helper_schema(const std::string& name) {
  return fmt::format("{}.{}", force_quote_identifier(kHelperSchema), force_quote_identifier(name));
}

}  // namespace

SyncSpec swapped(const SyncSpec& spec) {
  SyncSpec other = spec;
  std::swap(other.legacy, other.fresh);
  std::swap(other.up, other.down);
  other.default_at_drop = false;  // the drop has come
  return other;
}

std::string sync_function(const SyncSpec& spec) {
  return in_helper_schema(helper(spec, "sync"));
}
std::string sync_sequence(const SyncSpec& spec) {
  return in_helper_schema(helper(spec, "conflicts"));
}

std::string sync_trigger(const SyncSpec& spec) {
  // BEFORE triggers fire by name: behind those that may still change the old side.
  return force_quote_identifier(derive_name({"zzz_poundlock", spec.rollout, spec.name}));
}

std::string rollout_comment(std::string_view rollout) {
  return fmt::format("poundlock rollout {}", rollout);
}

bool up_is_safe(const SyncSpec& spec) {
  const std::string* from = plain_column_type(spec, spec.up);
  return from != nullptr && assignment_is_safe(*from, spec.fresh.type);
}

InStep in_step(const SyncSpec& spec) {
  InStep result;
  result.table = fmt::format("{}.{}", force_quote_identifier(spec.table.schema),
                             force_quote_identifier(spec.table.name));
  for (const auto& column : spec.key) result.key.push_back(force_quote_identifier(column));
  // No cast: an assignment that does not fit must raise, where a cast would cut the value.
  result.assignment = fmt::format("{} = ({})", quoted(spec.fresh), on_row(spec.up, ""));
  result.out_of_step = fresh_differs(spec, "");
  result.conflicts = sync_sequence(spec);
  result.installed_probe = sync_installed_probe(spec);
  result.opened_probe = sync_mode_probe(spec, SyncMode::kNew);
  return result;
}

std::string out_of_step_open(const SyncSpec& spec) {
  return fmt::format("({} AND {})", fresh_differs(spec, ""), legacy_differs(spec, ""));
}

std::string create_sync_function(const SyncSpec& spec, SyncMode mode) {
  const std::string body = marker(spec, mode) + "\n" + body_of(spec, mode);
  const std::string tag = dollar_tag(body);
  return fmt::format("CREATE OR REPLACE FUNCTION {}() RETURNS trigger LANGUAGE plpgsql AS {}\n{}{}",
                     sync_function(spec), tag, body, tag);
}

std::string sync_mode_probe(const SyncSpec& spec, SyncMode mode) {
  return fmt::format(
      "SELECT EXISTS (SELECT FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = "
      "p.pronamespace WHERE n.nspname = {} AND p.proname = {} AND pg_catalog.strpos(p.prosrc, {}) > 0)",
      quote_literal(kHelperSchema), quote_literal(helper(spec, "sync")), quote_literal(marker(spec, mode)));
}

std::string trigger_condition(const SyncSpec& spec) {
  return up_is_safe(spec) ? fmt::format(" WHEN ({})", fresh_differs(spec, "NEW")) : "";
}

std::string sync_installed_probe(const SyncSpec& spec) {
  return fmt::format(
      "SELECT EXISTS (SELECT FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid JOIN "
      "pg_catalog.pg_namespace pn ON pn.oid = p.pronamespace JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid "
      "JOIN "
      "pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = {} AND c.relname = {} AND "
      "pn.nspname = "
      "{} AND p.proname = {} AND t.tgenabled IN ('O', 'A') AND pg_catalog.strpos(p.prosrc, {}) = 0)",
      quote_literal(spec.table.schema), quote_literal(spec.table.name), quote_literal(kHelperSchema),
      quote_literal(helper(spec, "sync")), quote_literal(marker(spec, SyncMode::kOff)));
}

}  // namespace poundlock::change
