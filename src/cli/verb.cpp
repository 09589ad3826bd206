#include "cli/verb.h"

#include <utility>

namespace poundlock::cli {

CLI::App* add_verb(CLI::App& app, Context& context, const std::string& name, const std::string& help,
                   std::function<int()> verb, std::vector<std::string> formats) {
  auto* sub = app.add_subcommand(name, help);
  sub->callback([&context, verb = std::move(verb), formats = std::move(formats)] {
    context.verb = verb;
    context.formats = formats;
  });
  return sub;
}

CLI::Option* add_duration(CLI::App& app, const std::string& name, Millis& to, const std::string& help) {
  return app.add_option_function<std::string>(
      name,
      [&to, name](const std::string& text) {
        const auto parsed = parse_duration(text);
        if (!parsed) throw CLI::ValidationError(name, parsed.error().message);
        to = *parsed;
      },
      help);
}

CLI::Option* add_each(CLI::App& app, const std::string& name, std::vector<std::string>& to,
                      const std::string& help) {
  return app.add_option(name, to, help)->allow_extra_args(false);
}

}  // namespace poundlock::cli
