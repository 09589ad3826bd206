// A PostgreSQL database as somebody names it: a URL or a conninfo string. Thread-safe; every connect()
// opens a new session of its own.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "ports/database.h"
#include "postgres/session.h"

namespace poundlock::postgres {

class PgDatabase final : public ports::Database {
 public:
  // kUser "pg.conninfo" when the text cannot be read. What it leaves out comes from libpq's own defaults
  // (PGHOST, PGPASSWORD, ~/.pgpass and so on).
  // `password`, where it is not empty, stands in for one that the text does not have.
  static Result<std::unique_ptr<PgDatabase>> create(const std::string& conninfo,
                                                    const std::string& password = {});

  Result<std::unique_ptr<ports::Session>> connect() override { return open_session(keywords_); }
  std::string describe() const override;

  // Another database on the same server, reached in the same way.
  std::unique_ptr<PgDatabase> sibling(std::string_view database) const;

  std::string name() const { return value("dbname"); }
  // A keyword's value, "" where it has none. The password is among them: never print one unseen.
  std::string value(std::string_view keyword) const;
  const Keywords& keywords() const { return keywords_; }

 private:
  explicit PgDatabase(Keywords keywords) : keywords_(std::move(keywords)) {}
  const Keywords keywords_;
};

}  // namespace poundlock::postgres
