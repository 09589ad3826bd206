// simulate: becomes poundlock-sim. The simulated world is a program of its own, so that no fake is linked
// into the command line that works on real databases.
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "cli/commands.h"
#include "cli/text.h"

namespace poundlock::cli {

int simulate_command(Context& context, const SimulateArguments& arguments) {
  const std::string program = (context.program.parent_path() / "poundlock-sim").string();
  std::vector<std::string> words{program,
                                 "--seed",
                                 std::to_string(arguments.seed),
                                 "--runs",
                                 std::to_string(arguments.runs),
                                 "--faults",
                                 arguments.faults,
                                 "--output",
                                 context.json ? "json" : "text"};
  if (arguments.trace) words.push_back("--trace");
  std::vector<char*> pointers;
  for (auto& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  context.out << std::flush;
  ::execv(program.c_str(), pointers.data());
  return report(context, make_error(Disposition::kReconnect, "simulate.exec",
                                    fmt::format("cannot run {}: {}", clean(program), std::strerror(errno)))
                             .with_hint("poundlock-sim is installed beside poundlock"));
}

}  // namespace poundlock::cli
