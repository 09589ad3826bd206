// What pg_dump, psql and COPY carry from a database into another one that is empty: the schema, and a sample
// of the rows of single tables. Owners, rights on tables, publications and subscriptions stay behind. Used by
// one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/time.h"
#include "postgres/database.h"
#include "postgres/shadow_tables.h"
#include "schema/catalog.h"

namespace poundlock::postgres {

struct RowSample {
  double real = 0;  // rows of the source, by its own estimate where it is larger than the sample
  double copied = 0;
};

class PgDumpCopy {
 public:
  struct Options {
    std::uint64_t rows_max = 0;
    Millis limit{0};                // of one pg_dump | psql
    std::function<bool()> stopped;  // true ends it: kRetry "pg.program_stopped"; may be empty
  };
  // All of them outlive it.
  PgDumpCopy(const PgDatabase& source, const PgDatabase& target, Clock& clock, Options options)
      : source_(source), target_(target), clock_(clock), options_(std::move(options)) {}

  // `session` is one on the target, `source` the catalog of `tables` as they have to be there afterwards:
  // kRefused "shadow.differs" where one is not. Other objects may be missing, such as an extension that only
  // a superuser creates.
  Status schema(ports::Session& session, const schema::Catalog& source,
                const std::vector<schema::QualifiedName>& tables);
  // A sample of each, chosen so that they meet, analysed; materialized views are refreshed. Answers the
  // largest of `tables`, or of what their views read. Rows of others that cannot be had are in left_out().
  Result<RowSample> rows(ports::Session& session, const schema::Catalog& catalog, const ShadowTables& wanted,
                         const std::vector<schema::QualifiedName>& tables);
  // So that an INSERT that is replayed there gets a key that is free.
  static Status advance_sequences(ports::Session& session, const schema::Catalog& catalog,
                                  const schema::Table& table);
  const std::vector<std::string>& left_out() const { return left_out_; }  // so far, for people

 private:
  Result<RowSample> rows(ports::Session& session, const schema::Table& table, const std::string& from);

  const PgDatabase& source_;
  const PgDatabase& target_;
  Clock& clock_;
  Options options_;
  std::vector<std::string> left_out_;
};

}  // namespace poundlock::postgres
