#include "cli/app.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/suggest.h"
#include "cli/commands.h"
#include "cli/completion.h"
#include "cli/text.h"
#include "cli/verb.h"

namespace poundlock::cli {
namespace {

constexpr const char* kVersion = "poundlock 0.1.0";
constexpr const char* kFooter =
    "Exit codes: 0 done, 1 a gate or check said no, 2 usage, 3 cannot reach something, 4 conflict, 70 a "
    "fault of "
    "ours.";

struct Global {
  const char* name;
  bool takes_value;
};
constexpr std::array kGlobals{Global{"--config", true},   Global{"--environment", true},
                              Global{"--server", true},   Global{"--token-file", true},
                              Global{"--who", true},      Global{"--output", true},
                              Global{"--no-color", false}};

// Global options may stand behind the verb, where people put them: they are brought to the front. Behind
// `serve` and behind -- everything belongs to somebody else.
std::vector<std::string> globals_first(const std::vector<std::string>& arguments) {
  std::vector<std::string> front;
  std::vector<std::string> rest;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& one = arguments[i];
    if (one == "--" || (one == "serve" && rest.empty())) {
      rest.insert(rest.end(), arguments.begin() + static_cast<std::ptrdiff_t>(i), arguments.end());
      break;
    }
    const auto global = std::find_if(kGlobals.begin(), kGlobals.end(), [&](const Global& known) {
      return one == known.name || (known.takes_value && one.starts_with(std::string(known.name) + "="));
    });
    auto& to = global == kGlobals.end() ? rest : front;
    to.push_back(one);
    if (global != kGlobals.end() && global->takes_value && one == global->name && i + 1 < arguments.size())
      to.push_back(arguments[++i]);
  }
  front.insert(front.end(), rest.begin(), rest.end());
  return front;
}

void add_globals(CLI::App& app, Context& context, bool& no_colour) {
  app.add_option("--config", context.config, "poundlock.yaml (default: looked for from here upward)")
      ->type_name(kFile);
  app.add_option("--environment", context.environment, "environment of that file (default: its own default)");
  app.add_option("--server", context.server,
                 "URL of poundlockd (default: POUNDLOCK_SERVER, the running one, the file)");
  app.add_option("--token-file", context.token_file,
                 "file of the admin token (default: POUNDLOCK_TOKEN, which holds the token itself; else "
                 "the server's STATE/admin-token)")
      ->type_name(kFile);
  app.add_option("--who", context.who, "who gives the order, for the audit trail (default: $USER)");
  app.add_option("--output", context.output, "text or json; lint also sarif, junit, github")
      ->check(CLI::IsMember({"text", "json", "sarif", "junit", "github"}));
  app.add_flag("--no-color", no_colour, "no colour; NO_COLOR does the same");
}

// What the options of all verbs are parsed into; lives until the verb has run.
struct Arguments {
  bool force = false;
  DoctorArguments doctor;
  StartArguments start;
  OrderArguments order;
  bool to_prepare = false;
  bool restore = false;
  std::string to;
  std::string name;
  std::string key;
  FlagSetArguments set;
  FlagListArguments list;
  FlagEvalArguments eval;
  FlagImportArguments import;
  KillArguments kill;
  std::vector<std::string> files;
  int days = 30;
  AuditArguments audit;
  SimulateArguments simulate;
  std::string shell;
  std::vector<std::string> help;
};

void add_local_verbs(CLI::App& app, Context& context, Arguments& a) {
  auto* init = add_verb(app, context, "init", "write poundlock.yaml and rollouts/example.yaml",
                        [&] { return init_command(context, a.force); });
  init->add_flag("--force", a.force, "overwrite what is there");

  auto* doctor =
      add_verb(app, context, "doctor", "what a database allows, what is lost without it, the GRANT script",
               [&] { return doctor_command(context, a.doctor); });
  doctor->add_option("--rollout", a.doctor.rollout, "rollout file: look at its tables only")
      ->type_name(kFile);
  doctor->add_option("--database", a.doctor.database, "database of poundlock.yaml (default: the only one)");
  doctor->add_option("--database-url", a.doctor.database_url, "a database that is in no file");
  doctor->add_flag("--grants", a.doctor.grants, "print only the SQL that an administrator has to run");
}

CLI::App* add_order(CLI::App& app, Context& context, Arguments& a, const std::string& name,
                    const std::string& help) {
  auto* sub = add_verb(app, context, name, help, [&context, &a, name] {
    a.order.verb = name;
    return order_command(context, a.order);
  });
  sub->add_option("name", a.order.name, "rollout")->required();
  sub->add_option("--why", a.order.why, "the reason, for the audit trail");
  return sub;
}

void add_rollout_verbs(CLI::App& app, Context& context, Arguments& a) {
  auto* start =
      add_verb(app, context, "start", "start a rollout", [&] { return start_command(context, a.start); });
  start->add_option("file", a.start.file, "rollout file")->required();
  start->add_option("--speed", a.start.speed, "divide windows and dwell by this; never a gate's limit")
      ->check(CLI::Range(1.0, 1e9));
  auto* wait = start->add_flag("--wait", a.start.wait, "until it is done (0), or rolled back or paused (1)");
  add_duration(*start, "--limit", a.start.limit, "longest wait, such as 2h (default: none)")->needs(wait);

  auto* status = add_verb(app, context, "status", "where a rollout stands, or all of them",
                          [&] { return status_command(context, a.name); });
  status->add_option("name", a.name, "rollout");
  auto* watch = add_verb(app, context, "watch", "follow a rollout until it is closed",
                         [&] { return watch_command(context, a.name); });
  watch->add_option("name", a.name, "rollout (default: the only one under way)");

  add_order(app, context, a, "approve", "give an approval that a rollout waits for")
      ->add_option("what", a.order.subject, "the approval, as `status` names it")
      ->required();
  add_order(app, context, a, "promote", "end the dwell of an exposure step now; gates still count");
  add_order(app, context, a, "pause", "stay where it is");
  add_order(app, context, a, "resume", "go on after a pause or a rollback");
  add_order(app, context, a, "abort", "take everything back and close the rollout");
  auto* back = add_order(app, context, a, "rollback", "bring everybody back to legacy, in under a second");
  auto* restore = back->add_flag_callback(
      "--restore", [&a] { a.order.subject = "restore"; },
      "after the drop: bring the legacy side back and refill it");
  back->add_option("--to", a.to, "prepare: take the schema change back too")
      ->check(CLI::IsMember({"prepare"}))
      ->excludes(restore)
      ->each([&a](const std::string& phase) { a.order.subject = phase; });
  auto* until = back->add_flag("--wait", a.order.wait, "until every reader has applied it");
  add_duration(*back, "--limit", a.order.limit, "longest wait (default: 60s)")->needs(until);
}

void add_flag_orders(CLI::App& flag, Context& context, Arguments& a) {
  auto* list =
      add_verb(flag, context, "list", "all flags", [&] { return flag_list_command(context, a.list); });
  list->add_option("--match", a.list.match, "only keys that hold this text");
  list->add_option("--owner", a.list.owner, "only flags of this rollout; plain: of none");
  list->add_option("--state", a.list.state, "only flags in this state")
      ->check(CLI::IsMember({"ENABLED", "DISABLED"}));
  auto* get = add_verb(flag, context, "get", "one flag's definition",
                       [&] { return flag_get_command(context, a.key); });
  get->add_option("key", a.key, "flag")->required();
  auto* set = add_verb(flag, context, "set", "change a flag, or make one",
                       [&] { return flag_set_command(context, a.set); });
  set->add_option("key", a.set.key, "flag")->required();
  set->add_option("--variant", a.set.variant, "make this variant the default");
  set->add_option("--definition", a.set.definition, "flagd definition as JSON, or @FILE");
  set->add_option("--why", a.set.why, "the reason, for the audit trail");
  for (const bool on : {true, false}) {
    auto* one = add_verb(flag, context, on ? "on" : "off",
                         fmt::format("a plain boolean flag is {} for everybody", on),
                         [&context, &a, on] { return flag_switch_command(context, a.set, on); });
    one->add_option("key", a.set.key, "flag")->required();
    one->add_option("--why", a.set.why, "the reason, for the audit trail");
  }
  auto* gone = add_verb(flag, context, "delete", "take away a flag that was set by hand",
                        [&] { return flag_delete_command(context, a.set); });
  gone->add_option("key", a.set.key, "flag")->required();
  gone->add_option("--why", a.set.why, "the reason, for the audit trail");
  auto* reset = add_verb(flag, context, "reset", "let a file's flag count again that was set by hand",
                         [&] { return flag_reset_command(context, a.set); });
  reset->add_option("key", a.set.key, "flag")->required();
  reset->add_option("--why", a.set.why, "the reason, for the audit trail");
}

void add_flag_files(CLI::App& flag, Context& context, Arguments& a) {
  auto* eval = add_verb(flag, context, "eval", "what a context gets, and why",
                        [&] { return flag_eval_command(context, a.eval); });
  eval->add_option("key", a.eval.key, "flag")->required();
  eval->add_option("--targeting-key", a.eval.targeting_key, "whom the evaluation is for");
  add_each(*eval, "--context", a.eval.attributes, "NAME=VALUE, several times, or a JSON object");
  add_each(*eval, "--flags", a.eval.files, "evaluate this file or folder, without a server")
      ->type_name(kFile);
  eval->add_flag("--explain", a.eval.explain, "each step of the rule, with the values that it saw");
  auto* validate = add_verb(flag, context, "validate", "what is wrong with flag files",
                            [&] { return flag_validate_command(context, a.files); });
  validate->add_option("file", a.files, "flag files and folders, - for standard input")->required();
  auto* import = add_verb(flag, context, "import", "flags of another system onto the server",
                          [&] { return flag_import_command(context, a.import); });
  import->add_option("file", a.import.file, "what the other system exported")->required();
  import->add_option("--from", a.import.from, "which system's file it is (default: flagd)")
      ->check(CLI::IsMember({"flagd", "launchdarkly"}));
  import->add_option("--environment-key", a.import.environment, "the environment of LaunchDarkly's export");
  import->add_flag("--partial", a.import.partial, "leave out what cannot be translated");
  import->add_flag("--dry-run", a.import.dry_run, "print the definitions and change nothing");
  import->add_option("--why", a.import.why, "the reason, for the audit trail");
  auto* exported = add_verb(flag, context, "export", "the server's flags in flagd's JSON",
                            [&] { return flag_export_command(context, a.name); });
  exported->add_option("file", a.name, "where to (default: standard output)");
}

void add_flag_verbs(CLI::App& app, Context& context, Arguments& a) {
  auto* flag = app.add_subcommand(
      "flag", "list, get, set, on, off, delete, reset, eval, validate, status, stale, import, export");
  flag->require_subcommand(1);
  add_flag_orders(*flag, context, a);
  add_flag_files(*flag, context, a);
  auto* status = add_verb(*flag, context, "status", "who has applied a flag, and what else is known of it",
                          [&] { return flag_status_command(context, a.key); });
  status->add_option("key", a.key, "flag")->required();
  auto* stale = add_verb(*flag, context, "stale", "flags and rules that nobody needs any more",
                         [&] { return flag_stale_command(context, a.days); });
  stale->add_option("--days", a.days, "not evaluated for so many days (default: 30)")
      ->check(CLI::Range(1, 3650));

  auto* kill = add_verb(app, context, "kill", "turn a flag or a rollout off, also without a server",
                        [&] { return kill_command(context, a.kill); });
  kill->add_option("name", a.kill.subject, "a flag or a rollout");
  kill->add_option("--rollout", a.kill.rollout, "a rollout, where a flag is called the same");
  kill->add_option("--why", a.kill.why, "the reason, for the audit trail");
  auto* wait = kill->add_flag("--wait", a.kill.wait, "until every reader has applied it");
  add_duration(*kill, "--limit", a.kill.limit, "longest wait (default: 60s)")->needs(wait);
  auto* offline = kill->add_flag("--offline", a.kill.offline, "write an override file, without a server");
  kill->add_option("--override-file", a.kill.override_file, "the file that applications or poundlockd read")
      ->type_name(kFile)
      ->needs(offline);
  kill->add_option("--flagd-file", a.kill.flagd_file, "and one that a stock flagd can serve")
      ->type_name(kFile)
      ->needs(offline);
  add_each(*kill, "--flags", a.kill.flags, "a flag file that tells the variants, where the store does not")
      ->type_name(kFile)
      ->needs(offline);
}

void add_server_verbs(CLI::App& app, Context& context, Arguments& a) {
  auto* audit = add_verb(app, context, "audit", "who did what and why",
                         [&] { return audit_command(context, a.audit); });
  audit->add_option("--subject", a.audit.subject, "a rollout or a flag (default: all)");
  audit->add_option("--limit", a.audit.limit, "newest entries (default: 50)")->check(CLI::Range(1, 1000));
  audit->add_flag("--verify", a.audit.verify, "recompute the chain of hashes");

  auto* simulate = add_verb(app, context, "simulate", "play rollouts with faults from a seed",
                            [&] { return simulate_command(context, a.simulate); });
  simulate->add_option("--seed", a.simulate.seed, "the first seed (default: 1)");
  simulate->add_option("--runs", a.simulate.runs, "how many seeds, one after another (default: 1)")
      ->check(CLI::Range(1, 1'000'000));
  simulate->add_option("--faults", a.simulate.faults,
                       "all, none, or some of crashes,database,store,application,operators,clock");
  simulate->add_flag("--trace", a.simulate.trace, "print everything that happened");

  auto* serve = app.add_subcommand("serve", "run poundlockd with these arguments");
  serve->prefix_command();
  serve->set_help_flag();  // --help is poundlockd's own
  serve->callback([&context, serve] {
    context.verb = [&context, words = serve->remaining()] { return serve_command(context, words); };
  });
}

// The words of "{text,json}", as the parser describes a choice.
std::vector<std::string> choices(const CLI::Option& option) {
  std::vector<std::string> out;
  const std::string type = option.get_type_name();
  const auto open = type.find('{');
  if (open == std::string::npos) return out;
  const std::string inside = type.substr(open + 1, type.find('}', open) - open - 1);
  for (std::size_t at = 0; at <= inside.size();) {
    const auto comma = std::min(inside.find(',', at), inside.size());
    out.push_back(inside.substr(at, comma - at));
    at = comma + 1;
  }
  return out;
}

OptionInfo described(const CLI::Option& option, const std::string& name) {
  return {"--" + name, option.get_items_expected_max() > 0, option.get_type_name() == kFile, choices(option)};
}

void collect(const CLI::App& app, const std::string& prefix, std::vector<VerbInfo>& out) {
  for (const auto* sub : app.get_subcommands([](const CLI::App*) { return true; })) {
    VerbInfo info{prefix + sub->get_name(), sub->get_description(), {}, false, {}};
    for (const auto* option : sub->get_options()) {
      for (const auto& name : option->get_lnames()) info.options.push_back(described(*option, name));
      if (!option->get_positional()) continue;
      info.takes_file = info.takes_file || option->get_name() == "file";
      if (auto words = choices(*option); !words.empty()) info.words = std::move(words);
    }
    out.push_back(info);
    collect(*sub, info.name + " ", out);
  }
}

std::vector<std::string> global_names() {
  std::vector<std::string> out;
  for (const auto& one : kGlobals) out.emplace_back(one.name);
  return out;
}

std::vector<OptionInfo> global_options(const CLI::App& app) {
  std::vector<OptionInfo> out;
  for (const auto& name : global_names()) out.push_back(described(*app.get_option(name), name.substr(2)));
  return out;
}

void add_completion(CLI::App& app, Context& context, Arguments& a) {
  auto* sub = add_verb(app, context, "completion", "a completion script for bash, zsh or fish", [&] {
    std::vector<VerbInfo> verbs;
    collect(app, "", verbs);
    for (auto& verb : verbs) {
      if (verb.name != "help") continue;
      for (const auto* one : app.get_subcommands([](const CLI::App*) { return true; }))
        verb.words.push_back(one->get_name());
    }
    const auto script = completion_script(a.shell, verbs, global_options(app));
    if (!script) return report(context, script.error());
    context.out << *script << std::flush;
    return 0;
  });
  sub->add_option("shell", a.shell, "bash, zsh or fish")->required()->type_name("{bash,zsh,fish}");
}

// "poundlock flag eval": all words of a verb.
std::string words_of(const CLI::App& verb) {
  return verb.get_parent() == nullptr ? "poundlock" : words_of(*verb.get_parent()) + " " + verb.get_name();
}

// A word that the verb `at` does not know, and what it could have been.
Error no_such(const CLI::App& at, const std::string& word) {
  std::vector<std::string> known;
  const bool option = word.starts_with("-");
  if (option) {
    known = global_names();
    for (const auto* one : at.get_options())
      for (const auto& name : one->get_lnames()) known.push_back("--" + name);
  } else {
    for (const auto* one : at.get_subcommands([](const CLI::App*) { return true; }))
      known.push_back(one->get_name());
  }
  std::string typed = word.substr(0, option ? word.find('=') : std::string::npos);
  // `paths tset FILE`: the word that is wrong went to the file, and the one that is left over is right.
  for (const auto* one : at.get_options([](const CLI::Option* of) { return of->get_positional(); }))
    for (const auto& taken : one->results())
      if (!option && !nearest(taken, std::span<const std::string>(known)).empty()) typed = taken;
  const auto near = nearest(typed, std::span<const std::string>(known));
  const char* what = option ? "option" : known.empty() ? "argument" : "verb";
  const std::string help = fmt::format("`{} --help`", words_of(at));
  return user_error("usage", fmt::format("unknown {} {}", what, clean(typed)))
      .with_hint(near.empty() ? help + " lists what there is" : fmt::format("did you mean {}?", near));
}

// The verb that was typed as far as it was understood.
Error unexpected(const CLI::App& app, const std::string& word) {
  const CLI::App* at = &app;
  while (!at->get_subcommands().empty()) at = at->get_subcommands().front();
  return no_such(*at, word);
}

// The help of the verb that the words name, as `VERB --help` prints it.
int help_command(const CLI::App& app, Context& context, const std::vector<std::string>& words) {
  if (!words.empty() && words[0] == "serve") return serve_command(context, {"--help"});  // poundlockd's own
  const CLI::App* at = &app;
  std::string prefix;
  for (const auto& word : words) {
    const auto below = at->get_subcommands([&](const CLI::App* one) { return one->get_name() == word; });
    if (below.empty()) return report(context, no_such(*at, word));
    prefix += (prefix.empty() ? "" : " ") + at->get_name();
    at = below.front();
  }
  // Of the whole, App::help() would answer with the verb that was called, which is this one.
  const std::string name = (prefix.empty() ? "" : prefix + " ") + at->get_name();
  context.out << at->get_formatter()->make_help(at, name, CLI::AppFormatMode::Normal) << std::flush;
  return 0;
}

void add_help(CLI::App& app, Context& context, Arguments& a) {
  auto* help = add_verb(app, context, "help", "this, or what a verb takes",
                        [&] { return help_command(app, context, a.help); });
  help->add_option("verb", a.help, "the verb; both words of `flag set`");
  add_verb(app, context, "version", "which version this is", [&context] {
    say(context, kVersion);
    return 0;
  });
}

// What the parser says of a verb's arguments, with the verb's help as what to try.
Error usage_error(const CLI::App& app, const std::string& message) {
  const CLI::App* at = &app;
  while (!at->get_subcommands().empty()) at = at->get_subcommands().front();
  return user_error("usage", clean(message)).with_hint(fmt::format("`{} --help`", words_of(*at)));
}

int parse(CLI::App& app, Context& context, std::vector<std::string> arguments) {
  std::reverse(arguments.begin(), arguments.end());  // as the parser wants it
  try {
    app.parse(std::move(arguments));
    return -1;
  } catch (const CLI::Success& success) {
    return app.exit(success, context.out, context.err);
  } catch (const CLI::ExtrasError&) {
    const auto words = app.remaining(true);
    return report(context, unexpected(app, words.empty() ? "" : words.front()));
  } catch (const CLI::ParseError& error) {
    // A misspelt word first: what it should have been is then missing as well.
    const auto words = app.remaining(true);
    if (!words.empty()) return report(context, unexpected(app, words.front()));
    return report(context, usage_error(app, error.what()));
  }
}

// The context looks as the arguments say even where they cannot be parsed.
bool wants_json(const std::vector<std::string>& arguments) {
  for (std::size_t i = 0; i < arguments.size() && arguments[i] != "--"; ++i) {
    if (arguments[i] == "--output=json") return true;
    if (arguments[i] == "--output" && i + 1 < arguments.size() && arguments[i + 1] == "json") return true;
  }
  return false;
}

}  // namespace

