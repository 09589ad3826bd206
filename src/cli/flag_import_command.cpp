// flag import: flagd's definitions and LaunchDarkly's export, as plain flags on the server.
#include <fmt/format.h>

#include <boost/json.hpp>
#include <map>

#include "base/json.h"
#include "cli/api.h"
#include "cli/commands.h"
#include "cli/fields.h"
#include "cli/flag_files.h"
#include "cli/launchdarkly.h"
#include "cli/text.h"

namespace poundlock::cli {
namespace {

namespace bj = boost::json;

Result<Imported> read_flags(const FlagText& file, const FlagImportArguments& arguments) {
  if (arguments.from == "launchdarkly")
    return import_launchdarkly(file.text, file.file, arguments.environment);
  PL_TRY(auto definition, flag::parse_definition(file.text, file.file));
  Imported out;
  out.flags = std::move(definition.flags);
  for (const auto& problem : definition.problems) out.left_out.push_back(problem.to_string());
  return out;
}

// What a publisher would refuse is left out by name, too.
void check(Imported& imported) {
  bj::object sound;
  for (const auto& one : imported.flags) {
    const auto text = json::dump(json::Object{{"flags", bj::object{{one.key(), one.value()}}}});
    const auto snapshot = flag::Snapshot::compile(text, "the import");
    if (!snapshot)
      imported.left_out.push_back(snapshot.error().message);
    else if (!(*snapshot)->problems().empty())
      imported.left_out.push_back((*snapshot)->problems().front().message);
    else
      sound[one.key()] = one.value();
  }
  imported.flags = std::move(sound);
}

// What the server has under the imported keys.
using Known = std::map<std::string, bj::object, std::less<>>;

Result<Known> known_flags(Api& api, const Imported& imported) {
  PL_TRY(const auto answer, api.get("/v1/flags"));
  Known out;
  for (const auto& value : list_at(answer, "flags")) {
    const auto& flag = element(value);
    if (auto key = text_at(flag, "key"); imported.flags.contains(key)) out.emplace(std::move(key), flag);
  }
  return out;
}

// A rollout's flag is moved by its gates; the server would refuse it in the middle of the import.
void leave_out_steered(Imported& imported, const Known& known) {
  for (const auto& [key, flag] : known) {
    const auto owner = text_at(flag, "rollout");
    if (owner.empty()) continue;
    imported.left_out.push_back(fmt::format("flag {}: rollout {} steers it", key, owner));
    imported.flags.erase(key);
  }
}

// The keys whose flag becomes another one, each told with where the present one is from.
std::vector<std::string> tell_replaced(Context& context, const Imported& imported, const Known& known,
                                       bool dry_run) {
  std::vector<std::string> out;
  for (const auto& [key, flag] : known) {
    const auto* now = imported.flags.if_contains(key);
    if (!now || *now == object_at(flag, "definition")) continue;
    const auto source = text_at(flag, "source");
    context.err << context.paint()(Colour::kYellow, dry_run ? "would replace: " : "replaces: ") << clean(key)
                << ", which was " << (source.empty() ? "set by hand" : clean("from " + source)) << std::endl;
    out.push_back(key);
  }
  return out;
}

void tell(Context& context, Colour colour, const char* what, const std::vector<std::string>& lines) {
  for (const auto& line : lines) context.err << context.paint()(colour, what) << clean(line) << std::endl;
}

Status check_left_out(Context& context, const Imported& imported, bool partial) {
  tell(context, Colour::kYellow, "left out: ", imported.left_out);
  if (imported.left_out.empty() || partial) return {};
  return fail(make_error(Disposition::kRefused, "flag.import",
                         fmt::format("{} things cannot be translated; nothing was imported",
                                     imported.left_out.size()))
                  .with_hint("--partial imports the rest, --dry-run shows it"));
}

Result<std::size_t> set_all(Context& context, Api& api, const Imported& imported, const std::string& why) {
  std::size_t done = 0;
  for (const auto& one : imported.flags) {
    const auto answer = api.put("/v1/flags/" + percent_encode(one.key()),
                                {{"definition", one.value()}, {"who", who_of(context)}, {"why", why}});
    if (!answer) {
      say(context, fmt::format("{} flags imported before this", done));
      return fail(answer.error());
    }
    ++done;
  }
  return done;
}

}  // namespace

int flag_import_command(Context& context, const FlagImportArguments& arguments) {
  const auto files = read_flag_files(context, {arguments.file});
  if (!files) return report(context, files.error());
  auto imported = read_flags(files->front(), arguments);
  if (!imported) return report(context, imported.error());
  check(*imported);
  tell(context, Colour::kYellow, "note: ", imported->notes);
  auto api = Api::open(context);
  const auto known = api ? known_flags(*api, *imported) : Result<Known>(fail(api.error()));
  if (known) leave_out_steered(*imported, *known);
  if (auto all = check_left_out(context, *imported, arguments.partial); !all)
    return report(context, all.error());
  if (!known && !arguments.dry_run) return report(context, known.error());
  if (!known) context.err << "no server could be asked: what this would replace is not known" << std::endl;
  const auto replaced =
      known ? tell_replaced(context, *imported, *known, arguments.dry_run) : std::vector<std::string>();
  if (arguments.dry_run) {
    print_json(context, bj::object{{"flags", imported->flags}});
    return 0;
  }
  const auto done = set_all(context, *api, *imported,
                            arguments.why.empty() ? "imported from " + arguments.file : arguments.why);
  if (!done) return report(context, done.error());
  if (context.json)
    print_json(context, bj::object{{"imported", *done},
                                   {"replaced", bj::value_from(replaced)},
                                   {"left_out", imported->left_out.size()}});
  else
    say(context, fmt::format("{} flags imported, {} left out", *done, imported->left_out.size()));
  return 0;
}

}  // namespace poundlock::cli
