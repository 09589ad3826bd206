// The settings that two environments must agree in, for a change that went well in one to go well in the
// other. Not here: sizes, counts and costs (shared_buffers, work_mem, max_connections, random_page_cost,
// ...), where files lie, logging and replication's plumbing. They follow the machine, and are no drift.
#include "engine/checks/parity_sides.h"

namespace poundlock::engine {

std::vector<ReviewedSetting> reviewed_settings() {
  return {
      // What a value means.
      {"server_encoding", "characters that one side cannot store"},
      {"collation", "order of text, and so what a unique or range index accepts"},
      {"collation provider", "libc and ICU order text differently"},
      {"collation version", "an index built under another version may miss rows"},
      {"DateStyle", "01/02 is another day"},
      {"IntervalStyle", "intervals are printed and read differently"},
      {"TimeZone", "timestamptz to date, and defaults like CURRENT_DATE, differ"},
      {"timezone_abbreviations", "abbreviations in literals stand for other zones"},
      {"lc_monetary", "money is read and printed differently"},
      {"lc_numeric", "to_number and to_char differ"},
      {"lc_time", "to_date and to_char differ with TM"},
      {"bytea_output", "clients see another form of bytea"},
      {"extra_float_digits", "floats are printed with other digits"},
      {"xmlbinary", "bytea in XML has another form"},
      {"xmloption", "casts to xml accept other texts"},
      {"default_text_search_config", "full text search finds other rows"},
      // What a statement means.
      {"standard_conforming_strings", "a backslash in a literal is read differently"},
      {"backslash_quote", "a quoted quote is refused or not"},
      {"transform_null_equals", "x = NULL finds rows"},
      {"array_nulls", "NULL in an array literal is a string"},
      {"row_security", "a query under policies fails or filters"},
      {"check_function_bodies", "a broken function is refused or taken"},
      {"session_replication_role", "triggers and foreign keys do not act"},
      {"default_table_access_method", "tables are made in another storage"},
      {"default_toast_compression", "values are stored with another method, which must be built in"},
      {"max_identifier_length", "long names are cut, and may collide"},
      {"event_triggers", "event triggers do not act", 17},
      {"search_path", "a name without a schema means another table"},
      // How transactions and locks behave.
      {"default_transaction_isolation", "serialization failures come, or anomalies"},
      {"default_transaction_read_only", "writes fail"},
      {"default_transaction_deferrable", "transactions wait to begin"},
      {"synchronous_commit", "what a client was told may be lost"},
      {"lock_timeout", "statements fail behind a lock instead of waiting"},
      {"statement_timeout", "long statements are cancelled"},
      {"transaction_timeout", "long transactions are ended", 17},
      {"idle_in_transaction_session_timeout", "idle transactions are ended, or hold their locks"},
      {"deadlock_timeout", "deadlocks are found, and autovacuum gives way, at another time"},
      {"autovacuum", "dead rows stay, and wraparound vacuums come unannounced"},
      {"vacuum_truncate", "vacuum takes an exclusive lock at its end, or not", 18},
      {"wal_level", "a slot or a logical replica cannot be made"},
      // How statements are planned: a path that was measured on one side must be planned alike on the other.
      {"constraint_exclusion", "partitions and children are scanned in vain"},
      {"enable_partition_pruning", "all partitions are scanned"},
      {"enable_bitmapscan", "another plan"},
      {"enable_hashagg", "another plan"},
      {"enable_hashjoin", "another plan"},
      {"enable_indexonlyscan", "another plan"},
      {"enable_indexscan", "another plan"},
      {"enable_material", "another plan"},
      {"enable_mergejoin", "another plan"},
      {"enable_nestloop", "another plan"},
      {"enable_partitionwise_aggregate", "another plan"},
      {"enable_partitionwise_join", "another plan"},
      {"enable_seqscan", "another plan"},
      {"enable_sort", "another plan"},
      {"plan_cache_mode", "prepared statements are planned once or each time"},
      // What is loaded into every backend.
      {"shared_preload_libraries", "hooks of extensions act or do not"},
      {"session_preload_libraries", "hooks of extensions act or do not"},
      {"local_preload_libraries", "hooks of extensions act or do not"},
  };
}

}  // namespace poundlock::engine
