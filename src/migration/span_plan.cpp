#include "migration/span_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "lint/context.h"
#include "lint/locks.h"
#include "lint/transaction_rules.h"
#include "migration/many_rows.h"
#include "schema/tree.h"

namespace poundlock::migration {
namespace {

using schema::Statement;
using schema::StatementKind;
using Kind = Protection::Kind;

bool is_boundary(StatementKind kind) {
  return kind == StatementKind::kBegin || kind == StatementKind::kCommit;
}

bool is_setting(StatementKind kind) {
  return kind == StatementKind::kSet || kind == StatementKind::kReset || kind == StatementKind::kSavepoint;
}

// May it stand in one transaction with what takes a strong lock?
bool is_quick(const Statement& statement, const SafeForm& form, const Names& names, bool accepted) {
  if (!form.decisions.empty() || form.pieces.size() != 1) return false;
  const Piece& piece = form.pieces.front();
  if (piece.backfill || piece.rewritten || !lint::needs_no_transaction(statement).what.empty()) return false;
  if (accepted || piece.proven) return true;
  const lint::LockInfo lock = lint::strongest_lock(statement, names.server_version());
  if (!lock.relation.name.empty() && names.is_new(names.resolve(lock.relation))) return true;
  return lock.work == lint::Work::kCatalogOnly && many_rows(statement, names).empty() &&
         maybe_many_rows(statement, names).empty();
}

std::string list_of(const Span& span) {
  std::vector<std::string> names;
  for (const auto& pair : span.pairs)
    if (const auto text = to_text(pair.what); std::ranges::find(names, text) == names.end())
      names.push_back(text);
  std::string out;
  constexpr std::size_t kNamesMax = 5;
  for (std::size_t i = 0; i < names.size() && i < kNamesMax; ++i) out += (i == 0 ? "" : ", ") + names[i];
  return names.size() > kNamesMax ? out + ", ..." : out;
}

std::string safe_way(const Protection& what) {
  switch (what.kind) {
    case Kind::kIndex:
      return "build the new index CONCURRENTLY under another name, exchange the names in one transaction "
             "(ALTER INDEX ... RENAME), then drop the old one CONCURRENTLY";
    case Kind::kConstraint:
      if (what.type == 'p' || what.type == 'u')
        return "build the new unique index CONCURRENTLY under another name, then in one ALTER TABLE: DROP "
               "CONSTRAINT of the old one, ADD CONSTRAINT ... USING INDEX";
      return "add the new constraint under another name NOT VALID, VALIDATE it, then in one transaction drop "
             "the old one and RENAME the new one (of a key or UNIQUE: build its index CONCURRENTLY first, "
             "and "
             "add it USING INDEX)";
    case Kind::kNotNull: return "leave NOT NULL on, and give the rows their value while it holds";
    case Kind::kDefault: return "leave the default, and exchange it by one SET DEFAULT";
    default:
      return fmt::format(
          "leave {} on, and let it pass the migration's own rows by: its function or condition asks "
          "current_setting('app.migration', true), which each batch of the change SETs LOCAL",
          to_text(what));
  }
}

SafeForm left_to_a_person(const schema::Script& script, const Span& span, const Names& names,
                          std::vector<Decision> inner) {
  SafeForm out;
  Decision decision;
  for (const auto at : span.about)
    decision.sql += (decision.sql.empty() ? "" : ";\n") + script.statements[at].text();
  decision.why = fmt::format(
      "{} is taken off and put back. As steps of their own, live traffic would write without it in between, "
      "and a stop in the middle would leave the database so; in one transaction, as it may have been meant, "
      "what stands between or builds or checks the new one would keep everybody out until its end",
      list_of(span));
  std::set<std::string> told;
  for (const auto& pair : span.pairs)
    if (auto way = safe_way(pair.what); told.insert(way).second) decision.choices.push_back(std::move(way));
  const bool replaces = std::ranges::any_of(span.pairs, [](const TakenOff& pair) {
    return pair.what.kind == Kind::kIndex || pair.what.kind == Kind::kConstraint;
  });
  if (names.catalog() == nullptr)
    decision.choices.emplace_back(
        fmt::format("give --database-url: {} is known then",
                    replaces ? "what is there now" : "whether few rows are changed"));
  decision.choices.emplace_back(
      "accept it in one transaction, in a quiet hour: -- poundlock: ignore RULE reason before the statement "
      "that takes long");
  out.decisions.push_back(std::move(decision));
  for (auto& one : inner) out.decisions.push_back(std::move(one));
  return out;
}

// `statement` with that action alone.
std::optional<Statement> alone(const Statement& statement, std::size_t which) {
  const auto ranges = statement.actions();
  if (which >= ranges.size()) return std::nullopt;
  auto one = schema::parse_statement(statement.text().substr(0, ranges.front().begin) +
                                     std::string(statement.slice(ranges[which])));
  return one ? std::optional(*std::move(one)) : std::nullopt;
}

// A foreign key that rests on the constraint keeps it from being dropped, and would be found behind the build
// of its index only.
bool is_referenced(const Names& names, const schema::Table& table, const schema::Constraint& old) {
  std::string columns;
  for (const auto& column : old.columns)
    columns += (columns.empty() ? "" : ", ") + schema::quote_identifier(column);
  for (const auto& other : names.catalog()->tables)
    for (const auto& one : other.constraints)
      if (one.kind == 'f' && one.references == table.qualified().to_sql() &&
          one.definition.find(fmt::format("({})", columns), one.definition.find(" REFERENCES ")) !=
              std::string::npos)
        return true;
  return false;
}

class Planner {
 public:
  Planner(const schema::Script& script, const Span& span, const Names& names, const FormOf& form_of,
          const std::function<bool(std::size_t)>& accepted)
      : script_(script), span_(span), names_(names), form_of_(form_of), accepted_(accepted) {}

