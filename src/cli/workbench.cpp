#include "cli/workbench.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <random>
#include <utility>

#include "cli/stoppable_shadow.h"
#include "cli/text.h"
#include "cli/verb.h"
#include "postgres/catalog_loader.h"
#include "postgres/hook_shadow.h"
#include "postgres/lock_sampler.h"
#include "postgres/pg_dump_shadow.h"
#include "postgres/traffic.h"

namespace poundlock::cli {
namespace {

using postgres::PgDatabase;

volatile sig_atomic_t g_interrupted = 0;

// The first Ctrl-C cancels the statement that runs and ends the work, so that the shadow is taken away; the
// second one ends the program, and the next run takes it away.
void catch_interruption() {
  g_interrupted = 0;
  struct sigaction action {};
  action.sa_handler = [](int) { g_interrupted = 1; };
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  for (const int one : {SIGINT, SIGTERM, SIGHUP}) sigaction(one, &action, nullptr);
}

Result<std::unique_ptr<PgDatabase>> open_pg(const Site& site, const rollout::Connection& connection) {
  PL_TRY(auto opened, open_connection(site, connection));
  return std::make_unique<PgDatabase>(static_cast<const PgDatabase&>(*opened));
}

}  // namespace

void add_workbench(CLI::App& verb, WorkbenchArguments& arguments) {
  verb.add_option("--shadow", arguments.shadow,
                  "the database to try it on; it bears the mark poundlock.shadow");
  verb.add_option("--database-url", arguments.database_url,
                  "the database that it stands for, instead of poundlock.yaml's; only read");
  verb.add_option("--database", arguments.database, "a database of poundlock.yaml");
  auto* create = verb.add_option("--shadow-create", arguments.shadow_create,
                                 "a command that makes a shadow and prints its URL (a snapshot, a clone)");
  auto* destroy = verb.add_option("--shadow-destroy", arguments.shadow_destroy,
                                  "the command that takes it away; always run, URL in POUNDLOCK_SHADOW_URL");
  create->needs(destroy)->excludes("--shadow");
  destroy->needs(create);
  verb.add_flag("--in-place", arguments.in_place, "work on the given shadow itself, not on a copy of it");
  verb.add_flag("--template", arguments.whole,
                "copy the whole database beside itself, rows and all; nobody else may be in it")
      ->excludes("--shadow", "--shadow-create");
  verb.add_option("--rows", arguments.rows, "rows sampled from each table where a shadow is made (20000)")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1'000'000'000}));
}

// All databases of poundlock.yaml are refused as shadows, whichever environment is meant. One that cannot be
// opened is no hindrance where a shadow is given.
Status Workbench::open_site(Context& context, const WorkbenchArguments& arguments,
                            const std::string& database) {
  PL_TRY(const auto site, find_site(context));
  if (!site) return {};
  for (const auto& [name, environment] : site->config.environments) {
    for (const auto& [key, one] : environment.databases) {
      if (auto opened = open_pg(*site, one.primary)) environments_.push_back(std::move(*opened));
      for (const auto& replica : one.replicas)
        if (auto opened = open_pg(*site, replica)) environments_.push_back(std::move(*opened));
    }
  }
  if (!arguments.database_url.empty()) return {};
  const auto open_source = [&]() -> Status {
    PL_TRY(const auto* found, rollout::find_database(site->config, context.environment, database));
    PL_TRY(source_, open_pg(*site, found->primary));
    if (found->shadow) rows_ = found->shadow->rows;
    if (arguments.whole) return {};
    if (arguments.shadow.empty() && create_.empty() && found->shadow) {
      create_ = found->shadow->create;
      destroy_ = found->shadow->destroy;
    }
    if (arguments.shadow.empty() && found->shadow && found->shadow->given) {
      PL_TRY(given_, open_pg(*site, *found->shadow->given));
    }
    return {};
  };
  const Status opened = open_source();
  if (!opened && arguments.shadow.empty()) return opened;
  if (!opened) notes_.push_back("without a source: " + opened.error().to_string());
  return {};
}

Status Workbench::open_hooks(Context& context) {
  if (!source_) {
    return fail(user_error("workbench.nothing", "no database is named for which the command makes a shadow")
                    .with_hint("name it with --database-url URL or in poundlock.yaml"));
  }
  postgres::HookOptions hooks;
  hooks.create = create_;
  hooks.destroy = destroy_;
  hooks.stopped = ports_.stopped;
  hooks.on = [this, rows = rows_, &clock = context.clock](std::unique_ptr<PgDatabase> database) {
    postgres::ShadowOptions options;
    options.rows_max = rows;
    options.disposable = true;
    options.stopped = ports_.stopped;
    for (const auto& one : environments_) options.environments.push_back(one.get());
    options.given = std::move(database);
    return postgres::make_pg_dump_shadow(*source_, clock, std::move(options));
  };
  shadow_ = postgres::make_hook_shadow(context.clock, std::move(hooks));
  return {};
}

Status Workbench::open_shadow(Context& context, const WorkbenchArguments& arguments) {
  if (!arguments.shadow.empty()) {
    PL_TRY(given_, PgDatabase::create(arguments.shadow));
  }
  if (arguments.in_place && !given_ && create_.empty()) {
    return fail(user_error("workbench.in_place", "--in-place works on a given shadow, and none is given")
                    .with_hint("--shadow URL names it; a shadow that is made is always taken away"));
  }
  if (!source_ && !given_) {
    return fail(user_error("workbench.nothing", "there is neither a shadow nor a database to make one of")
                    .with_hint("--shadow URL names a database that bears the mark poundlock.shadow, "
                               "--database-url URL one whose schema and a sample are copied beside it"));
  }
  if (!create_.empty()) return open_hooks(context);
  postgres::ShadowOptions options;
  options.rows_max = rows_;
  options.whole = arguments.whole;
  options.copy_bytes_max = arguments.in_place ? 0 : postgres::kCopyBytesMax;
  options.stopped = ports_.stopped;
  for (const auto& one : environments_) options.environments.push_back(one.get());
  if (given_) options.given = std::make_unique<PgDatabase>(*given_);
  shadow_ = source_ ? postgres::make_pg_dump_shadow(*source_, context.clock, std::move(options))
                    : postgres::make_given_shadow(context.clock, std::move(options));
  return {};
}

Result<std::unique_ptr<Workbench>> Workbench::open(Context& context, const WorkbenchArguments& arguments,
                                                   const std::string& database) {
  auto out = std::unique_ptr<Workbench>(new Workbench());
  catch_interruption();
  out->ports_.stopped = [] { return g_interrupted != 0; };
  out->create_ = arguments.shadow_create;
  out->destroy_ = arguments.shadow_destroy;
  PL_CHECK(out->open_site(context, arguments, arguments.database.empty() ? database : arguments.database));
  if (!arguments.database_url.empty()) {
    PL_TRY(out->source_, PgDatabase::create(arguments.database_url));
  }
  if (arguments.rows > 0) out->rows_ = arguments.rows;
  PL_CHECK(out->open_shadow(context, arguments));
  out->shadow_ = make_stoppable(std::move(out->shadow_), out->ports_.stopped);
  out->traffic_ = postgres::make_traffic(context.clock);
  out->sampler_ = postgres::make_lock_sampler(context.clock);
  out->ports_.sampler = out->sampler_.get();
  out->ports_.databases.primary = out->source_.get();
  out->ports_.shadow = out->shadow_.get();
  out->ports_.traffic = out->traffic_.get();
  out->ports_.clock = &context.clock;
  out->ports_.seed = std::random_device{}();
  out->ports_.load_catalog = [](ports::Session& session) { return postgres::load_catalog(session); };
  return out;
}

Workbench::~Workbench() = default;

Result<schema::Catalog> Workbench::catalog() {
  PgDatabase& from = source_ ? *source_ : *given_;
  PL_TRY(auto session, from.connect());
  if (!source_) {
    PL_TRY(const bool marked, postgres::bears_shadow_mark(*session));
    if (!marked) return fail(postgres::unmarked_shadow(from.name()));
  }
  PL_CHECK(session->run("BEGIN READ ONLY"));
  return postgres::load_catalog(*session, {.schemas = {}, .tables = {}, .bounds = true});
}

Result<rollout::Plan> Workbench::plan(const rollout::RolloutSpec& spec) {
  PL_TRY(const auto production, catalog());
  return rollout::make_plan(spec, production);
}

}  // namespace poundlock::cli
