#include "migration/reading.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <utility>

#include "lint/context.h"
#include "lint/ignore.h"
#include "lint/lint.h"
#include "lint/transaction_rules.h"
#include "migration/batches.h"
#include "migration/behind_drops.h"
#include "migration/copies.h"
#include "migration/effect_probe.h"
#include "migration/left_out.h"
#include "migration/made_again.h"
#include "migration/missing_table.h"
#include "migration/partition_locks.h"
#include "migration/settings.h"
#include "migration/span_plan.h"
#include "schema/text.h"
#include "schema/tree.h"

namespace poundlock::migration {
namespace {

using schema::as;
using schema::QualifiedName;
using schema::Statement;
using schema::StatementKind;
using schema::text_of;

// What these rules ask for, each step's own transaction gives.
bool solved_by_boundaries(std::string_view rule) {
  static const std::set<std::string_view> solved{"concurrently_in_transaction",
                                                 "vacuum_in_transaction",
                                                 "not_valid_and_validate_together",
                                                 "enum_value_in_transaction",
                                                 "nested_transaction",
                                                 "unfinished_transaction",
                                                 "work_under_lock",
                                                 "missing_timeouts",
                                                 "several_alters"};
  return solved.contains(rule);
}

class Reader {
 public:
  explicit Reader(Names& names) : names_(names), usual_path_(names.path()) {}

  Status read(const Source& source) {
    source_ = &source;
    PL_TRY(const schema::Script script, schema::parse_script(source.sql));
    for (const Error& error : script.errors) return fail(placed(error));
    const auto ignores = lint::ignore_comments(script);
    PL_CHECK(judge(script));
    settings_.clear();
    take_search_path();
    begun_ = false;
    transaction_ += 1;
    std::vector<std::set<std::string>> accepted(script.statements.size());
    for (const auto& ignore : ignores)
      if (ignore.problem.empty() && ignore.statement < accepted.size())
        for (const auto& rule : ignore.rules)
          if (rule != "missing_timeouts") accepted[ignore.statement].insert(rule);
    const auto spans = taken_off(script, names_);
    span_steps_.clear();
    for (std::size_t i = 0; i < script.statements.size(); ++i) {
      if (const auto span = spans.find(i); span != spans.end()) {
        const FormOf form_of = [&](const Statement& statement, const Names& names, std::size_t at) {
          SafeForm form = safe_form(statement, names, accepted[at]);
          if (accepted[at].empty()) settle(form, statement, at);
          return form;
        };
        span_steps_.merge(plan_span(script, span->second, names_, form_of,
                                    [&](std::size_t at) { return !accepted[at].empty(); }));
      }
      PL_CHECK(take(script.statements[i], accepted[i], i));
      if (out_.entries.size() > kPlannedStepsMax)
        return fail(user_error("plan.too_many", fmt::format("more than {} steps", kPlannedStepsMax)));
    }
    if (begun_)
      return fail(user_error("plan.open_transaction", "the script begins a transaction that it never commits")
                      .with_hint("write COMMIT where it ends")
                      .at({source.file, begun_line_, 1}));
    return {};
  }

  Reading finish() && {
    // The index may have come behind the key.
    for (auto& one : unindexed_)
      if (!names_.leads_new_index(one.table, one.column) &&
          std::ranges::find(out_.notes, one.note) == out_.notes.end())
        out_.notes.push_back(std::move(one.note));
    std::erase_if(out_.entries, [](const Entry& entry) { return entry.left_out; });
    return std::move(out_);
  }

 private:
  Error placed(Error error) const {
    SourcePosition where = error.where.value_or(SourcePosition{});
    where.file = source_->file;
    where.line = std::max(where.line, 1) + source_->line - 1;
    error.where = where;
    return error;
  }

  int line_of(const Statement& statement) const { return statement.position().line + source_->line - 1; }

