#include "rollout/statements.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <utility>

#include "rollout/question_text.h"
#include "schema/references.h"
#include "schema/sql.h"

namespace poundlock::rollout {
namespace {

constexpr std::size_t kStatementsReadMax = 2000;
constexpr std::size_t kScriptBytes = 1024 * 1024;
constexpr int kSingleParsesMax = 100;  // each costs a thread
constexpr std::string_view kHidden = "<insufficient privilege>";

// Column numbers of the question's rows.
enum Cell { kShared, kVersions, kClock, kText, kOwn, kCalls, kRows, kWalBytes, kWalFpi, kWalRecords };

// WAL columns are read through jsonb, since PostgreSQL 12's view has none.
constexpr std::string_view kSql = R"sql(
WITH RECURSIVE named AS (
  SELECT c.oid FROM unnest($1::text[], $2::text[]) AS t(s, n)
  JOIN pg_catalog.pg_namespace n ON n.nspname = t.s
  JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = t.n
), tree AS (
  SELECT oid FROM named
  UNION SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN tree ON tree.oid = i.inhparent
), ours AS (
  SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname IN (current_user, session_user)
), general AS (
  SELECT (SELECT count(*) FROM pg_catalog.pg_stat_activity a
          WHERE a.usesysid IN (SELECT oid FROM ours) AND a.datname = current_database()
            AND coalesce(a.backend_type, '') = 'client backend'
            AND a.application_name NOT LIKE 'poundlock%'
            AND a.application_name NOT IN ('pg_dump', 'psql')) AS shared,
         (SELECT coalesce(sum(s.n_tup_ins + s.n_tup_upd + s.n_tup_del), 0)
          FROM pg_catalog.pg_stat_all_tables s WHERE s.relid IN (SELECT oid FROM tree)) AS versions,
         extract(epoch FROM clock_timestamp()) AS clock
), statements AS (
  SELECT s.query, s.userid IN (SELECT oid FROM ours) AS own, s.calls, s.rows,
         to_jsonb(s) ->> 'wal_bytes' AS wal_bytes, to_jsonb(s) ->> 'wal_fpi' AS wal_fpi,
         to_jsonb(s) ->> 'wal_records' AS wal_records
  FROM {pg_stat_statements} s
  WHERE s.dbid = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = current_database())
    AND (s.query IS NULL OR s.query = '<insufficient privilege>'
         OR EXISTS (SELECT FROM unnest($2::text[]) AS t(n)
                    WHERE strpos(lower(replace(s.query, '""', '"')), lower(t.n)) > 0))
  ORDER BY s.calls DESC LIMIT 2001
)
SELECT g.shared, g.versions, g.clock, s.query, s.own, s.calls, s.rows, s.wal_bytes, s.wal_fpi, s.wal_records
FROM general g LEFT JOIN statements s ON true)sql";

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

// Whether the name stands in the text as a word of its own.
bool has_word(const std::string& text, std::string_view name) {
  const std::string wanted = lower(name);
  const auto part = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '$';
  };
  for (auto at = text.find(wanted); at != std::string::npos; at = text.find(wanted, at + 1)) {
    const bool begins = at == 0 || !part(text[at - 1]);
    const bool ends = at + wanted.size() >= text.size() || !part(text[at + wanted.size()]);
    if (begins && ends) return true;
  }
  return false;
}

StatementUse by_words(const std::string& statement, const Plan& plan) {
  const std::string text = lower(statement);
  StatementUse out;
  const auto side = [&](const std::vector<change::ColumnRef>& columns) {
    return std::any_of(columns.begin(), columns.end(), [&](const change::ColumnRef& column) {
      return has_word(text, column.table) && has_word(text, column.column);
    });
  };
  for (const auto& table : tables_of(plan))
    out.touches_tables = out.touches_tables || has_word(text, table.name);
  out.legacy = side(plan.legacy);
  out.fresh = out.fresh_read = side(plan.fresh);
  return out;
}

