#include "cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>

namespace poundlock::cli {
namespace {

bool names_utf8(std::string locale) {
  std::transform(locale.begin(), locale.end(), locale.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return locale.find("utf-8") != std::string::npos || locale.find("utf8") != std::string::npos;
}

}  // namespace

void measure_terminal(Context& context) {
  winsize size{};
  if (!context.terminal || ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) return;
  context.width = size.ws_col;
  context.height = size.ws_row;
}

void look_at_terminal(Context& context) {
  const auto variable = [&](std::string_view name) {
    return context.environment_variable(name).value_or("");
  };
  context.terminal = ::isatty(STDOUT_FILENO) == 1;
  measure_terminal(context);
  // The first of these that is set decides, as in setlocale(3).
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    if (const auto locale = variable(name); !locale.empty()) {
      context.utf8 = names_utf8(locale);
      break;
    }
  }
  context.colour = context.terminal && variable("TERM") != "dumb" && variable("NO_COLOR").empty();
}

}  // namespace poundlock::cli
