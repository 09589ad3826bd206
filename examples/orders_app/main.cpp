// orders_app: an application in the middle of a schema change. Readers and writers work on `orders`; which
// column they use, legacy_status or new_status, is the router's choice, made once for each unit of work.
#include <memory>

#include "orders_app/db.h"
#include "orders_app/journal.h"
#include "orders_app/load.h"
#include "orders_app/statements.h"
#include "poundlock/client.h"
#include "poundlock/router.h"

namespace {

using namespace orders;
using poundlock::Attempt;
using poundlock::Context;
using poundlock::Side;

struct App {
  Load& load;
  const poundlock::Router& router;
};

// One read: the router runs one of the two callables, or `fresh` and, where that fails, `legacy`.
void read(App& app, Db& db, const Context& context, const Path& path, const std::string& value) {
  Stats& stats = app.load.stats();
  auto unit = app.router.begin(context);
  const auto legacy = [&](Attempt& attempt) {
    ++stats.statements, ++stats.reads_legacy;
    if (unit.side() == Side::kNew) ++stats.fallbacks;
    return db.select(path.legacy, value, attempt);
  };
  const auto fresh = [&](Attempt& attempt) {
    ++stats.statements, ++stats.reads_new;
    if (is_excluded(context)) ++stats.excluded_context_reads_new;
    const Fault fault = app.load.fault();
    auto found = db.select(fresh_sql(path, fault), value, attempt);
    if (fault != Fault::kNone) ++stats.injected_faults;
    if (fault != Fault::kNone && !found) --stats.errors;
    return found;
  };
  // A build without legacy code knows one side only; closing asks every instance for such a build.
  const auto rows =
      app.load.options().legacy_path ? unit.read(path.name, legacy, fresh) : unit.read_new(path.name, fresh);
  if (!rows) app.load.user_error(path.name, rows.failure().message);
}

// One write of `values` that leaves `status` in row `id`. The router never repeats a write, since only the
// application knows which of its writes may be: this one may, it always says the same.
void write(App& app, Db& db, Journal& journal, const Context& context, const Path& path,
           const std::vector<std::string>& values, std::int64_t id, const std::string& status) {
  constexpr int kTriesMax = 5;
  Stats& stats = app.load.stats();
  const std::uint64_t sequence = journal.intend(id, status);
  bool not_applied = true;
  std::string message;
  for (int tries = 0; tries < kTriesMax; ++tries) {
    auto unit = app.router.begin(context);
    const auto legacy = [&](Attempt& attempt) {
      ++stats.statements, ++stats.writes_legacy;
      return db.change(path.legacy, values, attempt);
    };
    const auto fresh = [&](Attempt& attempt) {
      ++stats.statements, ++stats.writes_new;
      return db.change(path.fresh, values, attempt);
    };
    const auto done = app.load.options().legacy_path ? unit.write(path.name, legacy, fresh)
                                                     : unit.write_new(path.name, fresh);
    // An insert that finds its own row: the try before was applied, only the answer was lost.
    const bool was_applied = !done && !not_applied && done.failure().message.starts_with("23505");
    if (done || was_applied) {
      ++stats.writes_acknowledged;
      return journal.acknowledged(sequence, id, status);
    }
    not_applied = not_applied && db.surely_not_applied();
    message = done.failure().message;
    if (done.failure().kind == poundlock::FailureKind::kOther) break;
  }
  if (not_applied) journal.refused(sequence, id, status);
  app.load.user_error(path.name, message);
}

Load::Step reader(App& app, int index) {
  return [&app, db = std::make_shared<Db>(app.load.options().dsn, app.load.stats().errors),
          random = std::minstd_rand(index + 1)]() mutable {
    const Context context = someone(std::to_string(random_below(random, 1'000)), random);
    if (random_below(random, 2) == 0) {
      read(app, *db, context, kByStatus, random_status(random));
    } else {
      read(app, *db, context, kById, std::to_string(random_below(random, 10'000) + 1));
    }
  };
}

// Owns the rows with id % writers == index, and a range of ids of its own for inserts.
Load::Step writer(App& app, int index) {
  const Options& options = app.load.options();
  auto db = std::make_shared<Db>(options.dsn, app.load.stats().errors);
  auto journal = std::make_shared<Journal>(options.journal, index);
  auto found = db->owned(options.writers, index, 20'000);
  if (!found) app.load.user_error("start", found.failure().message);
  if (!journal->good()) app.load.user_error("start", "the journal cannot be written");
  const std::int64_t first_id = 1'000'000'000'000 + index * 1'000'000'000LL;
  return [&app, db, journal, owned = found ? *found : std::vector<Owned>(),
          last_id = std::max(first_id, journal->highest_id()),
          random = std::minstd_rand(index + 1'000)]() mutable {
    const std::string status = random_status(random);
    if (owned.empty() || random_below(random, 10) == 0) {
      const std::string customer = std::to_string(random_below(random, 1'000));
      ++last_id;
      write(app, *db, *journal, someone(customer, random), kInsert,
            {std::to_string(last_id), customer, status}, last_id, status);
      return;
    }
    const Owned& row = owned[static_cast<std::size_t>(random_below(random, static_cast<int>(owned.size())))];
    write(app, *db, *journal, someone(row.customer, random), kSetStatus, {std::to_string(row.id), status},
          row.id, status);
  };
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (!parse_options(argc, argv, options)) return 2;
  Load load(options);  // blocks the signals before any thread starts
  auto client = poundlock::Client::create({.server = options.server,
                                           .service = "orders",
                                           .instance = options.instance,
                                           .build = options.build,
                                           .legacy_path = options.legacy_path,
                                           .token = options.token,
                                           .cache_file = options.cache_file,
                                           .override_file = options.override_file});
  const poundlock::Router router(client, options.flag, {.legacy_path = options.legacy_path});
  client.wait_until_ready(std::chrono::seconds(5));  // without a snapshot everything is legacy
  App app{load, router};
  load.run([&](int index) { return reader(app, index); }, [&](int index) { return writer(app, index); });
  client.close();
  return 0;
}
