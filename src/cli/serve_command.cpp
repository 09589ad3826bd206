// serve: becomes poundlockd, so that signals, exit code and output are the server's own.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "cli/commands.h"
#include "cli/text.h"

namespace poundlock::cli {

int serve_command(Context& context, const std::vector<std::string>& arguments) {
  const std::string program = (context.program.parent_path() / "poundlockd").string();
  std::vector<std::string> words{program};
  const auto names = [&](std::string_view option) {
    return std::any_of(arguments.begin(), arguments.end(), [&](const std::string& one) {
      return one == option || one.starts_with(std::string(option) + "=");
    });
  };
  if (!names("--config")) {
    // A broken file is the server's to report; where none is found, its own message says so.
    const auto site = find_site(context);
    if (site && *site) words.insert(words.end(), {"--config", (*site)->file.string()});
    if (!site && !context.config.empty()) words.insert(words.end(), {"--config", context.config});
  }
  if (!context.environment.empty() && !names("--environment"))
    words.insert(words.end(), {"--environment", context.environment});
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> pointers;
  for (auto& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  context.out << std::flush;
  ::execv(program.c_str(), pointers.data());
  return report(context, make_error(Disposition::kReconnect, "serve.exec",
                                    fmt::format("cannot run {}: {}", clean(program), std::strerror(errno)))
                             .with_hint("poundlockd is installed beside poundlock"));
}

}  // namespace poundlock::cli
