// audit: who did what and why, newest first; --verify recomputes the hash chain.
#include <fmt/format.h>

#include <boost/json.hpp>

#include "cli/api.h"
#include "cli/commands.h"
#include "cli/fields.h"
#include "cli/table.h"

namespace poundlock::cli {
namespace {

namespace bj = boost::json;

int verify_chain(Context& context, Api& api) {
  const auto answer = api.get("/v1/audit/verify");
  if (!answer) return report(context, answer.error());
  const bool intact = bool_at(*answer, "intact");
  if (context.json) {
    print_json(context, *answer);
    return intact ? 0 : 1;
  }
  if (intact) {
    say(context, "the audit trail is intact: every entry's hash follows from the one before it");
    return 0;
  }
  return report(context,
                make_error(Disposition::kRefused, "audit.broken",
                           fmt::format("the audit trail is broken at entry {:.0f}",
                                       number_at(*answer, "first_broken").value_or(0)))
                    .with_hint("somebody changed the store by hand, or the disk did; compare with a backup"));
}

}  // namespace

int audit_command(Context& context, const AuditArguments& arguments) {
  auto api = Api::open(context);
  if (!api) return report(context, api.error());
  if (arguments.verify) return verify_chain(context, *api);
  const auto answer = api->get(
      fmt::format("/v1/audit?limit={}&subject={}", arguments.limit, percent_encode(arguments.subject)));
  if (!answer) return report(context, answer.error());
  if (context.json) {
    print_json(context, *answer);
    return 0;
  }
  Table table({Column("#", Align::kRight), "at", "who", "what", "subject", "why"});
  for (const auto& value : list_at(*answer, "audit")) {
    const auto& entry = element(value);
    table.add({fmt::format("{:.0f}", number_at(entry, "sequence").value_or(0)), text_at(entry, "at"),
               text_at(entry, "who"), text_at(entry, "what"), text_at(entry, "subject"),
               text_at(entry, "why")});
  }
  if (table.empty()) {
    say(context, "nothing is recorded");
  } else {
    context.out << table.render(context.paint(), context.width) << std::flush;
  }
  return 0;
}

}  // namespace poundlock::cli
