#include "cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <charconv>

namespace poundlock::cli {
namespace {

constexpr int kUsualWidth = 80;

bool names_utf8(std::string locale) {
  std::transform(locale.begin(), locale.end(), locale.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return locale.find("utf-8") != std::string::npos || locale.find("utf8") != std::string::npos;
}

}  // namespace

void measure_terminal(Context& context) {
  winsize size{};
  if (!context.terminal) return;
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    context.width = size.ws_col;
    context.height = size.ws_row;
    return;
  }
  // A terminal that does not know its size (a container's, a serial line) still breaks long lines.
  const auto columns = context.environment_variable("COLUMNS").value_or("");
  int width = 0;
  const auto [end, code] = std::from_chars(columns.data(), columns.data() + columns.size(), width);
  context.width = code == std::errc{} && width > 0 ? width : kUsualWidth;
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
