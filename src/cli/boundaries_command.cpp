// verify boundaries: that nothing partial stays in a database after an abort, a crash or a lost connection.
#include "cli/boundaries_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "cli/plan_files.h"
#include "cli/text.h"
#include "cli/verb.h"
#include "engine/boundaries.h"
#include "migration/sql_plan.h"
#include "postgres/catalog_loader.h"
#include "rollout/plan.h"
#include "rollout/spec.h"
#include "schema/text.h"

namespace poundlock::cli {
namespace {

namespace bj = boost::json;

// A line for each object: more than any schema has, where other files of a person's are far smaller.
constexpr std::size_t kFingerprintBytesMax = 256U << 20;

struct BoundariesArguments {
  std::string database_url, database;
  std::string file;         // a rollout or SQL
  std::string rollout;      // "" for all
  std::string fingerprint;  // file to compare with
  std::string write_fingerprint;
  std::vector<std::string> indexes, slots;
  bool repair = false;
};

Result<schema::Catalog> whole_catalog(ports::Session& session) {
  PL_CHECK(session.run("BEGIN READ ONLY"));
  // Compiling queries over catalogs takes longer than answering them.
  PL_CHECK(session.run("SET LOCAL jit = off"));
  auto catalog = postgres::load_catalog(session, {.schemas = {}, .tables = {}, .whole = true});
  if (!session.broken()) PL_CHECK(session.run("ROLLBACK"));
  return catalog;
}

// The steps that plan makes of the file, whoever ran it; its own statements too, for the indexes' sake.
Status read_sql_steps(const Context& context, const BoundariesArguments& arguments,
                      const schema::Catalog& catalog, engine::BoundaryOptions& options,
                      std::vector<std::string>& notes) {
  PL_TRY(const auto sources, plan_sources(context, {arguments.file}));
  for (const auto& source : sources) options.statements.push_back(source.sql);
  options.file = arguments.file;
  const auto planned = migration::plan_sql(sources, &catalog);
  if (!planned) {
    notes.push_back("its steps were not asked one by one, since no plan can be made of it now: " +
                    planned.error().message);
    return {};
  }
  for (const auto& item : planned->plan.items)
    if (item.step) options.steps.push_back(*item.step);
  for (const auto& one : planned->decisions)
    notes.push_back(fmt::format("not asked, {}:{}: {}", one.file, one.line, one.why));
  return {};
}

// The steps of a rollout's file. Where the schema is in a state from which nobody could begin, the rollout
// cannot be planned, and the ledger and the catalog alone have to tell.
Status read_steps(const Context& context, const BoundariesArguments& arguments,
                  const schema::Catalog& catalog, engine::BoundaryOptions& options,
                  std::vector<std::string>& notes) {
  if (!is_rollout_file(arguments.file)) return read_sql_steps(context, arguments, catalog, options, notes);
  PL_TRY(const std::string text, read_file(context, arguments.file));
  PL_TRY(const auto spec, rollout::parse_rollout(text, arguments.file));
  options.rollout = spec.name;
  const auto plan = rollout::make_plan(spec, catalog);
  if (!plan) {
    notes.push_back("its steps were not asked one by one, since it cannot be planned now: " +
                    plan.error().message);
    return {};
  }
  for (const auto& item : plan->items)
    if (item.step) options.steps.push_back(*item.step);
  return {};
}

bj::object to_json(const engine::Finding& one) {
  return {{"kind", one.kind},         {"object", one.object},
          {"detail", one.detail},     {"rollout", one.rollout},
          {"partial", one.partial},   {"repair", bj::array(one.repair.begin(), one.repair.end())},
          {"repaired", one.repaired}, {"gone", one.done}};
}

void print(Context& context, const std::vector<engine::Finding>& findings, bool partial) {
  const Paint paint = context.paint();
  for (const auto& one : findings) {
    if (one.partial != partial) continue;
    say(context, fmt::format("{} {}", paint(partial ? Colour::kRed : Colour::kDim, clean(one.kind)),
                             clean(one.object)));
    say(context, "  " + clean(one.detail));
    if (!one.repaired.empty())
      say(context, "  " + paint(one.done ? Colour::kGreen : Colour::kYellow,
                                (one.done ? "repaired: " : "") + clean(one.repaired)));
    else if (partial && one.repair.empty())
      say(context, "  a person has to decide");
  }
}

Result<int> boundaries(Context& context, const BoundariesArguments& arguments) {
  engine::BoundaryOptions options;
  options.rollout = arguments.rollout;
  options.slots = arguments.slots;
  for (const auto& name : arguments.indexes) {
    PL_TRY(auto index, schema::parse_qualified_name(name));
    if (index.schema.empty())
      return fail(user_error("boundaries.index", fmt::format("{} names no schema", clean(name)))
                      .with_hint("--index schema.index"));
    options.indexes.push_back(std::move(index));
  }
  PL_TRY(const auto database, open_database(context, arguments.database_url, arguments.database));
  PL_TRY(const auto session, database->connect());
  PL_TRY(const auto catalog, whole_catalog(*session));
  std::vector<std::string> notes;
  if (!arguments.file.empty()) PL_CHECK(read_steps(context, arguments, catalog, options, notes));
  const schema::FingerprintOptions how{false, {"poundlock"}};
  if (!arguments.fingerprint.empty()) {
    PL_TRY(std::string text, read_file(context, arguments.fingerprint, kFingerprintBytesMax));
    options.expected = schema::Fingerprint{text, schema::hash_hex(text)};
    options.present = schema::fingerprint(catalog, how);
  }
  if (!arguments.write_fingerprint.empty())
    PL_CHECK(write_file(context, arguments.write_fingerprint, schema::fingerprint(catalog, how).text));
  PL_TRY(auto findings, engine::find_partial(*session, options));
  if (arguments.repair) PL_CHECK(engine::repair(*session, findings));
  const auto left = std::count_if(findings.begin(), findings.end(),
                                  [](const engine::Finding& one) { return one.partial && !one.done; });
  if (context.json) {
    bj::array list;
    for (const auto& one : findings) list.push_back(to_json(one));
    print_json(context, bj::object{{"clean", left == 0},
                                   {"findings", std::move(list)},
                                   {"notes", bj::array(notes.begin(), notes.end())}});
    return left == 0 ? 0 : 1;
  }
  print(context, findings, true);
  print(context, findings, false);
  for (const auto& note : notes) say(context, "note: " + clean(note));
  if (left == 0)
    say(context, context.paint()(Colour::kGreen, "nothing partial stays in " + clean(database->describe())));
  else
    say(context, fmt::format("{} partial in {}{}", left, clean(database->describe()),
                             arguments.repair ? "" : "; --repair takes away what is safe to take away"));
  return left == 0 ? 0 : 1;
}

}  // namespace

std::function<int()> add_boundaries(CLI::App& verify, Context& context) {
  auto a = std::make_shared<BoundariesArguments>();
  auto run = [&context, a] {
    const auto code = boundaries(context, *a);
    return code ? *code : report(context, code.error());
  };
  auto* verb = add_verb(verify, context, "boundaries", "prove that nothing partial stays after a crash", run);
  verb->add_option("--database-url", a->database_url, "this database instead of poundlock.yaml's");
  verb->add_option("--database", a->database, "a name of poundlock.yaml, where it has several");
  verb->add_option("--file", a->file, "a rollout, or SQL: what it makes is looked at step by step")
      ->type_name(kFile);
  verb->add_option("--rollout", a->rollout, "only this one (default: all)");
  verb->add_option("--fingerprint", a->fingerprint, "a recorded schema that this one has to equal")
      ->type_name(kFile);
  verb->add_option("--write-fingerprint", a->write_fingerprint, "record the schema as it is now")
      ->type_name(kFile);
  add_each(*verb, "--index", a->indexes, "an INVALID index that you know to be abandoned");
  add_each(*verb, "--slot", a->slots, "a replication slot that you know to be abandoned");
  verb->add_flag("--repair", a->repair, "take away what is safe to take away");
  return run;
}

}  // namespace poundlock::cli
