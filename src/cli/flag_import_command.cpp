// flag import: flagd's definitions and LaunchDarkly's export, as plain flags on the server.
#include <fmt/format.h>

#include <boost/json.hpp>

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

}  // namespace

int flag_import_command(Context& context, const FlagImportArguments& arguments) {
  const auto files = read_flag_files(context, {arguments.file});
  if (!files) return report(context, files.error());
  auto imported = read_flags(files->front(), arguments);
  if (!imported) return report(context, imported.error());
  check(*imported);
  for (const auto& one : imported->left_out)
    context.err << context.paint()(Colour::kYellow, "left out: ") << clean(one) << std::endl;
  if (!imported->left_out.empty() && !arguments.partial)
    return report(context, make_error(Disposition::kRefused, "flag.import",
                                      fmt::format("{} things cannot be translated; nothing was imported",
                                                  imported->left_out.size()))
                               .with_hint("--partial imports the rest, --dry-run shows it"));
  if (arguments.dry_run) {
    print_json(context, bj::object{{"flags", imported->flags}});
    return 0;
  }
  auto api = Api::open(context);
  if (!api) return report(context, api.error());
  const std::string why = arguments.why.empty() ? "imported from " + arguments.file : arguments.why;
  std::size_t done = 0;
  for (const auto& one : imported->flags) {
    const auto answer = api->put("/v1/flags/" + percent_encode(one.key()),
                                 {{"definition", one.value()}, {"who", who_of(context)}, {"why", why}});
    if (!answer) {
      say(context, fmt::format("{} flags imported before this", done));
      return report(context, answer.error());
    }
    ++done;
  }
  if (context.json)
    print_json(context, bj::object{{"imported", done}, {"left_out", imported->left_out.size()}});
  else
    say(context, fmt::format("{} flags imported, {} left out", done, imported->left_out.size()));
  return 0;
}

}  // namespace poundlock::cli
