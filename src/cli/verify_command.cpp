// verify: compares both sides of every row, from here, by the predicate that trigger and backfill use.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>

#include "base/suggest.h"
#include "cli/api.h"
#include "cli/bar.h"
#include "cli/boundaries_command.h"
#include "cli/commands.h"
#include "cli/fields.h"
#include "cli/live.h"
#include "cli/terminal.h"
#include "cli/text.h"
#include "cli/verb.h"
#include "cli/watching.h"
#include "engine/verify.h"
#include "rollout/plan.h"

namespace poundlock::cli {
namespace {

struct VerifyArguments {
  std::string name;
  std::string database_url;
};

namespace bj = boost::json;

// Each comparison of the plan once: backfill and verify share theirs.
std::vector<change::InStep> comparisons_of(const rollout::Plan& plan) {
  std::vector<change::InStep> out;
  for (const auto& item : plan.items)
    if (item.step && item.step->in_step &&
        std::find(out.begin(), out.end(), *item.step->in_step) == out.end())
      out.push_back(*item.step->in_step);
  return out;
}

std::string progress_text(const engine::Progress& progress, const Look& look) {
  const auto done = static_cast<double>(progress.rows_done);
  const auto total = static_cast<double>(progress.rows_total);
  std::string out = bar(total > 0 ? done / total : 0, 24, look.utf8) + " " + format_count(done);
  if (total > 0) out += " of " + format_count(total);
  out += fmt::format(" rows, {} rows/s", format_count(progress.rows_per_second));
  if (const auto left = remaining(done, total, progress.rows_per_second); left && done < total)
    out += fmt::format(", {} left", format_remaining(*left));
  return out;
}

Result<engine::VerifyResult> compare(Context& context, ports::Session& session, const change::InStep& in_step,
                                     bool open) {
  engine::VerifyOptions options;
  options.open = open;
  Live live(context.out, context.width, context.height);
  const bool shown = context.terminal && !context.json;
  TimePoint last;
  auto result =
      engine::verify(session, context.clock, in_step, options, {}, [&](const engine::Progress& progress) {
        if (!shown || context.clock.steady() - last < Millis{100}) return;
        last = context.clock.steady();
        live.draw({progress_text(progress, look_of(context))});
      });
  if (shown) live.draw({});
  return result;
}

bj::object result_json(const change::InStep& in_step, const engine::VerifyResult& result) {
  return {{"table", in_step.table},
          {"rows", result.rows},
          {"mismatches", result.mismatches},
          {"samples", bj::array(result.samples.begin(), result.samples.end())},
          {"seconds", result.seconds}};
}

void print_text(Context& context, const change::InStep& in_step, const engine::VerifyResult& result) {
  const Paint paint = context.paint();
  say(context, fmt::format("{}: {} rows compared in {:.1f} s, {}", clean(in_step.table),
                           format_count(static_cast<double>(result.rows)), result.seconds,
                           result.mismatches == 0
                               ? paint(Colour::kGreen, "all in step")
                               : paint(Colour::kRed, fmt::format("{} out of step", result.mismatches))));
  if (result.samples.empty()) return;
  std::string keys;
  for (const auto& key : result.samples) keys += (keys.empty() ? "" : " ") + clean(key);
  say(context, "  " + keys + (result.mismatches > result.samples.size() ? " ..." : ""));
}

// The comparison names columns that are there only from the expand on, until the drop.
Status check_sides(const bj::object& view, const rollout::Plan& plan) {
  const auto state_of = [&](std::string_view id) {
    for (const auto& value : list_at(view, "items"))
      if (text_at(element(value), "id") == id) return text_at(element(value), "state");
    return std::string();
  };
  for (const auto& item : plan.items) {
    if (!item.step) continue;
    const bool at_expand = item.step->in_step && !item.step->open;  // the one before the drop repeats it
    if (at_expand && state_of(item.id) == "ahead")
      return fail(make_error(Disposition::kRefused, "verify.early",
                             "the new side is not there yet: nothing can be compared")
                      .with_hint("it can from this step on: " + clean(item.title)));
    if (item.step->destructive && state_of(item.id) == "done")
      return fail(make_error(Disposition::kRefused, "verify.late",
                             "the legacy side has been dropped: nothing can be compared any more"));
  }
  return {};
}

Result<int> verify_all(Context& context, const VerifyArguments& arguments) {
  PL_TRY(auto api, Api::open(context));
  const std::string path = "/v1/rollouts/" + percent_encode(arguments.name);
  PL_TRY(const auto view, api.get(path));
  PL_TRY(const auto document, api.get(path + "/plan"));
  PL_TRY(const auto plan, rollout::plan_from_json(document));
  const auto comparisons = comparisons_of(plan);
  if (comparisons.empty())
    return fail(user_error(
        "verify.nothing",
        fmt::format("{} keeps nothing in step: there is nothing to compare", clean(arguments.name))));
  PL_CHECK(check_sides(view, plan));
  PL_TRY(const auto database, open_database(context, arguments.database_url, plan.database));
  PL_TRY(const auto session, database->connect());
  // From expose on the new side may be written too, and either direction of the change may hold.
  const std::string phase = text_at(view, "phase");
  const bool open = phase == "expose" || phase == "contract";
  std::uint64_t mismatches = 0;
  bj::array all;
  for (const auto& one : comparisons) {
    PL_TRY(const auto result, compare(context, *session, one, open));
    mismatches += result.mismatches;
    if (context.json) {
      all.push_back(result_json(one, result));
    } else {
      print_text(context, one, result);
    }
  }
  if (context.json)
    print_json(
        context,
        bj::object{{"rollout", arguments.name}, {"mismatches", mismatches}, {"tables", std::move(all)}});
  return mismatches == 0 ? 0 : 1;
}

int verify_command(Context& context, const VerifyArguments& arguments) {
  if (arguments.name.empty())
    return report(context, user_error("usage", "which rollout?")
                               .with_hint("`poundlock verify NAME`, or `poundlock verify boundaries`"));
  const auto code = verify_all(context, arguments);
  if (code) return *code;
  Error error = code.error();
  constexpr std::array<std::string_view, 1> kVerbs{"boundaries"};
  const bool near = arguments.name.starts_with("bound") || !nearest(arguments.name, kVerbs).empty();
  if (near) error.hint += (error.hint.empty() ? "" : "; ") + std::string("did you mean verify boundaries?");
  return report(context, error);
}

}  // namespace

void add_verify(CLI::App& app, Context& context) {
  auto a = std::make_shared<VerifyArguments>();
  auto boundaries = std::make_shared<std::function<int()>>();
  auto below = std::make_shared<CLI::App*>(nullptr);
  auto* verify = add_verb(app, context, "verify", "count the rows whose two sides are out of step",
                          [&context, a, boundaries, below] {
                            if ((*below)->parsed()) return (*boundaries)();
                            return verify_command(context, *a);
                          });
  verify->add_option("name", a->name, "rollout");
  verify->add_option("--rollout", a->name, "a rollout, where it is called as a verb below");
  verify->add_option("--database-url", a->database_url, "this database instead of poundlock.yaml's");
  *boundaries = add_boundaries(*verify, context);
  *below = verify->get_subcommand("boundaries");
}

}  // namespace poundlock::cli