  std::map<std::size_t, SpanStep> plan() {
    if (span_.first == span_.last && in_one_statement()) return std::move(out_);
    if (span_.first != span_.last && in_one_transaction()) return std::move(out_);
    out_.clear();
    if (by_replacing()) return std::move(out_);
    out_.clear();
    for (const auto at : span_.about) out_[at].left = true;
    auto& first = out_[span_.about.front()];
    first.left = false;
    first.form = left_to_a_person(script_, span_, names_, std::move(inner_));
    return std::move(out_);
  }

 private:
  const Statement& statement(std::size_t at) const { return script_.statements[at]; }

  // One ALTER TABLE that takes off and puts back; true where that is settled.
  bool in_one_statement() {
    const Statement& whole = statement(span_.first);
    bool quick = true;
    lint::each_action(whole, [&](const lint::Action& action) {
      const auto kind = action.command.subtype;
      quick = quick && lint::action_lock(action.command).work == lint::Work::kCatalogOnly &&
              kind != PG_QUERY__ALTER_TABLE_TYPE__AT_DropColumn &&
              kind != PG_QUERY__ALTER_TABLE_TYPE__AT_AddColumn &&
              kind != PG_QUERY__ALTER_TABLE_TYPE__AT_DetachPartition;
    });
    SafeForm form = form_of_(whole, names_, span_.first);
    if (!form.decisions.empty()) {
      // Half of the statement beside it would be the window itself.
      form.pieces.clear();
      form.notes.clear();
    } else if (quick) {
      form = {};
      form.add(whole.text());
      form.pieces.back().rewritten = false;
      form.pieces.back().alone = form.pieces.back().proven = true;
    } else if (form.pieces.size() != 1) {
      return false;
    }
    out_[span_.first].form = std::move(form);
    return true;
  }

  bool in_one_transaction() {
    Names names = names_;
    // Without NOT NULL for an instant, putting it back reads the table.
    bool quick = std::ranges::none_of(span_.pairs,
                                      [](const TakenOff& pair) { return pair.what.kind == Kind::kNotNull; });
    bool torn = false;  // the author's own transaction ends in between
    for (std::size_t at = span_.first; at <= span_.last; ++at) {
      const Statement& one = statement(at);
      torn = torn || is_boundary(one.kind());
      if (is_boundary(one.kind()) || is_setting(one.kind())) continue;
      SafeForm form = form_of_(one, names, at);
      const bool contract = form.pieces.size() == 1 &&
                            form.pieces.front().phase == change::Phase::kContract &&
                            lint::needs_no_transaction(statement_of(form, one)).what.empty();
      const bool fits = contract || is_quick(one, form, names, accepted_(at));
      quick = quick && fits;
      if (!fits && std::ranges::find(span_.about, at) != span_.about.end())
        std::ranges::move(form.decisions, std::back_inserter(inner_));
      names.after(one);
    }
    if (!quick || torn) return false;
    // Where one of them waits for the contract phase, all do: keep_together().
    for (std::size_t at = span_.first + 1; at <= span_.last; ++at) out_[at].joined = true;
    inner_.clear();
    return true;
  }

