// The program behind `poundlock simulate`: plays rollouts from seeds and says which invariant broke, where.
// Exit codes: 0 every run held its invariants, 1 one did not, 2 usage.
#include <fmt/format.h>

#include <boost/json.hpp>
#include <charconv>
#include <iostream>
#include <string>
#include <vector>

#include "base/json.h"
#include "sim/simulation.h"

namespace poundlock::sim {
namespace {

namespace bj = boost::json;
constexpr std::size_t kTailLines = 50;
constexpr std::uint64_t kRunsMax = 1'000'000;

struct Arguments {
  std::uint64_t seed = 1;
  std::uint64_t runs = 1;
  std::string faults = "all";
  bool trace = false;
  bool json = false;
};

Result<std::uint64_t> number(const std::string& option, const std::string& text, std::uint64_t min,
                             std::uint64_t max) {
  std::uint64_t out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error == std::errc() && end == text.data() + text.size() && out >= min && out <= max) return out;
  return fail(user_error("usage", fmt::format("{}: expected a number from {} to {}, found {}", option, min,
                                              max, text.empty() ? "nothing" : text)));
}

Result<Arguments> parse(const std::vector<std::string>& words) {
  Arguments out;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    const std::string value = i + 1 < words.size() ? words[i + 1] : "";
    if (word == "--trace") {
      out.trace = true;
      continue;
    }
    if (word == "--seed") {
      PL_TRY(out.seed, number(word, value, 0, UINT64_MAX));
    } else if (word == "--runs") {
      PL_TRY(out.runs, number(word, value, 1, kRunsMax));
    } else if (word == "--faults") {
      out.faults = value;
    } else if (word == "--output" && (value == "json" || value == "text")) {
      out.json = value == "json";
    } else {
      return fail(user_error("usage", fmt::format("unknown argument {}", word))
                      .with_hint("--seed N --runs N --faults LIST --trace --output text|json"));
    }
    ++i;
  }
  return out;
}

bj::object run_json(const SimulationResult& result, bool trace) {
  bj::object out{{"seed", result.seed},
                 {"ended", result.ended},
                 {"ticks", result.ticks},
                 {"statements", result.statements},
                 {"commits", result.commits},
                 {"processes", result.processes},
                 {"rollbacks", result.rollbacks},
                 {"seconds", result.simulated_seconds},
                 {"hash", fmt::format("{:016x}", result.trace_hash)}};
  const std::size_t from = trace || result.trace.size() <= kTailLines ? 0 : result.trace.size() - kTailLines;
  if (result.violation) {
    out["violation"] =
        bj::object{{"invariant", result.violation->invariant}, {"detail", result.violation->detail}};
  }
  if (result.violation || trace) {
    bj::array lines;
    for (std::size_t i = from; i < result.trace.size(); ++i) lines.emplace_back(result.trace[i]);
    out["trace"] = std::move(lines);
  }
  return out;
}

void print(const SimulationResult& result, bool trace, std::ostream& out) {
  if (trace) {
    for (const auto& line : result.trace) out << line << '\n';
  }
  out << fmt::format(
      "seed {}: {} after {:.0f} simulated seconds, {} ticks, {} processes, {} rollbacks, trace {:016x}\n",
      result.seed, result.ended, result.simulated_seconds, result.ticks, result.processes, result.rollbacks,
      result.trace_hash);
  if (!result.violation) return;
  if (!trace) {
    const std::size_t from = result.trace.size() > kTailLines ? result.trace.size() - kTailLines : 0;
    for (std::size_t i = from; i < result.trace.size(); ++i) out << "  " << result.trace[i] << '\n';
  }
  out << fmt::format("invariant {} does not hold for seed {}: {}\n", result.violation->invariant, result.seed,
                     result.violation->detail);
}

int run(const std::vector<std::string>& words, std::ostream& out, std::ostream& err) {
  const auto arguments = parse(words);
  if (!arguments) {
    err << arguments.error().to_string() << '\n';
    return 2;
  }
  const auto faults = faults_from(arguments->faults);
  if (!faults) {
    err << faults.error().to_string() << '\n';
    return 2;
  }
  bj::array runs;
  int broken = 0;
  for (std::uint64_t i = 0; i < arguments->runs; ++i) {
    const auto result = simulate({.seed = arguments->seed + i, .faults = *faults});
    if (arguments->json)
      runs.push_back(run_json(result, arguments->trace));
    else
      print(result, arguments->trace, out);
    if (!result.violation) continue;
    ++broken;
    break;  // one seed is enough to look into
  }
  if (arguments->json) {
    bj::array names;
    for (const auto& one : invariants())
      names.push_back(bj::object{{"name", one.name}, {"meaning", one.meaning}});
    out << json::dump(bj::object{
               {"ok", broken == 0}, {"faults", arguments->faults}, {"invariants", names}, {"runs", runs}})
        << '\n';
  }
  out.flush();
  return broken == 0 ? 0 : 1;
}

}  // namespace
}  // namespace poundlock::sim

int main(int argc, char** argv) {
  return poundlock::sim::run(std::vector<std::string>(argv + 1, argv + argc), std::cout, std::cerr);
}