  // What the rules say of each statement, with what the script did before it in view.
  Status judge(const schema::Script& script) {
    faults_.clear();
    lint::Options options{
        .in_transaction = source_->in_transaction, .timeouts_for_each = true, .catalog = names_.catalog()};
    // What is not a fault here must not use up the findings that the lint tells.
    for (const lint::Rule* rule : lint::all_rules())
      if (rule->severity != lint::Severity::kError || solved_by_boundaries(rule->id))
        options.disabled.emplace_back(rule->id);
    lint::Report report = lint::lint(source_->sql, source_->file, options);
    // Behind the last one told any statement may be a fault, and would be planned as it stands.
    if (report.truncated)
      return fail(
          user_error("plan.too_many",
                     fmt::format("more than {} statements need a person or another form", lint::kFindingsMax))
              .with_hint("split the file; `poundlock lint` names the first of them")
              .at({source_->file, source_->line, 1}));
    for (auto& finding : report.findings) {
      if (finding.severity != lint::Severity::kError || solved_by_boundaries(finding.rule)) continue;
      std::size_t at = 0;
      while (at + 1 < script.statements.size()) {
        const auto next = script.statements[at + 1].position();
        if (std::pair(finding.line, finding.column) < std::pair(next.line, next.column)) break;
        ++at;
      }
      faults_[at].push_back(std::move(finding));
    }
    return {};
  }

  // A statement that no form has changed although a rule refuses it: the rule's own rewrite where that is
  // whole, else a person decides. Nothing that lint calls an error may pass through a plan as it was written.
  void settle(SafeForm& form, const Statement& statement, std::size_t index) {
    const auto found = faults_.find(index);
    if (found == faults_.end() || !form.decisions.empty()) return;
    // Among several actions, too: no safe form is known of these.
    static const std::set<std::string_view> no_form{"triggers_off", "row_level_security"};
    const auto hidden = std::ranges::find_if(
        found->second, [](const lint::Finding& one) { return no_form.contains(one.rule); });
    if (form.pieces.size() > 1 && hidden != found->second.end()) {
      form.pieces.clear();
      form.notes.clear();
      return form.decide(statement, fmt::format("{}. {}", hidden->title, hidden->reason), {hidden->fix});
    }
    if (form.pieces.size() != 1) return;
    const Piece& piece = form.pieces.front();
    if (piece.rewritten || piece.proven) return;
    // The contract is the answer to a drop, but no gate there sees what other sessions have prepared.
    const bool contract = piece.phase == change::Phase::kContract;
    const auto open = std::ranges::find_if(found->second, [&](const lint::Finding& one) {
      return !contract || one.rule == "prepared_select_star";
    });
    if (open == found->second.end()) return;
    const lint::Finding& fault = *open;
    form.pieces.clear();
    if (!by_rewrite(form, fault))
      form.decide(statement, fmt::format("{}. {}", fault.title, fault.reason), {fault.fix});
  }

  SafeForm form_of(const Statement& statement, const std::set<std::string>& accepted, std::size_t index,
                   const SpanStep& span) {
    SafeForm form;
    if (auto missing = missing_table(statement, names_)) {
      form.decisions.push_back(*std::move(missing));
      return form;
    }
    if (span.form) return *span.form;
    form = safe_form(statement, names_, accepted);
    if (accepted.empty()) settle(form, statement, index);
    for (auto& piece : form.pieces) piece.joined = piece.joined || span.joined;
    return form;
  }

