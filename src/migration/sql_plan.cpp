#include "migration/sql_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "change/table_sql.h"
#include "lint/partitions.h"
#include "migration/effect_probe.h"
#include "migration/once.h"
#include "migration/read_back.h"
#include "migration/reading.h"

namespace poundlock::migration {
namespace {

using change::Phase;
using change::Step;
using change::StepKind;
using lint::LockMode;
using lint::Work;
using schema::StatementKind;

// Bytes and rows a second on a disk and a processor of today, with others at work: for the order of
// magnitude.
constexpr double kScanBytes = 300e6;
constexpr double kBuildBytes = 60e6;
constexpr double kRewriteBytes = 60e6;
constexpr double kBackfillRows = 50e3;
constexpr double kCatalogSeconds = 0.01;
constexpr Millis kCatalogTimeout{10'000};
constexpr Millis kRowsTimeout{60'000};

std::string slug(const Entry& entry) {
  std::string text = to_string(entry.kind);
  if (entry.piece.backfill) text = "backfill";
  if (!entry.subject.name.empty()) text += "_" + entry.subject.name;
  std::string out;
  for (const char c : text) {
    const bool upper = c >= 'A' && c <= 'Z';
    const bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    const char one = upper ? static_cast<char>(c - 'A' + 'a') : plain ? c : '_';
    if (one == '_' && !out.empty() && out.back() == '_') continue;
    out += one;
  }
  return out.substr(0, 80);
}

const char* who_waits(LockMode mode) {
  if (mode == LockMode::kAccessExclusive) return "reads and writes";
  if (mode >= LockMode::kShare) return "writes";
  return mode == LockMode::kShareUpdateExclusive ? "schema changes" : "";
}

std::optional<double> seconds_of(const lint::LockInfo& lock, bool backfill, const schema::Catalog* catalog) {
  if (lock.work == Work::kCatalogOnly && !backfill && lock.mode != LockMode::kRowExclusive)
    return kCatalogSeconds;
  const schema::Table* table =
      catalog == nullptr || lock.relation.name.empty() ? nullptr : catalog->table(lock.relation);
  if (table == nullptr) return std::nullopt;
  const auto bytes = static_cast<double>(lint::bytes_of(*catalog, *table));
  const double rows = lint::rows_of(*catalog, *table);
  if (backfill) return rows < 0 ? std::nullopt : std::optional(rows / kBackfillRows);
  switch (lock.work) {
    case Work::kScan: return kCatalogSeconds + bytes / kScanBytes;
    case Work::kIndexBuild: return kCatalogSeconds + bytes / kBuildBytes;
    case Work::kRewrite: return kCatalogSeconds + bytes / kRewriteBytes;
    case Work::kCatalogOnly: return std::nullopt;  // rows of a statement's own choice
  }
  return std::nullopt;
}

std::string title_of(const Entry& entry) {
  if (!entry.piece.title.empty()) return entry.piece.title;
  std::string text;
  for (const char c : entry.piece.sql) {
    const bool space = c == ' ' || c == '\n' || c == '\t' || c == '\r';
    if (space && (text.empty() || text.back() == ' ')) continue;
    text += space ? ' ' : c;
  }
  constexpr std::size_t kTitleMax = 100;
  if (text.size() <= kTitleMax) return text;
  std::size_t end = kTitleMax;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;  // whole characters only
  return text.substr(0, end) + "...";
}

Millis statement_timeout(const Entry& entry) {
  if (entry.standalone || entry.piece.backfill || entry.lock.work != Work::kCatalogOnly) return Millis{0};
  const bool rows = entry.lock.mode <= LockMode::kRowExclusive && entry.lock.mode > LockMode::kNone;
  return rows ? kRowsTimeout : kCatalogTimeout;
}

SqlStep step_of(const Entry& entry, const schema::Catalog* catalog) {
  SqlStep out;
  Step& step = out.step;
  step.phase = entry.piece.phase;
  step.kind = entry.piece.backfill ? StepKind::kBackfill
              : entry.standalone   ? StepKind::kStandalone
                                   : StepKind::kTransaction;
  step.title = title_of(entry);
  if (!entry.piece.backfill) {
    step.sql = entry.prelude;
    step.sql.push_back(entry.piece.sql);
  }
  step.in_step = entry.piece.backfill;
  step.probe = entry.effect.probe;
  step.undo = entry.effect.undo;
  step.undo_standalone = entry.effect.undo_standalone;
  if (!entry.effect.repair.empty()) step.repair = {entry.effect.repair};
  step.repair_when = entry.effect.repair_when;
  if (!entry.lock.relation.name.empty()) step.relation = change::quoted_table(entry.lock.relation);
  step.lock_mode = pg_locks_name(entry.lock.mode);
  // In the middle of a concurrent build a time-out would leave the index invalid.
  step.lock_timeout = entry.standalone ? Millis{0} : Millis{50};
  step.statement_timeout = statement_timeout(entry);
  step.blocks_writers = entry.lock.blocks_writes();
  step.destructive = entry.effect.destructive;
  out.rewritten = entry.piece.rewritten;
  out.once = entry.piece.once;
  out.rewrites = entry.lock.work == Work::kRewrite;
  out.scans = entry.lock.work == Work::kScan || entry.lock.work == Work::kIndexBuild ||
              entry.piece.backfill.has_value();
  out.writes_rows = entry.piece.backfill.has_value() || entry.kind == StatementKind::kUpdate ||
                    entry.kind == StatementKind::kDelete || entry.kind == StatementKind::kInsert ||
                    entry.kind == StatementKind::kMerge;
  out.blocks = who_waits(entry.lock.mode);
  out.seconds = seconds_of(entry.lock, entry.piece.backfill.has_value(), catalog);
  out.file = entry.file;
  out.line = entry.line;
  return out;
}

// "search_path" of "SET search_path = app, public"; "" for any other statement.
std::string set_name(const std::string& sql) {
  if (!sql.starts_with("SET ")) return "";
  const auto end = sql.find_first_of(" =", 4);
  return sql.substr(4, end == sql.npos ? sql.npos : end - 4);
}

bool strong(const Entry& entry) {
  return entry.lock.mode >= LockMode::kShareUpdateExclusive && !entry.lock.relation.name.empty();
}

bool touches_rows(const Entry& entry) {
  return entry.lock.mode == LockMode::kRowExclusive && !entry.lock.relation.name.empty();
}

// Does it set what `setting` does, "SET LOCAL search_path = app", to something else?
bool sets_same(const Entry& entry, const std::string& setting) {
  const auto name = [](const std::string& text) { return text.substr(0, text.find_first_of("=", 0)); };
  return std::ranges::any_of(entry.prelude, [&](const auto& one) { return name(one) == name(setting); });
}

// May `next` commit together with `group`? What follows a strong lock would keep it longer; what the author
// put into one transaction and is quick stays together, so that a trigger is never missing for an instant.
bool together(std::span<const Entry* const> group, const Entry& next) {
  const Entry& last = *group.back();
  if (next.standalone || last.standalone || next.piece.backfill || last.piece.backfill) return false;
  if (next.piece.phase != last.piece.phase || next.transaction != last.transaction) return false;
  if (next.piece.joined) return true;
  if (next.piece.alone) return false;
  // What is no longer set could not be given back to it in the same transaction.
  for (const auto& setting : last.prelude)
    if (std::ranges::find(next.prelude, setting) == next.prelude.end() && !sets_same(next, setting))
      return false;
  for (const Entry* one : group) {
    if (one->piece.alone)
      return one->effect.destructive == false && one->subject == next.subject &&
             one->kind == StatementKind::kDrop;
    if (strong(*one) && touches_rows(next)) return false;
    if (touches_rows(*one) && strong(next)) return false;
    if (strong(*one) && strong(next) && one->lock.relation != next.lock.relation) return false;
  }
  return true;
}

// "SELECT NOT (x)" beside x: something is dropped and made again.
bool contradicts(const std::string& probe, std::span<const Entry* const> group) {
  constexpr std::string_view kNot = "SELECT NOT (";
  if (!probe.starts_with(kNot)) return false;
  std::string inner = probe.substr(kNot.size(), probe.size() - kNot.size() - 1);
  if (const auto where = inner.rfind(" WHERE true"); where != std::string::npos) inner.resize(where);
  // A probe of what is made says more of it behind the name.
  while (inner.ends_with(')')) inner.pop_back();
  return std::ranges::any_of(group, [&](const Entry* other) {
    return other->effect.probe != probe && other->effect.probe.find(inner) != std::string::npos;
  });
}

// A transaction is there whole or not at all: what one of its statements left tells of all, if it cannot have
// been there before.
std::string probe_of(std::span<const Entry* const> group) {
  const bool silent = std::ranges::any_of(group, [](const Entry* one) { return one->effect.probe.empty(); });
  std::string out;
  for (const Entry* one : group) {
    if (contradicts(one->effect.probe, group)) return "";
    if (silent && one->effect.undo.empty()) continue;
    out = both(out, one->effect.probe);
  }
  return out;
}

// Half of a transaction taken back would be neither the beginning nor the end.
bool can_be_undone(std::span<const Entry* const> group) {
  return std::ranges::all_of(group, [](const Entry* one) {
    return !one->effect.undo.empty() || one->effect.leaves_nothing || one->of_new;
  });
}

bool sets_path(const Entry& entry) {
  return std::ranges::any_of(
      entry.prelude, [](const std::string& one) { return one.find(" search_path") != std::string::npos; });
}

class Builder {
 public:
  Builder(Reading reading, const schema::Catalog* catalog, const SqlPlanOptions& options)
      : reading_(std::move(reading)), catalog_(catalog), search_path_(options.search_path) {
    out_.plan.rollout = options.name;
    out_.plan.profile = change::Profile::kAdditive;
  }

  SqlPlan build() && {
    std::ranges::stable_sort(reading_.entries, {}, [](const Entry& entry) { return entry.piece.phase; });
    std::vector<const Entry*> group;
    for (const Entry& entry : reading_.entries) {
      if (!group.empty() && !together(group, entry)) {
        close(group);
        group.clear();
      }
      group.push_back(&entry);
    }
    if (!group.empty()) close(group);
    out_.plan.notes = std::move(reading_.notes);
    out_.decisions = std::move(reading_.decisions);
    return std::move(out_);
  }

 private:
  std::string fresh_id(const Entry& entry) {
    const std::string id = fmt::format("{}.{}", change::to_string(entry.piece.phase), slug(entry));
    const int n = ++ids_[id];
    return n == 1 ? id : fmt::format("{}_{}", id, n);
  }

  // Sessions of ours see pg_catalog alone, and the author's names are written without their schema.
  std::string search_path(std::span<const Entry* const> group) const {
    std::vector<std::string> schemas = search_path_;
    if (sets_path(*group.front())) return "";
    for (const Entry* entry : group) {
      for (const auto* name : {&entry->subject, &entry->lock.relation})
        if (!name->schema.empty() && std::ranges::find(schemas, name->schema) == schemas.end())
          schemas.push_back(name->schema);
    }
    std::string out;
    for (const auto& schema : schemas) out += (out.empty() ? "" : ", ") + schema::quote_identifier(schema);
    return fmt::format("SET {}search_path = {}", group.front()->standalone ? "" : "LOCAL ", out);
  }

  void gates() {
    if (gated_) return;
    gated_ = true;
    rollout::Item item;
    item.id = "contract.references";
    item.kind = rollout::ItemKind::kGates;
    item.phase = Phase::kContract;
    item.title = "nothing reads what is dropped";
    item.moment = rollout::Moment::kBeforeDrop;
    out_.plan.items.push_back(std::move(item));
  }

  void close(std::span<const Entry* const> group) {
    ++transaction_group_;
    rollout::Item item;
    item.kind = rollout::ItemKind::kStep;
    item.phase = group.front()->piece.phase;
    if (item.phase == Phase::kContract && group.front()->kind != StatementKind::kVacuum) gates();
    Step whole;
    const bool undone = can_be_undone(group);
    const Entry* last = group.front();
    for (const Entry* entry : group) {
      SqlStep one = step_of(*entry, catalog_);
      if (!undone) one.step.undo.clear();
      one.step.id = fresh_id(*entry);
      one.transaction_group = transaction_group_;
      if (item.id.empty()) {
        item.id = one.step.id;
        item.title = one.step.title;
        whole = one.step;
      } else {
        item.title += "; " + one.step.title;
        // What the script has SET between the two.
        if (entry->prelude != last->prelude)
          whole.sql.insert(whole.sql.end(), entry->prelude.begin(), entry->prelude.end());
        whole.sql.push_back(entry->piece.sql);
        whole.undo.insert(whole.undo.begin(), one.step.undo.begin(), one.step.undo.end());
        if (one.step.blocks_writers && !whole.blocks_writers) {
          whole.relation = one.step.relation;
          whole.lock_mode = one.step.lock_mode;
        }
        whole.blocks_writers = whole.blocks_writers || one.step.blocks_writers;
        whole.undo_standalone = whole.undo_standalone || one.step.undo_standalone;
        whole.destructive = whole.destructive || one.step.destructive;
        whole.statement_timeout = std::max(whole.statement_timeout, one.step.statement_timeout);
      }
      last = entry;
      one.item = item.id;
      out_.plan.legacy.insert(out_.plan.legacy.end(), entry->dropped.begin(), entry->dropped.end());
      out_.steps.push_back(std::move(one));
    }
    whole.title = item.title;
    if (const auto path = search_path(group); !path.empty() && !whole.sql.empty())
      whole.sql.insert(whole.sql.begin(), path);
    whole.probe = probe_of(group);
    if (whole.probe.empty()) tell_of_second_run(group);
    // Outside a transaction a setting would stay for what comes behind it in the same session or file.
    if (group.front()->standalone)
      for (std::size_t i = 0, end = whole.sql.size(); i < end; ++i)
        if (const std::string name = set_name(whole.sql[i]); !name.empty())
          whole.sql.push_back("RESET " + name);
    item.step = std::move(whole);
    out_.plan.items.push_back(std::move(item));
  }

  void tell_of_second_run(std::span<const Entry* const> group) {
    for (const Entry* one : group)
      if (!one->piece.backfill && only_once(one->piece.sql))
        reading_.notes.push_back(fmt::format(
            "a second run would change the same rows once more, and nothing in the database tells whether "
            "the first has been: {}",
            title_of(*one)));
  }

  Reading reading_;
  const schema::Catalog* catalog_;
  std::vector<std::string> search_path_;
  SqlPlan out_;
  std::map<std::string, int> ids_;
  int transaction_group_ = 0;
  bool gated_ = false;
};

std::string joined(const std::vector<std::string>& statements) {
  std::string out;
  for (const auto& one : statements) {
    std::string_view text = one;
    while (!text.empty() && (text.back() == ';' || text.back() == '\n' || text.back() == ' '))
      text.remove_suffix(1);
    if (!text.empty()) out += fmt::format("{}{};", out.empty() ? "" : "\n", text);
  }
  return out;
}

}  // namespace

Result<SqlPlan> plan_sql(std::span<const Source> sources, const schema::Catalog* catalog,
                         const SqlPlanOptions& options) {
  Names names(catalog, options.search_path);
  PL_TRY(Reading reading, read_statements(sources, names));
  if (catalog != nullptr) read_back(reading.decisions, *catalog);
  return Builder(std::move(reading), catalog, options).build();
}

SqlStep seen(const Step& step, const schema::Catalog* catalog) {
  SqlStep out;
  out.step = step;
  out.item = step.id;
  lint::LockInfo strongest;
  for (const auto& sql : step.sql) {
    const auto statement = schema::parse_statement(sql);
    if (!statement) continue;
    const int server = catalog == nullptr ? lint::kOldestServer : catalog->server_version_num;
    const lint::LockInfo lock = lint::strongest_lock(*statement, server);
    strongest.work = std::max(strongest.work, lock.work);
    if (lock.mode > strongest.mode) strongest.mode = lock.mode;
  }
  if (const auto name = schema::parse_qualified_name(step.relation)) strongest.relation = *name;
  if (step.statement_timeout.count() > 0) strongest.work = Work::kCatalogOnly;  // as the operation knows it
  const bool backfill = step.kind == StepKind::kBackfill;
  out.writes_rows = backfill;
  out.rewrites = strongest.work == Work::kRewrite;
  out.scans = backfill || step.kind == StepKind::kVerify || strongest.work == Work::kScan ||
              strongest.work == Work::kIndexBuild;
  for (int mode = 1; mode <= 8; ++mode)
    if (step.lock_mode == pg_locks_name(static_cast<LockMode>(mode))) {
      out.blocks = who_waits(static_cast<LockMode>(mode));
      strongest.mode = static_cast<LockMode>(mode);
    }
  if (step.kind == StepKind::kVerify) strongest.work = Work::kScan;
  if (step.kind != StepKind::kCheck) out.seconds = seconds_of(strongest, backfill, catalog);
  return out;
}

std::string sql_text(const Step& step) {
  if (step.kind == StepKind::kBackfill && step.in_step)
    return fmt::format("UPDATE {} SET {} WHERE {};", step.in_step->table, step.in_step->assignment,
                       step.in_step->out_of_step);
  if (step.kind == StepKind::kVerify && step.in_step)
    return fmt::format("SELECT count(*) FROM {} WHERE {};", step.in_step->table,
                       step.open && !step.in_step->out_of_step_open.empty() ? step.in_step->out_of_step_open
                                                                            : step.in_step->out_of_step);
  return joined(step.sql);
}

std::string probe_text(const Step& step) {
  if (!step.probe.empty() || !step.in_step) return step.probe;
  return fmt::format("SELECT NOT EXISTS (SELECT FROM {} WHERE {})", step.in_step->table,
                     step.in_step->out_of_step);
}

std::string undo_text(const Step& step) {
  return joined(step.undo);
}

}  // namespace poundlock::migration
