#include "postgres/database.h"

#include <fmt/format.h>
#include <libpq-fe.h>

namespace poundlock::postgres {
namespace {

struct OptionsFree {
  void operator()(PQconninfoOption* options) const { PQconninfoFree(options); }
};
using Options = std::unique_ptr<PQconninfoOption, OptionsFree>;

void collect(const Options& options, Keywords& keywords) {
  for (const auto* option = options.get(); option != nullptr && option->keyword != nullptr; ++option) {
    if (option->val == nullptr || *option->val == '\0') continue;
    bool known = false;
    for (const auto& [name, value] : keywords) known = known || name == option->keyword;
    if (!known) keywords.emplace_back(option->keyword, option->val);
  }
}

}  // namespace

Result<std::unique_ptr<PgDatabase>> PgDatabase::create(const std::string& conninfo,
                                                       const std::string& password) {
  char* reason = nullptr;
  const Options given(PQconninfoParse(conninfo.c_str(), &reason));
  if (!given) {
    std::string text = reason == nullptr ? "out of memory" : reason;
    PQfreemem(reason);
    while (!text.empty() && text.back() == '\n') text.pop_back();
    // The message of libpq repeats the part that it cannot read, which may be the password.
    if (conninfo.find("password") != std::string::npos || conninfo.find('@') != std::string::npos) {
      text = "the connection string cannot be read";
    }
    return fail(user_error("pg.conninfo", std::move(text))
                    .with_hint("write postgresql://user@host:port/database, or host=... dbname=..."));
  }
  Keywords keywords;
  collect(given, keywords);
  if (!password.empty()) keywords.emplace_back("password", password);
  collect(Options(PQconndefaults()), keywords);
  bool has_database = false;
  std::string user;
  for (const auto& [name, value] : keywords) {
    has_database = has_database || name == "dbname";
    if (name == "user") user = value;
  }
  if (!has_database) keywords.emplace_back("dbname", user);  // as libpq would
  return std::unique_ptr<PgDatabase>(new PgDatabase(std::move(keywords)));
}

std::string PgDatabase::value(std::string_view keyword) const {
  for (const auto& [name, text] : keywords_) {
    if (name == keyword) return text;
  }
  return {};
}

std::string PgDatabase::describe() const {
  std::string host = value("host");
  if (host.empty()) host = value("hostaddr");
  if (host.empty()) host = "local socket";
  return fmt::format("{} at {}:{}", name(), host, value("port"));
}

std::unique_ptr<PgDatabase> PgDatabase::sibling(std::string_view database) const {
  Keywords keywords = keywords_;
  for (auto& [name, text] : keywords) {
    if (name == "dbname") text = std::string(database);
  }
  return std::unique_ptr<PgDatabase>(new PgDatabase(std::move(keywords)));
}

}  // namespace poundlock::postgres
