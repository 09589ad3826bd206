// flag validate: what is wrong with flag files, and what evaluators in other languages answer differently.
#include <fmt/format.h>

#include <boost/json.hpp>

#include "cli/commands.h"
#include "cli/flag_files.h"
#include "cli/text.h"

namespace poundlock::cli {
namespace {

namespace bj = boost::json;

struct Findings {
  std::vector<Error> problems;
  std::vector<std::string> warnings;
  std::size_t files = 0, flags = 0;
};

Findings check(const std::vector<FlagText>& files) {
  Findings out;
  std::map<std::string, std::string> seen;
  for (const auto& file : files) {
    ++out.files;
    auto definition = flag::parse_definition(file.text, file.file);
    if (!definition) {
      out.problems.push_back(definition.error());
      continue;
    }
    out.flags += definition->flags.size();
    for (auto& one : definition->problems) out.problems.push_back(std::move(one));
    for (auto& one : definition->warnings) out.warnings.push_back(std::move(one));
    for (const auto& one : definition->flags) {
      const auto [known, fresh] = seen.emplace(one.key(), file.file);
      if (!fresh)
        out.warnings.push_back(fmt::format("{}: the flag '{}' stands in {}, too; the later one counts",
                                           file.file, known->first, known->second));
      known->second = file.file;
    }
  }
  return out;
}

void print(Context& context, const Findings& findings) {
  if (context.json) {
    bj::array problems, warnings;
    for (const auto& one : findings.problems) problems.push_back(error_json(one).at("error"));
    for (const auto& one : findings.warnings) warnings.push_back(bj::value(one));
    return print_json(context, bj::object{{"valid", findings.problems.empty()},
                                          {"files", findings.files},
                                          {"flags", findings.flags},
                                          {"problems", std::move(problems)},
                                          {"warnings", std::move(warnings)}});
  }
  const Paint paint = context.paint();
  for (const auto& one : findings.problems)
    say(context, paint(Colour::kRed, "error: ") + clean(one.to_string()));
  for (const auto& one : findings.warnings) say(context, paint(Colour::kYellow, "warning: ") + clean(one));
  say(context, fmt::format("{} flag{} in {} file{}: {}", findings.flags, findings.flags == 1 ? "" : "s",
                           findings.files, findings.files == 1 ? "" : "s",
                           findings.problems.empty() ? "valid" : "refused"));
}

}  // namespace

int flag_validate_command(Context& context, const std::vector<std::string>& files) {
  const auto texts = read_flag_files(context, files);
  if (!texts) return report(context, texts.error());
  const Findings findings = check(*texts);
  print(context, findings);
  return findings.problems.empty() ? 0 : 1;
}

}  // namespace poundlock::cli