  Status take(const Statement& statement, const std::set<std::string>& accepted, std::size_t index) {
    switch (statement.kind()) {
      case StatementKind::kBegin:
        begun_ = true;
        begun_line_ = line_of(statement);
        ++transaction_;
        return {};
      case StatementKind::kCommit:
        begun_ = false;
        ++transaction_;
        settings_.end_transaction();
        take_search_path();
        return {};
      case StatementKind::kRollback:
      case StatementKind::kPreparedTransaction: return refuse(statement);
      case StatementKind::kSavepoint:
        if (statement.node()->transaction_stmt->kind ==
            PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK_TO)
          return refuse(statement);
        return {};
      case StatementKind::kSet:
      case StatementKind::kReset:
        // It would hold in every step that follows: session_replication_role, which turns triggers off.
        if (const auto fault = faults_.find(index); fault != faults_.end())
          return fail(user_error("plan.setting", fault->second.front().title)
                          .with_hint(std::string(fault->second.front().fix))
                          .at({source_->file, line_of(statement), statement.position().column}));
        return set(statement);
      default: break;
    }
    const auto found = span_steps_.find(index);
    const SpanStep span = found == span_steps_.end() ? SpanStep{} : std::move(found->second);
    if (!begun_ && !source_->in_transaction && !span.joined) ++transaction_;
    PL_CHECK(refuse_placeholder(statement));
    if (span.left) left_out_.add(statement);
    if (span.left || span.done || keeps_alembics_history(statement)) return {};
    if (merge_insert(statement)) return {};
    SafeForm form = form_of(statement, accepted, index, span);
    keep_settings(form, statement);
    if (const std::string needed = left_out_.needed_by(words_of(statement));
        !needed.empty() && form.decisions.empty()) {
      form.pieces.clear();
      form.decide(statement,
                  fmt::format("it needs {}, which a statement above it makes or changes, and that one "
                              "is left to a person",
                              schema::quote_identifier(needed)),
                  {"decide about that one first, and plan what is left then"});
    }
    if (!form.decisions.empty()) left_out_.add(statement);
    const auto position = statement.position();
    for (auto& decision : form.decisions) {
      decision.file = source_->file;
      decision.line = line_of(statement);
      decision.column = position.column;
      out_.decisions.push_back(std::move(decision));
    }
    for (auto& note : form.notes)
      if (std::ranges::find(out_.notes, note) == out_.notes.end()) out_.notes.push_back(std::move(note));
    std::ranges::move(form.unindexed, std::back_inserter(unindexed_));
    bool late = false;  // what one piece waits for, those behind it wait for
    met_again_ = false;
    for (auto& piece : form.pieces) {
      if (late) piece.phase = change::Phase::kContract;
      PL_CHECK(enter(std::move(piece), line_of(statement), form.pieces.size() == 1));
      late = !out_.entries.empty() && out_.entries.back().piece.phase == change::Phase::kContract;
    }
    return {};
  }

  // Batches run in transactions of their own, without what the script has SET, and find no names but their
  // own.
  void keep_settings(SafeForm& form, const Statement& statement) const {
    std::string unseen;
    bool batched = false;
    for (const Piece& piece : form.pieces) {
      if (!piece.backfill) continue;
      batched = true;
      if (unseen.empty()) unseen = needs_search_path(piece.sql, names_);
    }
    if (batched && names_.catalog() == nullptr && names_.path().size() > 1)
      if (const auto table = subject_of(statement); table.schema.empty() && !names_.is_new(table)) {
        form.pieces.clear();
        return form.decide(
            statement,
            fmt::format("its rows are brought to their value in batches, and in which schema of "
                        "the search_path {} is, no database tells",
                        table.to_sql()),
            {"give --database-url", "write " + table.to_sql() + " with its schema"});
      }
    const auto* other = settings_.other();
    if (!batched || (unseen.empty() && other == nullptr)) return;
    form.pieces.clear();
    const std::string what = unseen.empty() ? "do not know SET " + other->text
                                            : "see no schema but pg_catalog, and so not " + unseen;
    form.decide(statement, "its rows are brought to their value in batches, which " + what,
                {unseen.empty() ? "leave the SET out" : "write " + unseen + " with its schema"});
  }

  // What --sql prints for alembic_version is Alembic's own business: run as a step it would move the history
  // before the change is done, and once more when Alembic runs the files that are written of the plan.
  bool keeps_alembics_history(const Statement& statement) {
    if (source_->tool != Tool::kAlembic) return false;
    const PgQuery__Node* node = statement.node();
    std::string table;
    if (const auto* create = as<PgQuery__CreateStmt>(node)) table = text_of(create->relation->relname);
    if (const auto* insert = as<PgQuery__InsertStmt>(node)) table = text_of(insert->relation->relname);
    if (const auto* update = as<PgQuery__UpdateStmt>(node)) table = text_of(update->relation->relname);
    if (const auto* gone = as<PgQuery__DeleteStmt>(node)) table = text_of(gone->relation->relname);
    if (table != "alembic_version") return false;
    const std::string note = fmt::format(
        "alembic_version is left out of the steps: Alembic writes it for the files of --format alembic. "
        "Where "
        "the steps are run without it, `alembic stamp {}` tells it behind the last one",
        source_->version);
    if (std::ranges::find(out_.notes, note) == out_.notes.end()) out_.notes.push_back(note);
    return true;
  }