StatementUse by_tree(const schema::Statement& statement, const Plan& plan) {
  const schema::References found = schema::references(statement);
  StatementUse out;
  for (const auto& table : tables_of(plan)) {
    if (!schema::uses_relation(found, table)) continue;
    out.touches_tables = true;
    out.writes =
        out.writes || std::any_of(found.relations.begin(), found.relations.end(), [&](const auto& use) {
          return use.written && use.name.name == table.name &&
                 (use.name.schema.empty() || use.name.schema == table.schema);
        });
  }
  const auto side = [&](const std::vector<change::ColumnRef>& columns, bool& any, bool& reads) {
    for (const change::ColumnRef& column : columns) {
      const schema::Touch touch = schema::touches(found, {column.schema, column.table}, column.column);
      any = any || touch.any();
      reads = reads || touch.reads;
    }
  };
  bool legacy_read = false;
  side(plan.legacy, out.legacy, legacy_read);
  side(plan.fresh, out.fresh, out.fresh_read);
  const auto spreads = [&](const std::vector<schema::QualifiedName>& names) {
    return std::any_of(names.begin(), names.end(), [&](const schema::QualifiedName& name) {
      const auto tables = tables_of(plan);
      return std::any_of(tables.begin(), tables.end(), [&](const schema::QualifiedName& table) {
        return name.name == table.name && (name.schema.empty() || name.schema == table.schema);
      });
    });
  };
  out.star = spreads(found.star) || spreads(found.whole_row);
  // A dump lists whatever columns there are: that is SELECT * by another name, and the next one is made anew.
  if (out.legacy && out.fresh && spreads(found.copies_out)) {
    out.legacy = out.fresh = out.fresh_read = false;
    out.star = true;
  }
  return out;
}

std::string shortened(const std::string& query, double calls) {
  std::string line = query.substr(0, 80);
  std::replace_if(
      line.begin(), line.end(), [](char c) { return c == '\n' || c == '\t' || c == '\r'; }, ' ');
  while (!line.empty() && (static_cast<unsigned char>(line.back()) & 0xC0) == 0x80) line.pop_back();
  if (!line.empty() && static_cast<unsigned char>(line.back()) >= 0xC0) line.pop_back();
  return fmt::format("`{}{}` ({:.0f} calls)", line, query.size() > 80 ? "..." : "", calls);
}

class Tally {
 public:
  void add(const std::string& name, double value, const std::string& what = "") {
    Observation& observation = values_[name];
    observation.value += value;
    if (what.empty()) return;
    auto& names = names_[name];
    names.push_back(what);
    observation.detail = name_list(names, 3);
  }
  std::map<std::string, Observation> take() { return std::move(values_); }

 private:
  std::map<std::string, Observation> values_;
  std::map<std::string, std::vector<std::string>> names_;
};

using Row = std::vector<std::optional<std::string>>;

void add_statement(Tally& tally, const Row& row, const StatementUse& use) {
  const auto cell = [&](Cell column) { return number_in(row[column]).value_or(0); };
  const double calls = cell(kCalls);
  if (cell(kOwn) != 0) {
    if (use.writes) tally.add("own_rows", cell(kRows));
    return;
  }
  if (use.writes) {
    tally.add("write_calls", calls);
    tally.add("write_rows", cell(kRows));
    tally.add("wal_bytes", cell(kWalBytes));
    tally.add("wal_fpi", cell(kWalFpi));
    tally.add("wal_records", cell(kWalRecords));
    if (!row[kWalBytes]) tally.add("without_wal", calls);
  }
  const std::string what = shortened(*row[kText], calls);
  if (use.legacy) tally.add("legacy_refs", calls, what);
  if (use.fresh) tally.add("fresh_refs", calls, what);
  if (use.fresh_read) tally.add("fresh_reads", calls, what);
  if (use.star) tally.add("star", 1, what);
}

