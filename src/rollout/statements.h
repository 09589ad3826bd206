// What applications run on the change's tables, by pg_stat_statements: one question that several gates share,
// so that the view is read once. Statements are told apart by their syntax tree, never by their words.
// Ours are those of the role that Poundlock connects as.
//
// Observations, all prefixed "statements." and cumulative unless said otherwise:
//   write_calls, write_rows, wal_bytes, wal_fpi, wal_records   write statements of others on the tables
//   without_wal         write calls for which this server counts no WAL (before PostgreSQL 13)
//   own_rows            rows written there by our own statements
//   versions            row versions written there by anybody (pg_stat_all_tables, partitions included)
//   legacy_refs, fresh_refs   calls of others that touch that side in any way that a drop would break:
//                       reading, writing, SELECT *, the whole row, INSERT without a column list
//   fresh_reads         calls of others that name a new column to read it
//   star                statements (not calls) of others with SELECT *, RETURNING * or a whole row
//   clock_s             the server's clock, seconds
//   shared_role         present sessions of others under our role: then ours cannot be told from theirs
//   unreadable          statements whose text this role may not see; above 0 the rest is left out
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "rollout/gate.h"

namespace poundlock::rollout {

Question statements_question(const Plan& plan);

// Why pg_stat_statements cannot be judged now, or nullopt.
std::optional<std::string> statements_unknown(const GateInput& in);

// Syntax of one statement, as far as a digest needs it.
struct StatementUse {
  bool touches_tables = false;
  bool writes = false;  // to one of the tables
  bool legacy = false;
  bool fresh = false;
  bool fresh_read = false;
  bool star = false;
};
// One answer for each text, in order. A text that does not parse is judged by its words, and then always for
// the worse: a reader that is overlooked loses its column.
std::vector<StatementUse> uses_of(const std::vector<std::string>& texts, const Plan& plan);

}  // namespace poundlock::rollout
