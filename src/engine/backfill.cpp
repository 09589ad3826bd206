#include "engine/backfill.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>

#include "engine/failing_rows.h"
#include "engine/ledger.h"
#include "engine/table_shape.h"
#include "engine/throttle.h"
#include "engine/verify.h"
#include "ports/cells.h"

namespace poundlock::engine {
namespace {

constexpr int kBatchTriesMax = 50;                  // of one batch that meets a table lock, a deadlock, ...
constexpr std::int64_t kGrowthWatchedFrom = 2'000;  // blocks: before, growth says nothing
constexpr double kGrowthMax = 0.7;  // of the blocks gone over; stripes that prune stay near 0.2

struct Checkpoint {
  int pass = 1;
  std::int64_t from = 0;  // the window that is worked on: blocks [from, to)
  std::int64_t to = 0;    // 0: the next window begins at `from`
  int stripe = 0;         // the next one of `stripes`
  int stripes = 1;
  std::uint64_t rows = 0;
  std::uint64_t pass_rows = 0;
  bool done = false;
};

double percentile_90(std::deque<double> times) {
  std::sort(times.begin(), times.end());
  return times[(times.size() * 9) / 10 < times.size() ? (times.size() * 9) / 10 : times.size() - 1];
}

class Run {
 public:
  Run(ports::Session& session, Replicas& replicas, Clock& clock, const BackfillOptions& options,
      const BackfillJob& job, const StopToken& stop, const ProgressCallback& progress)
      : session_(session),
        clock_(clock),
        options_(options),
        job_(job),
        stop_(stop),
        progress_(progress),
        throttle_(session, replicas, clock, options),
        batch_rows_(options.rows_start) {}

  Result<BackfillResult> run();

 private:
  enum class Batch { kDone, kLocked };

  Status pass(int number);
  Status leaf_pass(Leaf& leaf, int number);
  Status window(const Leaf& leaf, Checkpoint& at);
  Status batch(const Leaf& leaf, Checkpoint& at);
  Result<Batch> try_batch(const Leaf& leaf, Checkpoint& at, bool skip_locked);
  Result<Checkpoint> read_checkpoint(const Leaf& leaf, int number);
  Result<ports::Rows> commit(const Leaf& leaf, const std::string& sql, const Checkpoint& next);
  Status hold(const Leaf& leaf);
  Result<bool> relocated(Leaf& leaf);
  std::string update(const Leaf& leaf, const std::string& where, bool skip_locked) const;
  std::string rows_of(const Checkpoint& at) const;
  Error explain(const Leaf& leaf, const Checkpoint& at, Error error);
  Error no_progress(const VerifyResult& left) const;
  Error still_locked(const VerifyResult& left) const;
  int stripes_now(const Leaf& leaf, const Checkpoint& at) const;
  std::int64_t window_blocks(const Leaf& leaf, int stripes) const;
  void steer(double took_ms);
  void adapt();
  void tell(const std::string& held);
  double elapsed() const { return static_cast<double>((clock_.steady() - begin_).count()) / 1000.0; }