  // Flyway and Liquibase put a value there, in strings and bodies of functions, too; here nobody knows it.
  Status refuse_placeholder(const Statement& statement) const {
    if (source_->tool != Tool::kFlyway && source_->tool != Tool::kLiquibase) return {};
    for (const auto& token : statement.tokens()) {
      const std::string_view word = statement.slice(token.range);
      const auto at = word.find("${");
      const auto end = at == word.npos ? word.npos : word.find('}', at);
      if (end == word.npos || word.substr(at, end - at).find('\n') != word.npos) continue;
      const auto place = statement.position(token.range.begin + at);
      return fail(user_error("plan.placeholder", fmt::format("the value of {} is known to {} alone",
                                                             schema::printable(word.substr(at, end + 1 - at)),
                                                             to_string(source_->tool)))
                      .with_hint("plan the SQL with its value in the placeholder's stead")
                      .at({source_->file, place.line + source_->line - 1, place.column}));
    }
    return {};
  }

  Status refuse(const Statement& statement) const {
    const auto at = statement.position();
    return fail(user_error("plan.rollback",
                           fmt::format("{} takes back what stands before it: there is nothing to plan",
                                       to_string(statement.kind())))
                    .with_hint("leave it out, together with what it takes back")
                    .at({source_->file, line_of(statement), at.column}));
  }

  Status set(const Statement& statement) {
    if (auto taken = settings_.take(statement); !taken)
      return fail(
          std::move(taken).error().at({source_->file, line_of(statement), statement.position().column}));
    take_search_path();
    return {};
  }

  // The names of the statements that follow are in the schema that is set now: a RESET, the end of a
  // transaction and the next file set it, too.
  void take_search_path() {
    const auto* path = settings_.path();
    names_.set_path(path == nullptr ? usual_path_ : *path);
  }

  // A second INSERT of the same row that meets a conflict would do nothing: both columns go into one.
  bool merge_insert(const Statement& statement) {
    const auto* insert = as<PgQuery__InsertStmt>(statement.node());
    if (insert == nullptr || insert->on_conflict_clause == nullptr ||
        insert->on_conflict_clause->action != PG_QUERY__ON_CONFLICT_ACTION__ONCONFLICT_NOTHING)
      return false;
    const QualifiedName table = names_.resolve(schema::name_of(*insert->relation));
    for (auto it = out_.entries.rbegin(); it != out_.entries.rend() && it->transaction == transaction_;
         ++it) {
      if (it->kind != StatementKind::kInsert || it->subject != table) continue;
      // Of one list of columns: rows of one kind, as a script of seed data has them.
      if (it->columns == insert_columns(statement)) continue;
      const auto first = schema::parse_statement(it->piece.sql);
      if (!first) continue;
      if (const auto merged = merged_insert(*first, statement, names_)) {
        it->piece.sql = *merged;
        it->piece.rewritten = true;
        if (const auto now = schema::parse_statement(*merged)) it->columns = insert_columns(*now);
        out_.notes.push_back(
            fmt::format("two INSERTs of one row into {} are one that writes both sides: the second "
                        "would have met a conflict and done nothing",
                        it->subject.to_sql()));
        return true;
      }
      const auto at = statement.position();
      out_.decisions.push_back({source_->file,
                                line_of(statement),
                                at.column,
                                statement.text(),
                                "an INSERT before it in the same transaction may have made the row: then "
                                "this one meets a conflict and does "
                                "nothing, and the two sides part ways without an error",
                                {"write both columns in one INSERT",
                                 "let the sync trigger of a change_column rollout derive the new one"},
                                ""});
      return true;
    }
    return false;
  }

  void leave_to_a_person(const Entry& entry, std::string why, std::vector<std::string> choices) {
    out_.decisions.push_back(
        {entry.file, entry.line, 1, entry.piece.sql, std::move(why), std::move(choices), ""});
    if (const auto statement = schema::parse_statement(entry.piece.sql)) left_out_.add(*statement);
  }

  // A copy of rows and the drop of where they came from, with a phase of days in between.
  bool torn(const Entry& drop) {
    const std::string copy = copies_.before(out_.entries, drop);
    if (copy.empty()) return false;
    leave_to_a_person(
        drop,
        fmt::format(
            "a statement before it reads its rows: {}. What the application writes there between that "
            "one and the contract phase would be missing where they went",
            copy.substr(0, copy.find('\n'))),
        {"a rollout of change_column, which keeps both in step until nobody uses the old one",
         "drop it in a migration of its own, when nobody writes it any more"});
    return true;
  }

