// kill: everybody back to legacy, through the server; or, where none is up, by files that applications, a
// poundlockd or a stock flagd read.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/file.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <cerrno>

#include "base/json.h"
#include "cli/api.h"
#include "cli/commands.h"
#include "cli/fields.h"
#include "cli/flag_files.h"
#include "cli/near_name.h"
#include "cli/text.h"
#include "client/override_file.h"
#include "flag/rollout_flag.h"
#include "rollout/spec.h"
#include "store/sqlite_store.h"

namespace poundlock::cli {
namespace {

namespace bj = boost::json;
namespace fs = std::filesystem;
constexpr int kLockTries = 200;  // of kLockPauseMs each: somebody else's kill is done by then
constexpr int kLockPauseMs = 50;

// What can be known without a server, from the store of the one that ran here and the rollout files.
struct Known {
  std::string key;      // to be killed
  std::string rollout;  // that steers it; "" for a plain flag, or not known
  bool from_store = false;
  bool closed = false;
  bj::object definition;  // of a plain flag, where one is known; else empty
};

fs::path store_of(const Context& context, const std::optional<Site>& site) {
  const auto state =
      site ? site->resolve(site->config.server.state) : context.directory / rollout::ServerConfig{}.state;
  return state / "poundlock.db";
}

std::optional<bj::object> stored_flags(const Context& context, const std::optional<Site>& site) {
  const auto text = store::peek_sqlite(store_of(context, site).string(), "flags/published");
  if (!text || !*text) return std::nullopt;
  const auto value = json::parse(**text, "the stored flag set", json::kOwnLimits);
  if (!value || !value->is_object()) return std::nullopt;
  return value->as_object();
}

// What was set by hand comes before the files, as it does in poundlockd, and a later file
// before an earlier one. Empty where nothing is known.
Result<bj::object> plain_definition(const Context& context, const bj::object& stored, const std::string& key,
                                    const std::vector<std::string>& files) {
  const auto& by_hand = object_at(object_at(stored, "parts"), "");
  if (by_hand.contains(key)) return object_at(by_hand, key);
  if (!files.empty()) {
    PL_TRY(const auto named, load_flags(context, files));
    if (const auto* found = named->find(key)) return found->source;
  }
  bj::object out;
  for (const auto& file : list_at(stored, "files")) {
    const auto& flags = object_at(element(file), "flags");
    if (flags.contains(key)) out = object_at(flags, key);
  }
  return out;
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
  const auto stored = stored_flags(context, site);
  const bj::object none;
  for (const auto& part : object_at(stored ? *stored : none, "parts")) {
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
  out.from_store = out.from_store || (stored && arguments.rollout.empty());
  if (out.rollout.empty() && arguments.rollout.empty()) {
    PL_TRY(out.definition, plain_definition(context, stored ? *stored : none, out.key, arguments.flags));
  }
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

// Two orders at one time would each write the file with their own entry alone. The folder is locked: the file
// itself is replaced, and a file beside it would be left lying about.
class FolderLock {
 public:
  explicit FolderLock(const fs::path& file) {
    const auto folder = file.has_parent_path() ? file.parent_path() : fs::path(".");
    descriptor_ = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  }
  ~FolderLock() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

  Status take() const {
    for (int i = 0; i < kLockTries; ++i) {
      // A file system without such locks must not hold up a kill.
      if (::flock(descriptor_, LOCK_EX | LOCK_NB) == 0 || (errno != EWOULDBLOCK && errno != EINTR)) return {};
      (void)::poll(nullptr, 0, kLockPauseMs);
    }
    return fail(make_error(Disposition::kRetry, "kill.locked", "another order holds the file's folder")
                    .with_hint("see what it is (fuser on the folder), and try again"));
  }

 private:
  int descriptor_ = -1;
};

// Its readers refuse a file as a whole: what they would refuse is not written.
Status check_overrides(const std::string& text, const std::string& path) {
  const auto read = client::parse_overrides(text, path);
  if (read) return {};
  return fail(user_error("kill.file", fmt::format("nothing is off, {} would be refused by its readers: {}",
                                                  clean(path), clean(read.error().message)))
                  .with_hint("mend or empty the file, or name another one"));
}

Status check_flags(const std::string& text, const std::string& path) {
  const auto read = flag::Snapshot::compile(text, path);
  if (read) return {};
  return fail(user_error("kill.file", fmt::format("nothing is off, {} would be no flag file: {}", clean(path),
                                                  clean(read.error().message)))
                  .with_hint("mend or empty the file, or name another one"));
}

using Check = Status (*)(const std::string& text, const std::string& path);

Status add_to(Context& context, const std::string& path, const bj::object& flags, Check check) {
  const FolderLock lock(context.directory / path);
  PL_CHECK(lock.take());
  PL_TRY(auto document, existing(context, path));
  if (!document.contains("flags")) document["flags"] = bj::object{};
  auto& to = document["flags"].as_object();
  for (const auto& one : flags) to[one.key()] = one.value();
  const std::string text = json::dump(document) + "\n";
  PL_CHECK(check(text, path));
  PL_CHECK(write_file(context, path, text));
  if (!context.json) say(context, fmt::format("{} is off in {}", clean(flags.begin()->key()), clean(path)));
  return {};
}

// Readers give `false` the variant with this value, where nothing is known here of the flag.
Result<bj::value> word_for_off(const Known& known) {
  if (!known.rollout.empty()) return bj::value("off");
  if (known.definition.empty()) return bj::value(false);
  const auto variant = client::variant_of(object_at(known.definition, "variants"), "off");
  if (!variant.empty()) return bj::value(variant);
  const auto said = fmt::format("no variant of {} has the value false: there is no off", clean(known.key));
  return fail(make_error(Disposition::kRefused, "kill.variants", said)
                  .with_hint(R"(write the variant yourself: {"flags": {"KEY": "VARIANT"}})"));
}

Status write_orders(Context& context, const KillArguments& arguments, const Known& known) {
  // `enabled: false` is everybody on the legacy side, for the key and its stage.
  flag::RolloutFlag off;
  off.key = known.key;
  off.enabled = false;
  off.others = flag::Stage::kOff;
  PL_TRY(const auto definitions, flag::compile_rollout_flag(off));
  if (!arguments.override_file.empty()) {
    PL_TRY(auto word, word_for_off(known));
    PL_CHECK(add_to(context, arguments.override_file, {{known.key, std::move(word)}}, check_overrides));
  }
  if (arguments.flagd_file.empty()) return {};
  return add_to(context, arguments.flagd_file, definitions, check_flags);
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
  if (auto done = write_orders(context, arguments, *known); !done) return report(context, done.error());
  const char* doubt =
      "the store could not tell of this flag: if its rollout is closing or closed already, take this back, "
      "the "
      "word is then `poundlock rollback NAME --restore`";
  if (!known->from_store) context.err << context.paint()(Colour::kYellow, "warning: ") << doubt << std::endl;
  if (context.json) {
    bj::object out{{"key", known->key}, {"rollout", known->rollout}, {"known", known->from_store}};
    print_json(context, out);
  }
  return 0;
}

// The rollout that steers a flag; "" for a plain one; what is no flag is a rollout's own name.
Result<std::string> rollout_of(const Context& context, const std::string& subject) {
  PL_TRY(auto api, Api::open(context));
  const auto flag = api.get("/v1/flags/" + percent_encode(subject) + "/definition");
  if (flag) return text_at(*flag, "rollout");
  if (flag.error().code != "flag.unknown") return fail(flag.error());
  const auto rollout = api.get("/v1/rollouts/" + percent_encode(subject));
  if (!rollout && rollout.error().code == "rollout.unknown") return fail(no_flag_or_rollout(api, subject));
  return subject;  // where the server could not say the order itself has to tell
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
    if (name->empty()) {
      const int code = flag_switch_command(context, {arguments.subject, {}, {}, arguments.why}, false);
      return code == 0 && arguments.wait ? flag_wait_command(context, arguments.subject, arguments.limit)
                                         : code;
    }
    order.name = std::move(*name);
  }
  return order_command(context, order);
}

}  // namespace poundlock::cli