std::map<std::string, Observation> digest(const Question::Table& rows, const Plan& plan) {
  Tally tally;
  if (rows.empty()) return {};
  const auto general = [&](const std::string& name, Cell column) {
    if (const auto value = number_in(rows.front().at(column))) tally.add(name, *value);
  };
  general("shared_role", kShared);
  general("versions", kVersions);
  general("clock_s", kClock);
  double unreadable = 0;
  std::vector<const Row*> readable;
  std::vector<std::string> texts;
  for (const Row& row : rows) {
    if (!row[kCalls]) continue;  // the general row of a view without statements
    if (!row[kText] || *row[kText] == kHidden) {
      ++unreadable;
      continue;
    }
    readable.push_back(&row);
    texts.push_back(*row[kText]);
  }
  tally.add("unreadable", unreadable);
  tally.add("cut_off", rows.size() > kStatementsReadMax ? 1 : 0);
  if (unreadable > 0 || rows.size() > kStatementsReadMax) return tally.take();
  for (const char* name : {"write_calls", "write_rows", "own_rows", "legacy_refs", "fresh_refs",
                           "fresh_reads", "star", "wal_bytes", "wal_fpi", "wal_records", "without_wal"})
    tally.add(name, 0);
  const auto uses = uses_of(texts, plan);
  for (std::size_t i = 0; i < readable.size(); ++i) {
    if (uses[i].touches_tables) add_statement(tally, *readable[i], uses[i]);
  }
  return tally.take();
}

}  // namespace

Question statements_question(const Plan& plan) {
  Question out;
  out.name = "statements";
  out.sql = kSql;
  out.params = table_params(plan);
  out.every = Millis{3000};
  out.digest = digest;
  return out;
}

std::optional<std::string> statements_unknown(const GateInput& in) {
  if (in.value("collector.pg_stat_statements") == 0.0)
    return "the extension pg_stat_statements is not installed, so what applications run is not known";
  if (const auto hidden = in.value("statements.unreadable"); hidden && *hidden > 0) {
    return fmt::format(
        "pg_stat_statements hides the text of {:.0f} statements from this role: GRANT pg_read_all_stats",
        *hidden);
  }
  if (in.value("statements.cut_off").value_or(0) > 0)
    return fmt::format("more than {} statements name these tables: too many to read", kStatementsReadMax);
  if (const auto shared = in.value("statements.shared_role"); shared && *shared > 0) {
    return fmt::format(
        "{:.0f} sessions of others use Poundlock's own role, so that their statements look like ours: "
        "give Poundlock a role of its own",
        *shared);
  }
  if (!in.value("statements.clock_s")) return "pg_stat_statements has not been read within 15 s";
  return std::nullopt;
}

std::vector<StatementUse> uses_of(const std::vector<std::string>& texts, const Plan& plan) {
  std::vector<StatementUse> out(texts.size());
  std::size_t next = 0;
  int tries = kSingleParsesMax;
  while (next < texts.size()) {
    // Many statements to a script: each script costs the parser a thread.
    std::string script;
    std::vector<std::size_t> begins;
    const std::size_t first = next;
    while (next < texts.size() && (begins.empty() || script.size() + texts[next].size() < kScriptBytes)) {
      begins.push_back(script.size());
      script += texts[next++];
      script += "\n;\n";  // on a line of its own: the text may end in a comment
    }
    std::vector<bool> parsed(begins.size(), false);
    if (const auto result = schema::parse_script(script)) {
      for (const schema::Statement& statement : result->statements) {
        const auto at =
            std::upper_bound(begins.begin(), begins.end(), statement.offset()) - begins.begin() - 1;
        const auto index = static_cast<std::size_t>(at);
        out[first + index] = by_tree(statement, plan);
        parsed[index] = true;
      }
    }
    // One text with an open quote would spoil its neighbours: those get a try of their own.
    for (std::size_t i = 0; i < parsed.size(); ++i) {
      if (parsed[i]) continue;
      const std::string& text = texts[first + i];
      std::optional<schema::Statement> alone;
      if (tries-- > 0) {
        if (auto result = schema::parse_statement(text)) alone = *std::move(result);
      }
      out[first + i] = alone ? by_tree(*alone, plan) : by_words(text, plan);
    }
  }
  return out;
}

}  // namespace poundlock::rollout