  // What a person still has to do may need the rows: gone they are for good, whatever the gates say.
  bool before_its_reader(const Entry& entry) {
    std::string reader;
    for (const auto& column : entry.dropped)
      if (reader.empty()) reader = left_out_.reader_of(column.table);
    for (const auto& name : entry.drops)
      if (reader.empty() && entry.kind == StatementKind::kDrop) reader = left_out_.reader_of(name);
    if (reader.empty()) return false;
    leave_to_a_person(
        entry,
        fmt::format("it drops data, and a statement before it, which may need that, is left to a "
                    "person: {}",
                    reader.substr(0, reader.find('\n'))),
        {"do that one first, and drop this in a migration of its own behind it"});
    return true;
  }

  void take_partition_lock(const Statement& statement, Entry& entry) {
    auto more = partition_locks_.of(statement, names_);
    partition_locks_.after(statement, names_);
    if (!more) return;
    entry.lock = std::move(more->lock);
    if (!more->note.empty() && std::ranges::find(out_.notes, more->note) == out_.notes.end())
      out_.notes.push_back(std::move(more->note));
  }

  // Nothing tells whether the drop has been run: a second run would take the new one, with its rows.
  bool again(const Statement& statement, Entry& entry) {
    const auto met = made_again_.met(statement, names_);
    if (met.why.empty()) return false;
    met_again_ = true;
    const auto leave_out = [&](Entry& one) {
      if (!std::exchange(one.left_out, true)) leave_to_a_person(one, met.why, met.choices);
    };
    for (const std::size_t place : met.places) leave_out(out_.entries[place]);
    leave_out(entry);
    return true;
  }

  Status enter(Piece piece, int line, bool single) {
    auto statement = schema::parse_statement(piece.sql);
    if (!statement)
      return fail(internal_error(
          fmt::format("a safe form does not parse: {}: {}", piece.sql, statement.error().message)));
    Entry entry;
    entry.file = source_->file;
    entry.line = line;
    entry.transaction = transaction_;
    entry.kind = statement->kind();
    entry.subject = names_.resolve(subject_of(*statement));
    if (const auto* insert = as<PgQuery__InsertStmt>(statement->node())) {
      entry.subject = names_.resolve(schema::name_of(*insert->relation));
      entry.columns = insert_columns(*statement);
    }
    entry.lock = lint::strongest_lock(*statement, names_.server_version());
    if (piece.proven) entry.lock.work = lint::Work::kCatalogOnly;
    entry.standalone = !lint::needs_no_transaction(*statement).what.empty();
    entry.effect = piece.backfill ? Effect{} : effect_of(*statement, names_);
    if (!piece.probe.empty()) entry.effect.probe = piece.probe;
    if (!piece.and_probe.empty()) entry.effect.probe = both(entry.effect.probe, piece.and_probe);
    if (!piece.undo.empty()) entry.effect.undo = {piece.undo};
    if (!piece.or_probe.empty() && !entry.effect.probe.empty())
      entry.effect.probe = fmt::format("SELECT ({}) OR ({})", entry.effect.probe, piece.or_probe);
    if (!entry.lock.relation.name.empty()) {
      if (names_.is_new(entry.lock.relation))
        entry.lock = referenced_lock(*statement);
      else if (entry.kind == StatementKind::kDrop || entry.kind == StatementKind::kReindex)
        relation_of_index(entry);
      else
        entry.lock.relation = names_.resolve(entry.lock.relation);
    }
    take_partition_lock(*statement, entry);
    if (entry.kind == StatementKind::kVacuum || entry.kind == StatementKind::kAnalyze ||
        entry.kind == StatementKind::kReindex)
      entry.effect.leaves_nothing = true;
    entry.of_new = about_new(*statement);
    dropped_columns(*statement, entry);
    entry.drops = dropped_names(*statement);
    for (const auto& one : settings_.all())
      entry.prelude.push_back((entry.standalone ? "SET " : "SET LOCAL ") + one.text);
    // What uses an object that is made again behind its drop has to stay behind it.
    const Words words = words_of(*statement);
    const bool follows = behind_drops_.must_follow(*statement, words, entry, names_);
    const bool drops = piece.phase == change::Phase::kContract;
    if (follows) piece.phase = change::Phase::kContract;
    entry.piece = std::move(piece);
    if (follows && !drops && single) keep_together(out_.entries, words, entry);
    if (entry.piece.phase == change::Phase::kContract) behind_drops_.add(*statement, entry, names_);
    if (drops && (torn(entry) || (entry.effect.destructive && before_its_reader(entry)))) return {};
    // The pieces behind it of the same statement speak of what is left out, too.
    if (again(*statement, entry) || (met_again_ && !left_out_.needed_by(words).empty())) return {};
    made_again_.add(*statement, out_.entries.size(), names_);
    copies_.add(*statement, entry, out_.entries.size(), names_);
    names_.after(*statement);
    out_.entries.push_back(std::move(entry));
    return {};
  }

