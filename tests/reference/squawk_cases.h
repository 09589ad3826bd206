// What squawk-cli's rules refuse and let pass, each with one example of ours for either, the rule here that
// judges the same thing, and the reason where the verdicts differ. docs/rules/compared.md is made from it,
// and tests/scenario/squawk_test.cpp holds both programs to it. Constants.
#pragma once

#include <array>
#include <string_view>

namespace poundlock::reference {

inline constexpr std::string_view kSquawkVersion = "2.70.0";  // tests/clients/squawk/requirements.txt

struct SquawkCase {
  std::string_view rule;  // squawk's
  std::string_view ours;  // "" when there is none
  std::string_view bad;   // refused there
  std::string_view good;  // let pass there
  std::string_view why;   // the verdicts here differ, because; "" when they agree
};

inline constexpr auto kSquawkCases = std::to_array<SquawkCase>({
    {"adding-field-with-default", "volatile_default",
     "ALTER TABLE orders ADD COLUMN token uuid DEFAULT gen_random_uuid();",
     "ALTER TABLE orders ADD COLUMN token uuid;", ""},
    {"adding-foreign-key-constraint", "constraint_without_not_valid",
     "ALTER TABLE orders ADD CONSTRAINT of_customer FOREIGN KEY (customer) REFERENCES customers (id);",
     "ALTER TABLE orders ADD CONSTRAINT of_customer FOREIGN KEY (customer) REFERENCES customers (id) NOT "
     "VALID;",
     ""},
    {"adding-not-nullable-field", "set_not_null", "ALTER TABLE orders ALTER COLUMN code SET NOT NULL;",
     "ALTER TABLE orders ALTER COLUMN code DROP DEFAULT;", ""},
    {"adding-required-field", "add_column_not_null", "ALTER TABLE orders ADD COLUMN note text NOT NULL;",
     "ALTER TABLE orders ADD COLUMN note text;", ""},
    {"adding-serial-primary-key-field", "add_unique_or_primary_key",
     "ALTER TABLE orders ADD PRIMARY KEY (code);",
     "ALTER TABLE orders ADD CONSTRAINT orders_pk PRIMARY KEY USING INDEX orders_code_key;", ""},
    {"ban-add-column", "", "ALTER TABLE orders ADD COLUMN note text;",
     "ALTER TABLE orders ALTER COLUMN note DROP DEFAULT;",
     "a policy for one's own migrations, off unless asked for there: a nullable column without a default is "
     "the safe way to expand"},
    {"ban-add-composite-attribute", "", "ALTER TYPE place ADD ATTRIBUTE floor int;",
     "ALTER TYPE place OWNER TO app;",
     "a policy for one's own migrations, off unless asked for there: attributes of composite types are rare, "
     "and PostgreSQL itself refuses the change where a table stores the type"},
    {"ban-add-enum-value", "enum_value_without_place", "ALTER TYPE mood ADD VALUE 'happy' AFTER 'calm';",
     "CREATE TYPE place AS (street text);",
     "a value with its place among the others passes here; only one without is reported"},
    {"ban-alter-database-options", "", "ALTER DATABASE shop SET work_mem = '8MB';", "SELECT 1;",
     "a policy for one's own migrations, off unless asked for there: it locks no table, and parity shows the "
     "difference between environments"},
    {"ban-alter-domain-with-add-constraint", "domain_constraint",
     "ALTER DOMAIN amount ADD CONSTRAINT positive CHECK (VALUE > 0);", "ALTER DOMAIN amount SET DEFAULT 0;",
     ""},
    {"ban-alter-extension", "extension_upgrade", "ALTER EXTENSION pg_trgm UPDATE;",
     "CREATE EXTENSION pg_trgm;", ""},
    {"ban-alter-function-options", "", "ALTER FUNCTION price(int) STABLE;", "SELECT 1;",
     "a policy for one's own migrations, off unless asked for there: it locks no table"},
    {"ban-alter-generated-expression", "",
     "ALTER TABLE orders ALTER COLUMN total SET EXPRESSION AS (price * 2);",
     "ALTER TABLE orders ALTER COLUMN total DROP DEFAULT;",
     "syntax of PostgreSQL 17: the grammar here is 15's, and the lint says so of the statement"},
    {"ban-alter-identity", "alter_identity", "ALTER TABLE orders ALTER COLUMN id SET GENERATED ALWAYS;",
     "ALTER TABLE orders ALTER COLUMN id DROP DEFAULT;", ""},
    {"ban-alter-policy-condition", "", "ALTER POLICY own ON orders USING (true);", "SELECT 1;",
     "a policy for one's own migrations, off unless asked for there: row security is compared by parity, and "
     "no rule of ours judges conditions"},
    {"ban-alter-policy-roles", "", "ALTER POLICY own ON orders TO app;", "SELECT 1;",
     "a policy for one's own migrations, off unless asked for there: row security is compared by parity"},
    {"ban-alter-role-options", "", "ALTER ROLE app NOLOGIN;", "SELECT 1;",
     "a policy for one's own migrations, off unless asked for there: roles are compared by parity"},
    {"ban-alter-row-level-security", "row_level_security", "ALTER TABLE orders ENABLE ROW LEVEL SECURITY;",
     "ALTER TABLE orders ALTER COLUMN id DROP DEFAULT;", ""},
    {"ban-alter-sequence-values", "", "ALTER SEQUENCE orders_id_seq RESTART WITH 1;", "SELECT 1;",
     "a policy for one's own migrations, off unless asked for there: a sequence's numbers are data to this "
     "lint"},
    {"ban-alter-system-options", "server_setting", "ALTER SYSTEM SET work_mem = '8MB';", "SELECT 1;", ""},
    {"ban-alter-view-options", "", "ALTER VIEW totals SET (security_barrier = true);", "SELECT 1;",
     "a policy for one's own migrations, off unless asked for there: it changes no result for those who may "
     "read the view"},
    {"ban-char-field", "discouraged_type", "CREATE TABLE notes (id bigint PRIMARY KEY, country char(2));",
     "CREATE TABLE notes (id bigint PRIMARY KEY, country text);", ""},
    {"ban-concurrent-index-creation-in-transaction", "concurrently_in_transaction",
     "BEGIN;\nCREATE INDEX CONCURRENTLY orders_code ON orders (code);\nCOMMIT;",
     "CREATE INDEX CONCURRENTLY orders_code ON orders (code);", ""},
    {"ban-create-domain-with-constraint", "domain_constraint",
     "CREATE DOMAIN percent AS numeric CHECK (VALUE > 0);", "CREATE DOMAIN percent AS numeric;", ""},
    {"ban-create-policy", "", "CREATE POLICY own ON orders USING (true);", "SELECT 1;",
     "a policy for one's own migrations, off unless asked for there: row security is compared by parity"},
    {"ban-detach-inheritance", "", "ALTER TABLE orders NO INHERIT documents;",
     "ALTER TABLE orders ALTER COLUMN id DROP DEFAULT;",
     "a policy for one's own migrations, off unless asked for there: inheritance outside partitions is rare"},
    {"ban-disable-trigger", "triggers_off", "ALTER TABLE orders DISABLE TRIGGER audit;",
     "ALTER TABLE orders ADD COLUMN note text;", ""},
    {"ban-drop-column", "drop_column_or_table", "ALTER TABLE orders DROP COLUMN note;",
     "ALTER TABLE orders ADD COLUMN note text;", ""},
    {"ban-drop-constraint", "drop_constraint", "ALTER TABLE orders DROP CONSTRAINT orders_customer_fkey;",
     "ALTER TABLE orders ADD COLUMN note text;", ""},
    {"ban-drop-database", "drop_column_or_table", "DROP DATABASE shop;", "SELECT 1;", ""},
    {"ban-drop-default", "", "ALTER TABLE orders ALTER COLUMN note DROP DEFAULT;",
     "ALTER TABLE orders ADD COLUMN note text;",
     "a policy for one's own migrations, off unless asked for there: a default changes new rows only, and at "
     "once"},
    {"ban-drop-domain", "drop_column_or_table", "DROP DOMAIN amount;", "SELECT 1;", ""},
    {"ban-drop-extension", "drop_column_or_table", "DROP EXTENSION pg_trgm;", "SELECT 1;", ""},
    {"ban-drop-function", "", "DROP FUNCTION price(int);", "SELECT 1;",
     "a policy for one's own migrations, off unless asked for there: the reference gate looks for callers; "
     "PostgreSQL itself refuses where a view or trigger depends on it"},
    {"ban-drop-generated-expression", "", "ALTER TABLE orders ALTER COLUMN total DROP EXPRESSION;",
     "ALTER TABLE orders ADD COLUMN note text;",
     "a policy for one's own migrations, off unless asked for there: the values stay; whoever writes the "
     "column from then on is the application's matter"},
    {"ban-drop-index", "index_not_concurrent", "DROP INDEX CONCURRENTLY orders_code;", "SELECT 1;",
     "dropped CONCURRENTLY an index harms nobody at that moment; whether a plan misses it is measured by "
     "paths, not guessed"},
    {"ban-drop-not-null", "drop_not_null", "ALTER TABLE orders ALTER COLUMN code DROP NOT NULL;",
     "ALTER TABLE orders ALTER COLUMN code DROP DEFAULT;", ""},
    {"ban-drop-policy", "", "DROP POLICY own ON orders;", "SELECT 1;",
     "a policy for one's own migrations, off unless asked for there: row security is compared by parity"},
    {"ban-drop-schema", "drop_column_or_table", "DROP SCHEMA app;", "SELECT 1;", ""},
    {"ban-drop-sequence", "drop_column_or_table", "DROP SEQUENCE orders_number;", "SELECT 1;", ""},
    {"ban-drop-table", "drop_column_or_table", "DROP TABLE orders;", "SELECT 1;", ""},
    {"ban-drop-trigger", "", "DROP TRIGGER audit ON orders;", "SELECT 1;",
     "a policy for one's own migrations, off unless asked for there: a rollout's own undo drops its trigger; "
     "time-outs are asked for all the same"},
    {"ban-drop-type", "drop_column_or_table", "DROP TYPE mood;", "SELECT 1;", ""},
    {"ban-drop-view", "drop_column_or_table", "DROP VIEW totals;", "SELECT 1;", ""},
    {"ban-duplicate-column-assignments", "duplicate_set",
     "UPDATE orders SET code = 'a', code = 'b' WHERE id = 1;", "UPDATE orders SET code = 'a' WHERE id = 1;",
     ""},
    {"ban-new-write-restriction", "", "ALTER TABLE orders ADD CONSTRAINT paid CHECK (total >= 0) NOT VALID;",
     "ALTER TABLE orders ADD COLUMN note text;",
     "a policy for one's own migrations, off unless asked for there: whether the running application keeps "
     "to a new condition is what verify and the gates find out"},
    {"ban-replace-view-function", "", "CREATE OR REPLACE VIEW totals AS SELECT 1 AS a;", "SELECT 1;",
     "a policy for one's own migrations, off unless asked for there: PostgreSQL refuses a replacement that "
     "takes away or retypes a view's column"},
    {"ban-replica-identity", "replica_identity", "ALTER TABLE orders REPLICA IDENTITY FULL;",
     "ALTER TABLE orders ADD COLUMN note text;", ""},
    {"ban-revoke", "owner_or_rights", "REVOKE SELECT ON orders FROM app;", "SELECT 1;", ""},
    {"ban-set-default", "", "ALTER TABLE orders ALTER COLUMN note SET DEFAULT 'x';",
     "ALTER TABLE orders ADD COLUMN note text;",
     "a policy for one's own migrations, off unless asked for there: a default by itself changes new rows "
     "only, and at once"},
    {"ban-set-schema", "rename", "ALTER TABLE orders SET SCHEMA archive;", "SELECT 1;", ""},
    {"ban-truncate-cascade", "cascade", "TRUNCATE orders CASCADE;", "SELECT 1;", ""},
    {"ban-uncommitted-transaction", "unfinished_transaction",
     "BEGIN;\nALTER TABLE orders ADD COLUMN note text;",
     "BEGIN;\nALTER TABLE orders ADD COLUMN note text;\nCOMMIT;", ""},
    {"changing-column-type", "unsafe_type_change", "ALTER TABLE orders ALTER COLUMN id TYPE bigint;",
     "ALTER TABLE orders ADD COLUMN note text;", ""},
    {"constraint-missing-not-valid", "constraint_without_not_valid",
     "ALTER TABLE orders ADD CONSTRAINT paid CHECK (total >= 0);",
     "ALTER TABLE orders ADD CONSTRAINT paid CHECK (total >= 0) NOT VALID;", ""},
    {"disallowed-unique-constraint", "add_unique_or_primary_key",
     "ALTER TABLE orders ADD CONSTRAINT orders_code_key UNIQUE (code);",
     "ALTER TABLE orders ADD CONSTRAINT orders_code_key UNIQUE USING INDEX orders_code_idx;", ""},
    {"identifier-too-long", "identifier_too_long",
     "CREATE TABLE orders_by_customer_and_status_and_created_at_for_the_monthly_reports (id bigint);",
     "CREATE TABLE notes (id bigint);", ""},
    {"prefer-bigint-over-int", "narrow_key", "CREATE TABLE notes (id bigint PRIMARY KEY, pages int);",
     "CREATE TABLE notes (id bigint PRIMARY KEY, pages bigint);",
     "only keys and columns that count up are reported here: a number of pages never ends"},
    {"prefer-bigint-over-smallint", "narrow_key",
     "CREATE TABLE notes (id bigint PRIMARY KEY, pages smallint);",
     "CREATE TABLE notes (id bigint PRIMARY KEY, pages bigint);", "as above"},
    {"prefer-identity", "discouraged_type", "CREATE TABLE notes (id bigserial PRIMARY KEY);",
     "CREATE TABLE notes (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY);", ""},
    {"prefer-repack", "vacuum_full", "VACUUM FULL orders;", "VACUUM orders;", ""},
    {"prefer-robust-stmts", "create_without_if_not_exists",
     "CREATE TABLE notes (id bigint);\nCREATE TABLE lines (id bigint);",
     "CREATE TABLE IF NOT EXISTS notes (id bigint);\nCREATE TABLE IF NOT EXISTS lines (id bigint);",
     "reported here only in files that are run again (R__); elsewhere IF NOT EXISTS hides a step that was "
     "done halfway, and a step's probe tells what is there. On an index built CONCURRENTLY it is itself a "
     "finding (index_if_not_exists)"},
    {"prefer-text-field", "", "CREATE TABLE notes (id bigint PRIMARY KEY, title varchar(100));",
     "CREATE TABLE notes (id bigint PRIMARY KEY, title text);",
     "a longer varchar, and one without a limit, is a change of the catalog alone; a shorter one is reported "
     "by unsafe_type_change"},
    {"prefer-timestamp-tz", "discouraged_type", "CREATE TABLE notes (id bigint PRIMARY KEY, at timestamp);",
     "CREATE TABLE notes (id bigint PRIMARY KEY, at timestamptz);", ""},
    {"renaming-column", "rename", "ALTER TABLE orders RENAME COLUMN code TO number;",
     "ALTER TABLE orders ADD COLUMN number text;", ""},
    {"renaming-object", "rename", "ALTER SCHEMA app RENAME TO shop;", "SELECT 1;", ""},
    {"renaming-table", "rename", "ALTER TABLE orders RENAME TO purchases;", "SELECT 1;", ""},
    {"require-concurrent-index-creation", "index_not_concurrent",
     "CREATE INDEX orders_code ON orders (code);", "CREATE INDEX CONCURRENTLY orders_code ON orders (code);",
     ""},
    {"require-concurrent-index-deletion", "index_not_concurrent", "DROP INDEX orders_code;",
     "DROP INDEX CONCURRENTLY orders_code;", ""},
    {"require-concurrent-partition-detach", "index_not_concurrent",
     "ALTER TABLE events DETACH PARTITION events_2020;",
     "ALTER TABLE events DETACH PARTITION events_2020 CONCURRENTLY;", ""},
    {"require-concurrent-reindex", "index_not_concurrent", "REINDEX INDEX orders_code;",
     "REINDEX INDEX CONCURRENTLY orders_code;", ""},
    {"require-enum-value-ordering", "enum_value_without_place", "ALTER TYPE mood ADD VALUE 'happy';",
     "ALTER TYPE mood ADD VALUE 'happy' AFTER 'calm';", ""},
    {"require-lock-timeout", "missing_timeouts", "ALTER TABLE orders ADD COLUMN note text;",
     "SET lock_timeout = '50ms';\nSET statement_timeout = '5s';\nALTER TABLE orders ADD COLUMN note text;",
     ""},
    {"require-statement-timeout", "missing_timeouts", "ALTER TABLE orders ADD COLUMN note text;",
     "SET lock_timeout = '50ms';\nSET statement_timeout = '5s';\nALTER TABLE orders ADD COLUMN note text;",
     ""},
    {"require-table-schema", "", "CREATE TABLE notes (id bigint);", "CREATE TABLE app.notes (id bigint);",
     "a policy for one's own migrations, off unless asked for there: which schema a bare name means is "
     "settled by the role's search_path; with a catalog the lint looks it up"},
    {"transaction-nesting", "nested_transaction", "BEGIN;\nBEGIN;\nSELECT 1;\nCOMMIT;",
     "BEGIN;\nSELECT 1;\nCOMMIT;", ""},
});

}  // namespace poundlock::reference
