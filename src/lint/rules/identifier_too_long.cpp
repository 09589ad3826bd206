#include <fmt/format.h>

#include "lint/rule.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

// The name's bytes as the server counts them: without quotes, "" as one.
std::size_t name_bytes(std::string_view token) {
  if (token.size() < 2 || token.front() != '"') return token.size();
  std::size_t bytes = token.size() - 2;
  for (std::size_t i = 1; i + 2 < token.size(); ++i)
    if (token[i] == '"' && token[i + 1] == '"') {
      --bytes;
      ++i;
    }
  return bytes;
}

std::vector<Match> check(const Context& context) {
  std::vector<Match> matches;
  for (const schema::Token& token : context.statement.tokens()) {
    if (token.id != PG_QUERY__TOKEN__IDENT || token.range.size() <= schema::kIdentifierBytesMax) continue;
    const std::size_t bytes = name_bytes(context.statement.slice(token.range));
    if (bytes > schema::kIdentifierBytesMax)
      matches.push_back({token.range, fmt::format("{} bytes", bytes), ""});
  }
  return matches;
}

}  // namespace

const Rule& identifier_too_long() {
  static const Rule rule{
      .id = "identifier_too_long",
      .title = "a name of more than 63 bytes",
      .reason =
          "PostgreSQL cuts it without an error. Two names that begin alike become one, tools look for the "
          "long name and find nothing, and the short one stands in the catalog for good.",
      .fix = "Choose a shorter name; a letter outside ASCII counts two bytes and more.",
      .bad =
          {"CREATE INDEX CONCURRENTLY orders_by_customer_and_status_and_created_at_for_the_monthly_reports\n"
           "ON orders (customer);",
           "ALTER TABLE orders ADD COLUMN \"ääääääääääääääääääääääääääääääää\" text;"},
      .good = {"ALTER TABLE orders ADD COLUMN \"äääääääääääääääääääääääääääääää\" text;",
               "SELECT 'orders_by_customer_and_status_and_created_at_for_the_monthly_reports';"},
      .check = check};
  return rule;
}

}  // namespace poundlock::lint