  // A new table stops nobody, but its foreign key stops the writers of the one that it refers to.
  lint::LockInfo referenced_lock(const Statement& statement) const {
    lint::LockInfo out;
    lint::each_action(statement, [&](const lint::Action& action) {
      const auto* constraint = as<PgQuery__Constraint>(action.command.def);
      if (constraint == nullptr || constraint->pktable == nullptr) return;
      const QualifiedName table = names_.resolve(schema::name_of(*constraint->pktable));
      if (names_.is_new(table)) return;
      out.mode = lint::LockMode::kShareRowExclusive;
      out.relation = table;
    });
    return out;
  }

  bool about_new(const Statement& statement) const {
    bool some = false;
    bool all = true;
    const auto see = [&](const QualifiedName& name) {
      some = true;
      all = all && names_.is_new(name);
    };
    const PgQuery__Node* node = statement.node();
    if (node->node_case == PG_QUERY__NODE__NODE_COMMENT_STMT) {
      const auto& comment = *node->comment_stmt;
      const auto* list = as<PgQuery__List>(comment.object);
      const bool column = comment.objtype == PG_QUERY__OBJECT_TYPE__OBJECT_COLUMN;
      if (list != nullptr && (column || comment.objtype == PG_QUERY__OBJECT_TYPE__OBJECT_TABLE))
        see(schema::name_of(list->items, list->n_items - (column ? 1 : 0)));
    } else {
      schema::walk(schema::content(node), [&](const schema::Message* message) {
        if (const auto* relation = as<PgQuery__RangeVar>(message)) see(schema::name_of(*relation));
        return true;
      });
    }
    return some && all;
  }

  void relation_of_index(Entry& entry) const {
    if (const auto* table = names_.table_of_index(entry.lock.relation))
      entry.lock.relation = table->qualified();
    else
      entry.lock.relation = names_.resolve(entry.lock.relation);
  }

  void dropped_columns(const Statement& statement, Entry& entry) const {
    lint::each_action(statement, [&](const lint::Action& action) {
      if (action.command.subtype != PG_QUERY__ALTER_TABLE_TYPE__AT_DropColumn) return;
      const QualifiedName table = names_.resolve(action.table);
      entry.dropped.push_back({table.schema, table.name, action.name});
    });
    const auto* drop = as<PgQuery__DropStmt>(statement.node());
    if (drop == nullptr || drop->remove_type != PG_QUERY__OBJECT_TYPE__OBJECT_TABLE) return;
    for (std::size_t i = 0; i < drop->n_objects; ++i) {
      const auto* list = as<PgQuery__List>(drop->objects[i]);
      if (list == nullptr) continue;
      const auto* table = names_.table(schema::name_of(list->items, list->n_items));
      if (table == nullptr) continue;
      for (const auto& column : table->columns)
        entry.dropped.push_back({table->schema, table->name, column.name});
    }
  }

  Names& names_;
  const std::vector<std::string> usual_path_;
  const Source* source_ = nullptr;
  std::map<std::size_t, std::vector<lint::Finding>> faults_;  // by the statement's index in the source
  std::map<std::size_t, SpanStep> span_steps_;                // by the same
  Reading out_;
  Settings settings_;
  BehindDrops behind_drops_;
  LeftOut left_out_;
  PartitionLocks partition_locks_;
  Copies copies_;
  MadeAgain made_again_;
  bool met_again_ = false;  // a piece of the statement that is read makes again what the script drops
  std::vector<UnindexedKey> unindexed_;
  std::size_t transaction_ = 0;
  bool begun_ = false;
  int begun_line_ = 1;
};

}  // namespace

Result<Reading> read_statements(std::span<const Source> sources, Names& names) {
  Reader reader(names);
  for (const Source& source : sources) PL_CHECK(reader.read(source));
  return std::move(reader).finish();
}

}  // namespace poundlock::migration