  ports::Session& session_;
  Clock& clock_;
  const BackfillOptions& options_;
  const BackfillJob& job_;
  const StopToken& stop_;
  const ProgressCallback& progress_;
  Throttle throttle_;
  TableShape shape_;
  BackfillResult result_;
  TimePoint begin_;
  TimePoint told_;
  std::deque<double> times_;  // ms of the newest 10 batches
  double batch_rows_;
  double shrunk_from_ = 0;  // rows of a batch before it was halved, and its p90 then; 0: not halved
  double shrunk_p90_ = 0;
  int windows_to_keep_ = 0;
  std::uint64_t set_now_ = 0;  // rows set by this run
  std::uint64_t changed_in_pass_ = 0;
  std::uint64_t locked_in_pass_ = 0;  // batches that met a locked row
  std::int64_t blocks_behind_ = 0;    // of the leaves that are done in this pass
  std::int64_t block_now_ = 0;
  std::int64_t blocks_at_start_ = 0;  // of the present leaf
  double wal_begin_ = 0;
};

std::string Run::rows_of(const Checkpoint& at) const {
  std::string where = block_range(shape_, at.from, at.to);
  const std::string stripe = stripe_condition(shape_, at.stripe, at.stripes);
  return stripe.empty() ? where : where + " AND " + stripe;
}

std::string Run::update(const Leaf& leaf, const std::string& where, bool skip_locked) const {
  const auto& in_step = job_.in_step;
  if (!skip_locked) {
    return fmt::format("UPDATE {} SET {} WHERE {} AND {}", leaf.name, in_step.assignment, where,
                       in_step.out_of_step);
  }
  return fmt::format(
      "UPDATE {0} SET {1} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {0} WHERE {2} AND {3} FOR NO KEY UPDATE "
      "SKIP "
      "LOCKED)) AND {3}",
      leaf.name, in_step.assignment, where, in_step.out_of_step);
}

Result<Checkpoint> Run::read_checkpoint(const Leaf& leaf, int number) {
  PL_TRY(
      const auto rows,
      session_.run("SELECT filenode, pass, from_block, to_block, stripe, stripes, rows, pass_rows, done FROM "
                   "poundlock.backfill WHERE rollout = $1 AND step = $2 AND relation = $3::oid",
                   {job_.rollout, job_.step, leaf.oid}));
  Checkpoint at;
  at.pass = number;
  if (rows.rows.empty()) return at;
  const auto& r = rows.rows[0];
  at.rows = static_cast<std::uint64_t>(ports::to_int(r[6]));
  const int pass = static_cast<int>(ports::to_int(r[1]));
  // A rewritten table has its rows elsewhere: the pass begins again. So does the next pass.
  if (ports::to_text(r[0]) != leaf.filenode || pass < number) return at;
  at.pass = pass;
  at.from = ports::to_int(r[2]);
  at.to = ports::to_int(r[3]);
  at.stripe = static_cast<int>(ports::to_int(r[4]));
  at.stripes = std::max(1, static_cast<int>(ports::to_int(r[5])));
  at.pass_rows = static_cast<std::uint64_t>(ports::to_int(r[7]));
  at.done = ports::to_bool(r[8]);
  return at;
}

// One transaction on the server: fence, UPDATE (none where the text is empty), checkpoint `next` with the
// rows that were changed added to it.
Result<ports::Rows> Run::commit(const Leaf& leaf, const std::string& sql, const Checkpoint& next) {
  auto text = [](auto value) { return ports::Cell(std::to_string(value)); };
  // BEGIN and COMMIT around the one statement: a connection that breaks under it is then known as in doubt.
  const std::vector<ports::Sql> all{
      {"BEGIN", {}},
      {"SELECT pg_catalog.set_config('lock_timeout', $1, true), pg_catalog.set_config('statement_timeout', "
       "'60s', true), "
       "pg_catalog.set_config('idle_in_transaction_session_timeout', '5s', true)",
       {fmt::format("{}ms", options_.lock_timeout.count())}},
      {"SELECT changed, took_ms FROM poundlock.backfill_batch($1::bigint, $2, ROW($3::text, $4::text, "
       "$5::oid, $6::oid, "
       "$7::int, $8::bigint, $9::bigint, $10::int, $11::int, $12::bigint, $13::bigint, $14::boolean, "
       "NULL::timestamptz)::poundlock.backfill)",
       {text(job_.generation), sql, job_.rollout, job_.step, leaf.oid, leaf.filenode, text(next.pass),
        text(next.from), text(next.to), text(next.stripe), text(next.stripes), text(next.rows),
        text(next.pass_rows), std::string(next.done ? "true" : "false")}},
      {"COMMIT", {}}};
  auto done = session_.pipeline(all);
  if (done) return std::move((*done)[2]);
  // A lost COMMIT is no harm: the checkpoint in the database tells whether the rows were set with it.
  if (!session_.broken()) PL_CHECK(session_.run("ROLLBACK"));
  return fail(std::move(done).error());
}

Result<Run::Batch> Run::try_batch(const Leaf& leaf, Checkpoint& at, bool skip_locked) {
  Checkpoint next = at;
  if (++next.stripe >= next.stripes) {
    next.from = next.to;
    next.to = 0;
    next.stripe = 0;
  }
  auto done = commit(leaf, update(leaf, rows_of(at), skip_locked), next);
  if (!done && done.error().code == "pg.lock_timeout") return Batch::kLocked;
  PL_CHECK(done);
  const auto rows = static_cast<std::uint64_t>(ports::to_int(done->rows.at(0)[0]));
  next.rows += rows;
  next.pass_rows += rows;
  at = next;
  set_now_ += rows;
  changed_in_pass_ += rows;
  ++result_.batches;
  steer(ports::to_double(done->rows[0][1]));
  return Batch::kDone;
}

Status Run::batch(const Leaf& leaf, Checkpoint& at) {
  bool skip_locked = false;
  for (int tries = 0; tries < kBatchTriesMax; ++tries) {
    PL_CHECK(hold(leaf));
    if (result_.stopped) return {};
    auto done = try_batch(leaf, at, skip_locked);
    if (done && *done == Batch::kDone) {
      if (options_.pause.count() > 0) clock_.sleep(options_.pause);
      return {};
    }
    if (!done && is_data_error(done.error())) return fail(explain(leaf, at, std::move(done).error()));
    if (!done && done.error().disposition != Disposition::kRetry) return fail(std::move(done).error());
    // Locked rows are left for the next pass: what holds them is writing them, through the trigger. Where
    // even that meets a lock, it is the table's, and we wait for its holder.
    if (skip_locked || !done) clock_.sleep(Millis{100});
    if (done && !skip_locked) {
      ++result_.skipped;
      ++locked_in_pass_;
    }
    skip_locked = true;
  }
  return fail(make_error(Disposition::kRetry, "backfill.locked",
                         fmt::format("{} stays locked by somebody", leaf.name)));
}

Error Run::explain(const Leaf& leaf, const Checkpoint& at, Error error) {
  auto rows = find_failing_rows(session_, shape_, leaf, at.from, std::max(at.to, at.from + 1),
                                [&](const std::string& where) { return update(leaf, where, false); });
  error.code = "backfill.up_fails";
  error.message = fmt::format("`up` fails on rows of {}: {}", leaf.name,
                              rows && !rows->keys.empty() ? rows->to_string() : error.message);
  error.hint = "correct these rows, or the expression; the backfill goes on where it stopped";
  return error;
}

// p90 of the last 10 batches against the target: quarter more, or half.
void Run::steer(double took_ms) {
  times_.push_back(took_ms);
  if (times_.size() > 10) times_.pop_front();  // those of the present size only: adapt() begins anew
}

void Run::adapt() {
  if (times_.empty()) return;
  const double target = static_cast<double>(options_.target.count());
  const double p90 = percentile_90(times_);
  if (p90 <= target) {
    batch_rows_ *= 1.25;
  } else if (shrunk_from_ > 0 && p90 > 0.75 * shrunk_p90_ && p90 < 5 * target) {
    // Half the rows took as long: the server is busy with something else, and more batches would only
    // disturb it more often. Back to the size before, and that is kept for a while.
    batch_rows_ = std::max(batch_rows_, shrunk_from_);
    shrunk_from_ = 0;
    windows_to_keep_ = 20;
  } else if (windows_to_keep_ == 0 || p90 >= 5 * target) {
    shrunk_from_ = batch_rows_;
    shrunk_p90_ = p90;
    batch_rows_ *= 0.5;
  }
  if (windows_to_keep_ > 0) --windows_to_keep_;
  times_.clear();
  // A batch whose WAL alone takes a replica past its limit could not be paused any more.
  const double wal_max = throttle_.batch_wal_max();
  const double rows_by_wal = wal_max > 0 ? wal_max / 400 : options_.rows_max;
  batch_rows_ = std::min({batch_rows_, rows_by_wal, static_cast<double>(options_.rows_max)});
  batch_rows_ = std::max(batch_rows_, static_cast<double>(options_.rows_min));
}

int Run::stripes_now(const Leaf& leaf, const Checkpoint& at) const {
  const bool no_hash = shape_.key.empty() && shape_.server_version_num < 140000;
  const double grown = static_cast<double>(leaf.blocks - blocks_at_start_);
  const bool grows = at.from > kGrowthWatchedFrom && grown > kGrowthMax * static_cast<double>(at.from);
  return no_hash || grows || throttle_.old_snapshot() ? 1 : options_.stripes;
}

std::int64_t Run::window_blocks(const Leaf& leaf, int stripes) const {
  const double in_block =
      std::max(1.0, leaf.blocks > 0 ? leaf.rows / static_cast<double>(leaf.blocks) : 60.0);
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(batch_rows_ * stripes / in_block));
}

// Waits while the throttle has a reason. Bounded: a hold that does not end is somebody's to look at.
Status Run::hold(const Leaf& leaf) {
  const TimePoint begin = clock_.steady();
  for (;;) {
    if (stop_.stop()) {
      result_.stopped = true;
      return {};
    }
    PL_TRY(const std::string why, throttle_.reason(leaf.oid));
    if (why.empty()) break;
    tell(why);
    if (clock_.steady() - begin > options_.hold_max) {
      return fail(
          make_error(Disposition::kRefused, "backfill.held", "the backfill was held for too long: " + why)
              .with_hint("remove the cause and start the step again; it goes on where it stopped"));
    }
    clock_.sleep(Millis{5});
  }
  result_.held_seconds += static_cast<double>((clock_.steady() - begin).count()) / 1000.0;
  return {};
}

Status Run::window(const Leaf& leaf, Checkpoint& at) {
  if (at.to == 0) {
    at.stripes = stripes_now(leaf, at);
    at.stripe = 0;
    at.to = std::min(leaf.blocks, at.from + window_blocks(leaf, at.stripes));
  }
  const std::int64_t end = at.to;
  while (at.to == end && at.from < end) {
    PL_CHECK(batch(leaf, at));
    if (result_.stopped) return {};
  }
  block_now_ = at.from;
  adapt();
  tell({});
  return {};
}

// Reads where the table is now; true when its rows have moved to another file.
Result<bool> Run::relocated(Leaf& leaf) {
  PL_TRY(
      const auto now,
      session_.run("SELECT pg_catalog.pg_relation_filenode($1::oid), pg_catalog.pg_relation_size($1::oid) / "
                   "$2::bigint",
                   {leaf.oid, std::to_string(shape_.block_bytes)}));
  const std::string filenode = ports::to_text(now.rows.at(0)[0]);
  if (filenode.empty())
    return fail(user_error("engine.no_table", fmt::format("table {} is not there any more", leaf.name)));
  leaf.blocks = ports::to_int(now.rows[0][1]);
  return std::exchange(leaf.filenode, filenode) != filenode;
}

Status Run::leaf_pass(Leaf& leaf, int number) {
  PL_TRY(Checkpoint at, read_checkpoint(leaf, number));
  if (at.done) {
    result_.rows += at.rows;
    return {};
  }
  // The end is fixed at the pass's begin: rows that move or come behind it pass the trigger.
  const std::int64_t end = leaf.blocks;
  blocks_at_start_ = leaf.blocks;
  while (at.from < end || at.to > at.from) {
    result_.stopped = stop_.stop();
    // A vacuum may have cut the end off since then: no window can begin behind it.
    if (result_.stopped || (at.to == 0 && at.from >= leaf.blocks)) break;
    PL_CHECK(window(leaf, at));
    if (result_.stopped) break;
    PL_TRY(const bool moved, relocated(leaf));
    if (!moved) continue;
    const std::uint64_t rows = at.rows;
    at = Checkpoint{};
    at.pass = number;
    at.rows = rows;
    return leaf_pass(leaf, number);
  }
  result_.rows += at.rows;
  if (result_.stopped) return {};
  at.done = true;
  PL_CHECK(commit(leaf, {}, at));
  return {};
}

Status Run::pass(int number) {
  changed_in_pass_ = 0;
  locked_in_pass_ = 0;
  blocks_behind_ = 0;
  result_.rows = 0;
  for (auto& leaf : shape_.leaves) {
    PL_CHECK(leaf_pass(leaf, number));
    if (result_.stopped) return {};
    blocks_behind_ += leaf.blocks;
    block_now_ = 0;
  }
  return {};
}

Error Run::no_progress(const VerifyResult& left) const {
  std::string keys;
  for (const auto& sample : left.samples) keys += (keys.empty() ? "" : ", ") + sample;
  return make_error(Disposition::kRefused, "backfill.no_progress",
                    fmt::format("{} rows of {} stay out of step, such as {}", left.mismatches,
                                job_.in_step.table, keys))
      .with_hint("another trigger may undo the new value");
}

Error Run::still_locked(const VerifyResult& left) const {
  return make_error(
             Disposition::kRefused, "backfill.held",
             fmt::format("{} rows of {} stayed locked by other transactions, such as {}", left.mismatches,
                         job_.in_step.table, left.samples.empty() ? std::string("?") : left.samples.front()))
      .with_hint("end these transactions and start the step again; it goes on where it stopped");
}

void Run::tell(const std::string& held) {
  if (!progress_) return;
  const TimePoint now = clock_.steady();
  if (held.empty() && now - told_ < Millis{100}) return;
  told_ = now;
  Progress progress;
  progress.activity = "backfill";
  const double blocks = static_cast<double>(std::max<std::int64_t>(1, shape_.blocks()));
  const double part = std::min(1.0, static_cast<double>(blocks_behind_ + block_now_) / blocks);
  progress.rows_total = static_cast<std::uint64_t>(shape_.rows());
  progress.rows_done = static_cast<std::uint64_t>(part * shape_.rows());
  progress.rows_per_second = elapsed() > 0 ? static_cast<double>(set_now_) / elapsed() : 0;
  progress.throttle = held;
  progress_(progress);
}

Result<BackfillResult> Run::run() {
  begin_ = clock_.steady();
  told_ = begin_;
  PL_TRY(shape_, read_shape(session_, job_.in_step.table, job_.in_step.key));
  PL_TRY(const auto wal, session_.run("SELECT pg_catalog.pg_current_wal_lsn() - '0/0'::pg_catalog.pg_lsn"));
  wal_begin_ = ports::to_double(wal.rows.at(0)[0]);
  PL_TRY(
      const auto newest,
      session_.run("SELECT coalesce(max(pass), 1) FROM poundlock.backfill WHERE rollout = $1 AND step = $2",
                   {job_.rollout, job_.step}));
  int fruitless = 0;
  int useful = 0;
  TimePoint last_change = begin_;
  const int first = static_cast<int>(ports::to_int(newest.rows.at(0)[0], 1));
  for (int number = first; !result_.stopped; ++number) {
    PL_CHECK(pass(number));
    ++result_.passes;
    if (result_.stopped) break;
    VerifyOptions count;
    count.rechecks = 1;
    count.recheck_after = Millis{20};
    PL_TRY(const auto left, verify(session_, clock_, job_.in_step, count, stop_, {}));
    result_.stopped = left.stopped;
    if (left.stopped || left.mismatches == 0) break;
    if (changed_in_pass_ > 0) last_change = clock_.steady();
    if (changed_in_pass_ == 0 && locked_in_pass_ > 0) {
      // What is left is locked by somebody: that is no fault of the data, and takes as long as it takes.
      if (clock_.steady() - last_change > options_.hold_max) return fail(still_locked(left));
      tell(fmt::format("{} rows are locked by other transactions", left.mismatches));
      clock_.sleep(Millis{200});
    } else {
      fruitless = changed_in_pass_ == 0 ? fruitless + 1 : 0;
      if (fruitless >= 3 || ++useful >= options_.passes_max) return fail(no_progress(left));
    }
    PL_TRY(shape_, read_shape(session_, job_.in_step.table, job_.in_step.key));
  }
  PL_TRY(const auto wal_end,
         session_.run("SELECT pg_catalog.pg_current_wal_lsn() - '0/0'::pg_catalog.pg_lsn"));
  result_.wal_bytes =
      static_cast<std::uint64_t>(std::max(0.0, ports::to_double(wal_end.rows.at(0)[0]) - wal_begin_));
  result_.seconds = elapsed();
  return std::move(result_);
}

}  // namespace

std::map<std::string, double> BackfillResult::figures() const {
  std::map<std::string, double> all{{"rows", static_cast<double>(rows)},
                                    {"passes", static_cast<double>(passes)},
                                    {"batches", static_cast<double>(batches)},
                                    {"skipped_batches", static_cast<double>(skipped)},
                                    {"wal_bytes", static_cast<double>(wal_bytes)},
                                    {"backfill_seconds", seconds},
                                    {"held_seconds", held_seconds}};
  if (seconds > 0) all["rows_per_second"] = static_cast<double>(rows) / seconds;
  if (rows > 0) all["wal_bytes_per_row"] = static_cast<double>(wal_bytes) / static_cast<double>(rows);
  return all;
}

Result<BackfillResult> Backfill::run(const BackfillJob& job, const StopToken& stop,
                                     const ProgressCallback& progress) {
  return Run(session_, replicas_, clock_, options_, job, stop, progress).run();
}

}  // namespace poundlock::engine