int run(Context& context, const std::vector<std::string>& arguments) {
  CLI::App app{"Poundlock makes a PostgreSQL schema change a reversible, gated, flag-steered rollout."};
  app.name("poundlock");
  app.footer(kFooter);
  app.set_version_flag("--version", kVersion);
  app.require_subcommand(0, 1);
  bool no_colour = false;
  Arguments a;
  add_globals(app, context, no_colour);
  add_local_verbs(app, context, a);
  add_lint(app, context);
  add_plan(app, context);
  add_dry_run(app, context);
  add_paths(app, context);
  add_rehearse(app, context);
  add_parity(app, context);
  add_verify(app, context);
  add_rollout_verbs(app, context, a);
  add_flag_verbs(app, context, a);
  add_server_verbs(app, context, a);
  add_demo(app, context);
  add_completion(app, context, a);
  add_help(app, context, a);
  context.json = wants_json(arguments);
  if (const int code = parse(app, context, globals_first(arguments)); code >= 0) return code;
  context.json = context.output == "json";
  if (no_colour) context.colour = false;
  if (!context.verb) {
    context.err << app.help() << std::flush;
    return 2;
  }
  if (context.output != "text" && context.output != "json" &&
      std::ranges::find(context.formats, context.output) == context.formats.end())
    return report(context, user_error("usage", fmt::format("this verb does not write {}", context.output))
                               .with_hint("--output text or --output json"));
  return context.verb();
}

}  // namespace poundlock::cli
