// doctor: what the database allows, what is lost without it and what stands in, then the GRANT script.
#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "cli/commands.h"
#include "cli/table.h"
#include "cli/text.h"
#include "engine/doctor.h"
#include "postgres/catalog_loader.h"
#include "postgres/database.h"
#include "rollout/plan.h"
#include "rollout/spec.h"

namespace poundlock::cli {
namespace {

namespace bj = boost::json;
using engine::Capability;
using engine::Presence;
using engine::Reached;

// Owns what a Reached points at.
struct Connected {
  std::unique_ptr<ports::Database> database;
  std::unique_ptr<ports::Session> session;
  Reached reached;
};

Connected reach(const Site& site, const rollout::Connection& connection) {
  Connected out;
  out.reached.name = rollout::without_password(connection.url);
  auto database = open_connection(site, connection);
  if (!database) {
    out.reached.trouble = database.error().message;
    return out;
  }
  out.database = std::move(*database);
  out.reached.name = out.database->describe();
  auto session = out.database->connect();
  if (!session) {
    out.reached.trouble = session.error().message;
    return out;
  }
  out.session = std::move(*session);
  out.reached.session = out.session.get();
  return out;
}

// The tables that the rollout's columns are in; also says what is wrong with the file.
Result<std::vector<schema::QualifiedName>> tables_of(const Context& context, const std::string& file,
                                                     ports::Session& session, std::string& database) {
  std::vector<schema::QualifiedName> out;
  if (file.empty()) return out;
  PL_TRY(const std::string text, read_file(context, file));
  PL_TRY(const auto spec, rollout::parse_rollout(text, file));
  database = spec.database;
  PL_TRY(const auto catalog, postgres::load_catalog(session));
  PL_TRY(const auto plan, rollout::make_plan(spec, catalog));
  const auto add = [&](const std::vector<change::ColumnRef>& columns) {
    for (const auto& column : columns) {
      const schema::QualifiedName table{column.schema, column.table};
      if (std::find(out.begin(), out.end(), table) == out.end()) out.push_back(table);
    }
  };
  add(plan.legacy);
  add(plan.fresh);
  return out;
}

// Replicas and shadow stand in poundlock.yaml; with --database-url there is nothing said of them.
Status examine_neighbours(const Context& context, const DoctorArguments& arguments,
                          engine::Examination& examination) {
  if (!arguments.database_url.empty()) return {};
  PL_TRY(const Site site, need_site(context));
  PL_TRY(const auto* config, rollout::find_database(site.config, context.environment, arguments.database));
  std::vector<Connected> replicas;
  std::vector<Reached> reached;
  for (const auto& one : config->replicas) replicas.push_back(reach(site, one));
  for (const auto& one : replicas) reached.push_back(one.reached);
  examination.capabilities.push_back(engine::examine_replicas(reached));
  auto kind = engine::ShadowKind::kNone;
  std::optional<Connected> given;
  if (config->shadow) kind = config->shadow->given ? engine::ShadowKind::kGiven : engine::ShadowKind::kMade;
  if (config->shadow && !config->shadow->create.empty()) kind = engine::ShadowKind::kCommanded;
  if (kind == engine::ShadowKind::kGiven) given = reach(site, *config->shadow->given);
  examination.capabilities.push_back(
      engine::examine_shadow(kind, given ? std::optional(given->reached) : std::nullopt, examination));
  return {};
}

Result<engine::Examination> examine(const Context& context, DoctorArguments arguments) {
  PL_TRY(const auto database, open_database(context, arguments.database_url, arguments.database));
  PL_TRY(const auto session, database->connect());
  engine::ExaminationOptions options;
  std::string named;
  PL_TRY(options.tables, tables_of(context, arguments.rollout, *session, named));
  if (arguments.database.empty()) arguments.database = named;
  PL_TRY(auto examination, engine::examine(*session, options));
  PL_CHECK(examine_neighbours(context, arguments, examination));
  return examination;
}

bj::object to_json(const engine::Examination& examination) {
  bj::array capabilities;
  for (const auto& one : examination.capabilities)
    capabilities.push_back(bj::object{{"id", one.id},
                                      {"title", one.title},
                                      {"present", to_string(one.presence)},
                                      {"needed", one.needed},
                                      {"detail", one.detail},
                                      {"lost", one.lost},
                                      {"stands_in", one.stand_in},
                                      {"grants", bj::array(one.grants.begin(), one.grants.end())}});
  const auto grants = examination.grants();
  return {{"ok", examination.ok()},
          {"database", examination.database},
          {"version", examination.version},
          {"version_num", examination.version_num},
          {"role", examination.role},
          {"provider", examination.provider},
          {"capabilities", std::move(capabilities)},
          {"grants", bj::array(grants.begin(), grants.end())}};
}

Cell presence_cell(const Capability& one) {
  switch (one.presence) {
    case Presence::kYes: return {"yes", Colour::kGreen};
    case Presence::kLimited: return {"limited", Colour::kYellow};
    case Presence::kUnknown: return {"unknown", Colour::kYellow};
    case Presence::kNo: return one.needed ? Cell("NO, needed", Colour::kRed) : Cell("no", Colour::kYellow);
  }
  return {};
}

void print_grants(Context& context, const engine::Examination& examination) {
  for (const auto& line : examination.grants()) say(context, clean(line));
}

void print_text(Context& context, const engine::Examination& examination) {
  const Paint paint = context.paint();
  say(context, fmt::format("{}  PostgreSQL {}, provider {}, as {}\n",
                           paint(Colour::kBold, clean(examination.database)), clean(examination.version),
                           examination.provider, clean(examination.role)));
  Table table({"capability", "present", "seen", "lost without it", "what stands in"});
  for (const auto& one : examination.capabilities)
    table.add({one.title, presence_cell(one), one.detail, one.lost, one.stand_in});
  context.out << table.render(paint, context.width);
  if (!examination.grants().empty()) {
    say(context, fmt::format("\n-- For what is missing; to be run by {} in database {}:",
                             examination.administrator, clean(examination.database)));
    print_grants(context, examination);
  }
  say(context, examination.ok() ? paint(Colour::kGreen, "\neverything that a rollout needs is there")
                                : paint(Colour::kRed, "\nsomething that a rollout needs is missing"));
}

}  // namespace

int doctor_command(Context& context, const DoctorArguments& arguments) {
  const auto examination = examine(context, arguments);
  if (!examination) return report(context, examination.error());
  if (context.json) {
    print_json(context, to_json(*examination));
  } else if (arguments.grants) {
    print_grants(context, *examination);
  } else {
    print_text(context, *examination);
  }
  return examination->ok() ? 0 : 1;
}

}  // namespace poundlock::cli
