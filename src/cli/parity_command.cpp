// parity: in what two environments differ, as far as a change could come out differently in them.
#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <set>
#include <thread>

#include "cli/api.h"
#include "cli/commands.h"
#include "cli/fields.h"
#include "cli/flag_files.h"
#include "cli/text.h"
#include "cli/verb.h"
#include "engine/checks/parity_sides.h"
#include "postgres/catalog_loader.h"
#include "postgres/database.h"
#include "rollout/spec.h"

namespace poundlock::cli {
namespace {

namespace bj = boost::json;
constexpr std::size_t kShownOfAKind = 50;

struct FlagSource {
  std::vector<std::string> files;
  std::string server;
  bool empty() const { return files.empty() && server.empty(); }
};

struct ParityArguments {
  std::string from, to;  // URL, or the name of an environment
  std::string rollout;
  std::string database;
  FlagSource from_flags, to_flags;
  std::vector<std::string> map_roles;  // "FROM=TO"
};

struct Environment {
  std::string name;  // for people; never a password
  std::unique_ptr<ports::Database> database;
  engine::Side side;
  engine::RoleNames roles;
};

bool is_url(const std::string& text) {
  return text.find("://") != std::string::npos || text.find('=') != std::string::npos;
}

Result<Environment> open_environment(const Context& context, const std::string& named,
                                     const std::string& database) {
  Environment out;
  if (is_url(named)) {
    PL_TRY(out.database, open_database(context, named, ""));
    out.name = out.database->describe();
    return out;
  }
  PL_TRY(const Site site, need_site(context));
  PL_TRY(const auto* found, rollout::find_database(site.config, named, database));
  PL_TRY(out.database, open_connection(site, found->primary));
  PL_TRY(const auto* environment, rollout::find_environment(site.config, named));
  out.roles = environment->roles;
  out.name = named;
  return out;
}

// The environments of poundlock.yaml: the chosen one, else the one that names another by `parity:`, is what
// the other is compared with; staging and prod where nothing says so.
Status name_environments(const Context& context, ParityArguments& arguments) {
  if (!arguments.from.empty() && !arguments.to.empty()) return {};
  auto needed = need_site(context);
  if (!needed && needed.error().code == "config.file")
    return fail(std::move(needed).error().with_hint(
        "--from URL --to URL compares two databases without one; `poundlock init` writes one, --config FILE "
        "names one"));
  PL_TRY(const Site site, std::move(needed));
  const auto& all = site.config.environments;
  if (arguments.to.empty()) {
    arguments.to = context.environment;
    for (const auto& [name, environment] : all)
      if (arguments.to.empty() && !environment.parity.empty()) arguments.to = name;
    if (arguments.to.empty()) arguments.to = "prod";
  }
  if (!arguments.from.empty()) return {};
  PL_TRY(const auto* to, rollout::find_environment(site.config, arguments.to));
  arguments.from = to->parity.empty() ? "staging" : to->parity;
  if (arguments.from == arguments.to)
    return fail(user_error("parity.same", fmt::format("{} cannot be compared with itself", arguments.to))
                    .with_hint("--from staging --to prod"));
  return {};
}

Status read(Environment& environment) {
  const auto done = [&]() -> Status {
    PL_TRY(const auto session, environment.database->connect());
    PL_TRY(environment.side, engine::read_side(*session, [](ports::Session& reading) {
             return postgres::load_catalog(reading, {.schemas = {}, .tables = {}, .whole = true});
           }));
    return {};
  }();
  if (done) return {};
  Error error = done.error();
  if (!error.message.starts_with(environment.name))
    error.message = fmt::format("{}: {}", environment.name, error.message);
  return fail(std::move(error));
}

// SHOP_STAGING=SHOP: a role of `from`, and what `to` calls it. These come before those of poundlock.yaml.
Status map_roles(const std::vector<std::string>& words, Environment& from) {
  constexpr std::size_t kMax = 1'000, kNameMax = 63;  // bytes, as PostgreSQL has names
  if (words.size() > kMax)
    return fail(user_error("parity.roles", fmt::format("--map-role: at most {} are allowed", kMax)));
  engine::RoleNames named;
  for (const auto& word : words) {
    const std::size_t at = word.find('=');
    const std::string here = word.substr(0, at), there = at == std::string::npos ? "" : word.substr(at + 1);
    if (here.empty() || there.empty() || here.size() > kNameMax || there.size() > kNameMax)
      return fail(user_error("parity.roles", fmt::format("--map-role: expected FROM=TO with two names of at "
                                                         "most {} bytes, found '{}'",
                                                         kNameMax, clean(word)))
                      .with_hint("--map-role shop_staging=shop"));
    if (!named.emplace(here, there).second)
      return fail(user_error("parity.roles", fmt::format("--map-role: {} is named twice", clean(here))));
  }
  for (const auto& [here, there] : from.roles) named.emplace(here, there);
  std::set<std::string> taken;
  for (const auto& [here, there] : named)
    if (!taken.insert(there).second)
      return fail(
          user_error("parity.roles", fmt::format("two roles of {} would both be {}: a difference between "
                                                 "them could not be seen",
                                                 clean(from.name), clean(there))));
  from.roles = std::move(named);
  return {};
}

// Both servers work at the same time: each takes most of a second for thousands of objects.
Status read_both(Environment& from, Environment& to) {
  Status first;
  std::thread other([&] { first = read(from); });
  Status second = read(to);
  other.join();
  return first ? second : first;
}

// The operations plan against either side: where one already has the change, the other has not.
Result<engine::Concern> concern_of(const Context& context, const std::string& file, const Environment& from,
                                   const Environment& to) {
  PL_TRY(const std::string text, read_file(context, file));
  PL_TRY(const auto spec, rollout::parse_rollout(text, file));
  engine::Concern out;
  const auto add = [&](schema::QualifiedName name) {
    if (std::find(out.tables.begin(), out.tables.end(), name) == out.tables.end())
      out.tables.push_back(std::move(name));
  };
  for (const auto& operation : spec.operations) {
    auto plan = operation->plan(to.side.catalog, spec.name);
    if (!plan) {
      auto other = operation->plan(from.side.catalog, spec.name);
      if (!other) return fail(std::move(plan).error());
      plan = std::move(other);
    }
    for (const auto& refs : {plan->legacy, plan->fresh})
      for (const auto& ref : refs) add({ref.schema, ref.table});
    for (const auto& step : plan->steps)
      if (auto name = schema::parse_qualified_name(step.relation)) add(std::move(*name));
  }
  if (spec.flag) out.flags = {spec.flag->key, spec.flag->key + ".stage"};
  return out;
}

Result<flag::Definition> flags_of(const Context& context, const FlagSource& source) {
  flag::Definition out;
  if (!source.server.empty()) {
    Context other = context;
    other.server = source.server;
    PL_TRY(auto api, Api::open(other));
    PL_TRY(const auto answer, api.get("/v1/flags"));
    for (const auto& one : list_at(answer, "flags"))
      out.flags[text_at(element(one), "key")] = object_at(element(one), "definition");
  }
  PL_TRY(const auto texts, read_flag_files(context, source.files));
  for (const auto& one : texts) {
    PL_TRY(auto definition, flag::parse_definition(one.text, one.file));
    if (!definition.problems.empty() && !definition.only_rules_at_fault())
      return fail(std::move(definition.problems.front()));
    for (auto& [key, value] : definition.flags) out.flags[key] = std::move(value);
  }
  return out;
}

std::string version_of(const engine::Side& side) {
  return fmt::format("{}.{}", side.catalog.server_version_num / 10'000,
                     side.catalog.server_version_num % 10'000);
}

// What is no difference, and should be known.
std::vector<std::string> notes_of(const Environment& from, const Environment& to) {
  std::vector<std::string> out;
  const std::string a = version_of(from.side), b = version_of(to.side);
  if (a != b && from.side.catalog.server_version_num / 10'000 == to.side.catalog.server_version_num / 10'000)
    out.push_back(
        fmt::format("{} runs PostgreSQL {}, {} runs {}: the same major version", from.name, a, to.name, b));
  if (from.side.identity == to.side.identity)
    out.emplace_back("both addresses lead to one and the same database: this proves nothing");
  std::set<std::string> hidden(from.side.hidden);
  hidden.insert(to.side.hidden.begin(), to.side.hidden.end());
  std::string names;
  for (const auto& name : hidden) names += (names.empty() ? "" : ", ") + name;
  if (!names.empty())
    out.push_back("not compared, since a server has no such setting or hides it from this role: " + names);
  for (const auto* one : {&from, &to})
    for (const auto& note : one->side.notes) out.push_back(one->name + ": " + note);
  return out;
}

bj::value or_null(const std::optional<std::string>& text) {
  return text ? bj::value(*text) : bj::value(nullptr);
}

bj::object to_json(const std::vector<engine::Difference>& all, std::size_t blocking) {
  bj::array list;
  for (const auto& one : all)
    list.push_back(bj::object{{"kind", one.kind},
                              {"object", one.object},
                              {"from", or_null(one.from)},
                              {"to", or_null(one.to)},
                              {"blocking", one.blocking}});
  return {{"equal", blocking == 0}, {"blocking", blocking}, {"differences", std::move(list)}};
}

void print_differences(Context& context, const std::vector<engine::Difference>& all, const std::string& from,
                       const std::string& to) {
  const Paint paint = context.paint();
  const std::size_t wide = std::max(from.size(), to.size());
  for (std::size_t begin = 0; begin < all.size();) {
    std::size_t end = begin;
    while (end < all.size() && all[end].kind == all[begin].kind) ++end;
    say(context, "\n" + paint(Colour::kBold, fmt::format("{} ({})", clean(all[begin].kind), end - begin)));
    for (std::size_t i = begin; i < std::min(end, begin + kShownOfAKind); ++i) {
      const auto& one = all[i];
      say(context, fmt::format("  {}{}", clean(one.object),
                               one.blocking ? "" : paint(Colour::kDim, "  (blocks nothing)")));
      const auto line = [&](const std::string& side, const std::optional<std::string>& value) {
        say(context, fmt::format("    {:<{}}  {}", clean(side), wide,
                                 value ? clean(*value) : paint(Colour::kYellow, "is not there")));
      };
      line(from, one.from);
      line(to, one.to);
    }
    if (end - begin > kShownOfAKind)
      say(context, fmt::format("  and {} more; --output json has all", end - begin - kShownOfAKind));
    begin = end;
  }
}

struct Compared {
  std::vector<engine::Difference> differences;
  std::vector<std::string> notes;
  std::string from = "from", to = "to";
};

Status compare_databases(const Context& context, const ParityArguments& arguments, engine::Concern& concern,
                         Compared& out) {
  PL_TRY(auto from, open_environment(context, arguments.from, arguments.database));
  PL_TRY(auto to, open_environment(context, arguments.to, arguments.database));
  if (from.name == to.name) {
    from.name += " (from)";
    to.name += " (to)";
  }
  PL_CHECK(map_roles(arguments.map_roles, from));
  PL_CHECK(read_both(from, to));
  engine::rename_roles(from.side, from.roles);
  engine::rename_roles(to.side, to.roles);
  const bool limited = !arguments.rollout.empty();
  if (limited) {
    PL_TRY(concern, concern_of(context, arguments.rollout, from, to));
  }
  out.differences = engine::compare_sides(from.side, to.side, limited ? &concern : nullptr);
  out.notes = notes_of(from, to);
  out.from = from.name;
  out.to = to.name;
  return {};
}

// The flags of both environments where poundlock.yaml tells of both, and a note where it tells of one.
Status name_flags(const Context& context, ParityArguments& arguments, std::vector<std::string>& notes) {
  if (is_url(arguments.from) || is_url(arguments.to)) return {};
  PL_TRY(const Site site, need_site(context));
  const auto source = [&](const std::string& named) -> Result<FlagSource> {
    PL_TRY(const auto* environment, rollout::find_environment(site.config, named));
    FlagSource out{{}, environment->server};
    for (const auto& file : environment->flags) out.files.push_back(site.resolve(file).string());
    return out;
  };
  PL_TRY(auto from, source(arguments.from));
  PL_TRY(auto to, source(arguments.to));
  if (from.empty() != to.empty())
    notes.push_back(fmt::format("flags were not compared: {} has neither flags nor server in poundlock.yaml",
                                from.empty() ? arguments.from : arguments.to));
  if (from.empty() || to.empty()) return {};
  arguments.from_flags = std::move(from);
  arguments.to_flags = std::move(to);
  return {};
}

Result<int> parity(Context& context, ParityArguments arguments) {
  bool flags = !arguments.from_flags.empty() || !arguments.to_flags.empty();
  if (flags && (arguments.from_flags.empty() || arguments.to_flags.empty()))
    return fail(user_error("parity.flags", "the flags of one side alone cannot be compared")
                    .with_hint("--from-flags FILE --to-flags FILE, or --from-server URL --to-server URL"));
  Compared compared;
  engine::Concern concern;
  // Flags of files need no database, and nobody should have to write a configuration for them.
  bool databases = !flags || !arguments.from.empty() || !arguments.to.empty() || !arguments.rollout.empty();
  if (!databases) {
    PL_TRY(const auto site, find_site(context));
    databases = site.has_value();
  }
  if (databases) {
    PL_CHECK(name_environments(context, arguments));
    PL_CHECK(compare_databases(context, arguments, concern, compared));
    if (!flags) PL_CHECK(name_flags(context, arguments, compared.notes));
    flags = !arguments.from_flags.empty();
  }
  if (flags) {
    PL_TRY(const auto from, flags_of(context, arguments.from_flags));
    PL_TRY(const auto to, flags_of(context, arguments.to_flags));
    for (auto& one : engine::compare_flags(from, to, arguments.rollout.empty() ? nullptr : &concern))
      compared.differences.push_back(std::move(one));
  }
  const std::size_t blocking = engine::blocking(compared.differences);
  if (context.json) {
    bj::object out = to_json(compared.differences, blocking);
    out["from"] = compared.from;
    out["to"] = compared.to;
    out["notes"] = bj::array(compared.notes.begin(), compared.notes.end());
    print_json(context, out);
    return blocking == 0 ? 0 : 1;
  }
  print_differences(context, compared.differences, compared.from, compared.to);
  if (!compared.differences.empty()) say(context, "");
  for (const auto& note : compared.notes) say(context, "note: " + clean(note));
  const std::string both = fmt::format("{} and {}", clean(compared.from), clean(compared.to));
  const std::size_t count = compared.differences.size();
  const std::string all = fmt::format("{} difference{}", count, count == 1 ? "" : "s");
  if (count == 0)
    say(context, context.paint()(Colour::kGreen, both + " are alike"));
  else if (blocking == 0)
    say(context, context.paint()(Colour::kGreen, fmt::format("{}: {}, none of which touches {}", both, all,
                                                             clean(arguments.rollout))));
  else
    say(context,
        context.paint()(Colour::kRed, fmt::format("{}: {}, {} of them blocking", both, all, blocking)));
  return blocking == 0 ? 0 : 1;
}

}  // namespace

void add_parity(CLI::App& app, Context& context) {
  auto a = std::make_shared<ParityArguments>();
  auto* verb = add_verb(app, context, "parity", "in what two environments differ", [&context, a] {
    const auto code = parity(context, *a);
    return code ? *code : report(context, code.error());
  });
  verb->add_option("--from", a->from, "URL, or an environment of poundlock.yaml (default: staging)");
  verb->add_option("--to", a->to, "URL, or an environment of poundlock.yaml (default: prod)");
  verb->add_option("--rollout", a->rollout, "only what touches the tables of this rollout blocks")
      ->type_name(kFile);
  verb->add_option("--database", a->database, "a name of poundlock.yaml, where it has several");
  add_each(*verb, "--from-flags", a->from_flags.files, "flag file or folder of the one side")
      ->type_name(kFile);
  add_each(*verb, "--to-flags", a->to_flags.files, "and of the other")->type_name(kFile);
  verb->add_option("--from-server", a->from_flags.server, "or the flags of this poundlockd");
  verb->add_option("--to-server", a->to_flags.server, "and of that one");
  add_each(*verb, "--map-role", a->map_roles, "FROM=TO: a role of the one side, and what the other calls it")
      ->type_name("FROM=TO");
}

}  // namespace poundlock::cli