  static Statement statement_of(const SafeForm& form, const Statement& written) {
    auto one = schema::parse_statement(form.pieces.front().sql);
    return one ? *std::move(one) : written;
  }

  bool by_replacing() {
    if (names_.catalog() == nullptr) return false;
    for (const auto at : span_.about) {
      const auto owners = std::ranges::count_if(
          span_.pairs, [&](const TakenOff& pair) { return pair.off == at || pair.on == at; });
      if (owners != 1) return false;
    }
    inner_.clear();
    return std::ranges::all_of(span_.pairs, [&](const TakenOff& pair) { return replace(pair); });
  }

  bool replace(const TakenOff& pair) {
    const bool one = pair.off == pair.on;
    const std::size_t actions = statement(pair.off).actions().size();
    if (accepted_(pair.off) || accepted_(pair.on)) return false;
    if (one ? actions != 2 : actions > 1 || statement(pair.on).actions().size() > 1) return false;
    const auto off = one ? alone(statement(pair.off), 0) : std::optional(statement(pair.off));
    const auto on = one ? alone(statement(pair.on), 1) : std::optional(statement(pair.on));
    if (!off || !on) return false;
    Names names = names_;
    names.after(*off);
    SafeForm form;
    if (pair.what.kind == Kind::kIndex) {
      const auto* drop = schema::as<PgQuery__DropStmt>(off->node());
      const auto* table = names_.table_of_index(pair.what.table);
      if (table == nullptr || table->kind != 'r' || drop == nullptr || drop->n_objects != 1 ||
          drop->behavior == PG_QUERY__DROP_BEHAVIOR__DROP_CASCADE || !is_on(*on, *table))
        return false;
      const auto* old = table->index(pair.what.table.name);
      if (old == nullptr || table->constraint(old->name) != nullptr) return false;
      form = replaced_index(*on, names, *table, *old);
    } else {
      const auto* table = names_.table(pair.what.table);
      const auto* old = table == nullptr ? nullptr : table->constraint(pair.what.name);
      if (old == nullptr || (old->kind != 'p' && old->kind != 'u') || table->kind != 'r' ||
          old->definition.empty() || is_referenced(names_, *table, *old) || !drops_alone(*off))
        return false;
      form = replaced_key(*on, names, *old);
    }
    // What it leaves to a person is for all of the span: the DROP alone would be the window.
    if (!form.decisions.empty()) return false;
    for (auto& piece : form.pieces) piece.rewritten = true;
    out_[pair.off].done = true;
    out_[pair.on].done = false;
    out_[pair.on].form = std::move(form);
    return true;
  }

  bool is_on(const Statement& statement, const schema::Table& table) const {
    const auto* index = schema::as<PgQuery__IndexStmt>(statement.node());
    return index != nullptr && index->relation->inh && !index->if_not_exists &&
           names_.resolve(schema::name_of(*index->relation)) == table.qualified();
  }

  static bool drops_alone(const Statement& statement) {
    bool out = true;
    const auto* alter = schema::as<PgQuery__AlterTableStmt>(statement.node());
    lint::each_action(statement, [&](const lint::Action& action) {
      out = out && action.command.behavior != PG_QUERY__DROP_BEHAVIOR__DROP_CASCADE;
    });
    return out && alter != nullptr && alter->relation->inh && !alter->missing_ok;
  }

  const schema::Script& script_;
  const Span& span_;
  const Names& names_;
  const FormOf& form_of_;
  const std::function<bool(std::size_t)>& accepted_;
  std::map<std::size_t, SpanStep> out_;
  std::vector<Decision> inner_;
};

}  // namespace

std::map<std::size_t, SpanStep> plan_span(const schema::Script& script, const Span& span, const Names& names,
                                          const FormOf& form_of,
                                          const std::function<bool(std::size_t)>& accepted) {
  return Planner(script, span, names, form_of, accepted).plan();
}

}  // namespace poundlock::migration
