// kill: everybody back to legacy, through the server; or, where none is up, by files that applications, a
// poundlockd or a stock flagd read.
#include <fmt/format.h>

#include <boost/json.hpp>

#include "base/json.h"
#include "cli/api.h"
#include "cli/commands.h"
#include "cli/fields.h"
#include "cli/text.h"
#include "flag/rollout_flag.h"
#include "rollout/spec.h"
#include "store/sqlite_store.h"

namespace poundlock::cli {
namespace {

namespace bj = boost::json;
namespace fs = std::filesystem;

// What can be known without a server, from the store of the one that ran here and the rollout files.
struct Known {
  std::string key;      // to be killed
  std::string rollout;  // that steers it; "" for a plain flag, or not known
  bool from_store = false;
  bool closed = false;
};

fs::path store_of(const Context& context, const std::optional<Site>& site) {
  const auto state =
      site ? site->resolve(site->config.server.state) : context.directory / rollout::ServerConfig{}.state;
  return state / "poundlock.db";
}

std::optional<bj::object> stored_parts(const Context& context, const std::optional<Site>& site) {
  const auto text = store::peek_sqlite(store_of(context, site).string(), "flags/published");
  if (!text || !*text) return std::nullopt;
  const auto value = json::parse(**text, "the stored flag set", json::kOwnLimits);
  if (!value || !value->is_object()) return std::nullopt;
  return object_at(value->as_object(), "parts");
}

bool is_closed(const bj::object& flags, const std::string& key) {
  const auto& stage = object_at(flags, key + std::string(flag::kStageSuffix));
  return text_at(stage, "defaultVariant") == flag::to_string(flag::Stage::kComplete) &&
         !stage.contains("targeting");
}

std::string key_of(const bj::object& flags) {
  for (const auto& one : flags)
    if (!std::string_view(one.key()).ends_with(flag::kStageSuffix)) return std::string(one.key());
  return {};
}

// rollouts/*.yaml beside poundlock.yaml, where the store says nothing.
std::string key_in_files(const Context& context, const std::optional<Site>& site,
                         const std::string& rollout) {
  const fs::path folder = (site ? site->folder() : context.directory) / "rollouts";
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    if (at->path().extension() != ".yaml") continue;
    const auto text = read_file(context, at->path().string());
    if (!text) continue;
    const auto spec = rollout::parse_rollout(*text, at->path().string());
    if (spec && spec->name == rollout && spec->flag) return spec->flag->key;
  }
  return {};
}

Result<Known> find_out(const Context& context, const KillArguments& arguments) {
  std::optional<Site> site;
  if (auto found = find_site(context)) site = std::move(*found);  // a broken file must not hold up a kill
  Known out;
  out.key = arguments.subject;
  const auto parts = stored_parts(context, site);
  for (const auto& part : parts.value_or(bj::object{})) {
    const auto& flags = element(part.value());
    const bool named = !arguments.rollout.empty() && part.key() == arguments.rollout;
    const bool holds = arguments.rollout.empty() && flags.contains(arguments.subject);
    const bool by_subject =
        arguments.rollout.empty() && !part.key().empty() && part.key() == arguments.subject;
    if (!named && !holds && !by_subject) continue;
    if (!part.key().empty()) {
      out.rollout = std::string(part.key());
      out.key = key_of(flags);
    }
    out.from_store = true;
    out.closed = !part.key().empty() && is_closed(flags, out.key);
    if (holds) break;
  }
  // A key that the store knows of no rollout is a plain flag's: nothing of it can be closed.
  out.from_store = out.from_store || (parts && arguments.rollout.empty());
  if (out.from_store || arguments.rollout.empty()) return out;
  out.rollout = arguments.rollout;
  out.key = key_in_files(context, site, arguments.rollout);
  if (!out.key.empty()) return out;
  return fail(user_error("kill.rollout",
                         fmt::format("the flag of rollout {} is not known here", clean(arguments.rollout)))
                  .with_hint("name the flag's key itself, as the application does"));
}

// What stands in the file already, so that its other entries stay.
Result<bj::object> existing(const Context& context, const std::string& path) {
  std::error_code ignored;
  if (!fs::exists(context.directory / path, ignored)) return bj::object{};
  PL_TRY(const auto text, read_file(context, path));
  auto value = json::parse(text, path);
  if (!value || !value->is_object() ||
      (value->as_object().contains("flags") && !value->at("flags").is_object())) {
    return fail(
        user_error("kill.file", fmt::format("{} is there and cannot be understood: {}", clean(path),
                                            value ? "it holds no object \"flags\"" : value.error().message))
            .with_hint("name another file, or take this one away"));
  }
  return std::move(value->as_object());
}

Status add_to(const Context& context, const std::string& path, const bj::object& flags) {
  PL_TRY(auto document, existing(context, path));
  if (!document.contains("flags")) document["flags"] = bj::object{};
  auto& to = document["flags"].as_object();
  for (const auto& one : flags) to[one.key()] = one.value();
  return write_file(context, path, json::dump(document) + "\n");
}

int kill_offline(Context& context, const KillArguments& arguments) {
  if (arguments.override_file.empty() && arguments.flagd_file.empty())
    return report(context,
                  user_error("usage", "where is the order to be written?")
                      .with_hint("--override-file FILE for applications and poundlockd, --flagd-file "
                                 "FILE for a stock flagd"));
  const auto known = find_out(context, arguments);
  if (!known) return report(context, known.error());
  if (known->closed)
    return report(context,
                  make_error(Disposition::kRefused, "kill.closed",
                             fmt::format("rollout {} is closing or closed: nobody may go back to legacy",
                                         clean(known->rollout)))
                      .with_hint(fmt::format("the word is restore: `poundlock rollback {} --restore`",
                                             clean(known->rollout))));
  // `enabled: false` is everybody on the legacy side, for the key and its stage.
  flag::RolloutFlag off;
  off.key = known->key;
  off.enabled = false;
  off.others = flag::Stage::kOff;
  const auto definitions = flag::compile_rollout_flag(off);
  if (!definitions) return report(context, definitions.error());
  if (!arguments.override_file.empty())
    if (auto done = add_to(context, arguments.override_file, {{known->key, "off"}}); !done)
      return report(context, done.error());
  if (!arguments.flagd_file.empty())
    if (auto done = add_to(context, arguments.flagd_file, *definitions); !done)
      return report(context, done.error());
  const char* doubt =
      "the store could not tell of this flag: if its rollout is closing or closed already, take this back, "
      "the "
      "word is then `poundlock rollback NAME --restore`";
  if (!known->from_store) context.err << context.paint()(Colour::kYellow, "warning: ") << doubt << std::endl;
  if (context.json) {
    bj::object out{{"key", known->key}, {"rollout", known->rollout}, {"known", known->from_store}};
    print_json(context, out);
    return 0;
  }
  for (const auto& file : {arguments.override_file, arguments.flagd_file})
    if (!file.empty()) say(context, fmt::format("{} is off in {}", clean(known->key), clean(file)));
  return 0;
}

// The rollout that steers a flag; "" for a plain one; what is no flag is a rollout's own name.
Result<std::string> rollout_of(const Context& context, const std::string& subject) {
  PL_TRY(auto api, Api::open(context));
  const auto flag = api.get("/v1/flags/" + percent_encode(subject));
  if (flag) return text_at(*flag, "rollout");
  if (flag.error().code == "flag.unknown") return subject;
  return fail(flag.error());
}

}  // namespace

int kill_command(Context& context, const KillArguments& arguments) {
  if (arguments.subject.empty() == arguments.rollout.empty())
    return report(context, user_error("usage", "name either a flag or, by --rollout, a rollout")
                               .with_hint("`poundlock kill --help`"));
  if (arguments.offline) return kill_offline(context, arguments);
  OrderArguments order;
  order.verb = "rollback";
  order.name = arguments.rollout;
  order.why = arguments.why;
  order.wait = arguments.wait;
  order.limit = arguments.limit;
  if (order.name.empty()) {
    auto name = rollout_of(context, arguments.subject);
    if (!name) return report(context, name.error());
    if (name->empty()) return flag_switch_command(context, {arguments.subject, {}, {}, arguments.why}, false);
    order.name = std::move(*name);
  }
  return order_command(context, order);
}

}  // namespace poundlock::cli
