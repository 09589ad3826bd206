#include "engine/ledger.h"

#include <fmt/format.h>

#include <array>

#include "ports/cells.h"

namespace poundlock::engine {
namespace {

constexpr int kVersion = 2;

// Idempotent, in order, one transaction. Names are qualified: the session's search_path does not matter.
constexpr std::array kInstall{
    // IF NOT EXISTS would ask for CREATE on the database first, which the schema's owner need not have.
    "DO 'BEGIN IF pg_catalog.to_regnamespace(''poundlock'') IS NULL THEN CREATE SCHEMA poundlock; END IF; "
    "END'",
    // Writers count conflicts in a sequence there; the tables stay closed to them.
    "GRANT USAGE ON SCHEMA poundlock TO PUBLIC",
    "CREATE TABLE IF NOT EXISTS poundlock.meta (version int NOT NULL)",
    "CREATE TABLE IF NOT EXISTS poundlock.rollout (name text PRIMARY KEY, uuid uuid NOT NULL, generation "
    "bigint NOT "
    "NULL, changed_at timestamptz NOT NULL DEFAULT pg_catalog.now()) WITH (fillfactor = 50)",
    "CREATE TABLE IF NOT EXISTS poundlock.ledger (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "
    "rollout text NOT "
    "NULL, step text NOT NULL, direction text NOT NULL CHECK (direction IN ('forward', 'undo')), generation "
    "bigint NOT "
    "NULL, attempt text NOT NULL UNIQUE, at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(), "
    "detail jsonb NOT "
    "NULL)",
    "CREATE INDEX IF NOT EXISTS ledger_step ON poundlock.ledger (rollout, step, id)",
    "CREATE TABLE IF NOT EXISTS poundlock.backfill (rollout text NOT NULL, step text NOT NULL, relation oid "
    "NOT NULL, "
    "filenode oid NOT NULL, pass int NOT NULL, from_block bigint NOT NULL, to_block bigint NOT NULL, stripe "
    "int NOT "
    "NULL, stripes int NOT NULL, rows bigint NOT NULL, pass_rows bigint NOT NULL, done boolean NOT NULL, at "
    "timestamptz "
    "NOT NULL, PRIMARY KEY (rollout, step, relation)) WITH (fillfactor = 50)",
    // Version 2.
    "CREATE TABLE IF NOT EXISTS poundlock.begun (rollout text NOT NULL, step text NOT NULL, direction text "
    "NOT "
    "NULL, generation bigint NOT NULL, at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(), sql "
    "jsonb "
    "NOT NULL, PRIMARY KEY (rollout, step))",
    R"(CREATE OR REPLACE FUNCTION poundlock.fence(p_rollout text, p_generation bigint) RETURNS bigint
LANGUAGE plpgsql AS $fence$
DECLARE
  held bigint;
BEGIN
  SELECT r.generation INTO held FROM poundlock.rollout r WHERE r.name = p_rollout FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    INSERT INTO poundlock.rollout (name, uuid, generation)
    VALUES (p_rollout, pg_catalog.md5(p_rollout || pg_catalog.clock_timestamp()::text ||
            pg_catalog.random()::text)::uuid, p_generation)
    ON CONFLICT (name) DO NOTHING;
    SELECT r.generation INTO held FROM poundlock.rollout r WHERE r.name = p_rollout FOR NO KEY UPDATE;
  END IF;
  IF held > p_generation THEN
    RAISE EXCEPTION 'generation % of rollout % is out of date: generation % holds it',
      p_generation, p_rollout, held USING ERRCODE = 'PLGEN';
  ELSIF held < p_generation THEN
    UPDATE poundlock.rollout SET generation = p_generation, changed_at = pg_catalog.clock_timestamp()
    WHERE name = p_rollout;
  END IF;
  RETURN held;
END
$fence$)",
    "REVOKE EXECUTE ON FUNCTION poundlock.fence(text, bigint) FROM PUBLIC",
    // One batch in one round trip: rows stay locked for no longer than the work takes. Counts exactly, so
    // that checkpoint and rows agree; answers the milliseconds that the server worked.
    R"(CREATE OR REPLACE FUNCTION poundlock.backfill_batch(p_generation bigint, p_update text,
  p_next poundlock.backfill)
RETURNS TABLE (changed bigint, took_ms double precision) LANGUAGE plpgsql AS $batch$
DECLARE
  began timestamptz := pg_catalog.clock_timestamp();
BEGIN
  PERFORM poundlock.fence(p_next.rollout, p_generation);
  IF p_update <> '' THEN
    EXECUTE p_update;
    GET DIAGNOSTICS changed = ROW_COUNT;
  ELSE
    changed := 0;
  END IF;
  INSERT INTO poundlock.backfill AS b SELECT (p_next).rollout, (p_next).step, (p_next).relation,
    (p_next).filenode, (p_next).pass, (p_next).from_block, (p_next).to_block, (p_next).stripe,
    (p_next).stripes, (p_next).rows + changed, (p_next).pass_rows + changed, (p_next).done,
    pg_catalog.clock_timestamp()
  ON CONFLICT (rollout, step, relation) DO UPDATE SET filenode = excluded.filenode, pass = excluded.pass,
    from_block = excluded.from_block, to_block = excluded.to_block, stripe = excluded.stripe,
    stripes = excluded.stripes, rows = excluded.rows, pass_rows = excluded.pass_rows,
    done = excluded.done, at = excluded.at;
  took_ms := extract(epoch FROM pg_catalog.clock_timestamp() - began) * 1000;
  RETURN NEXT;
END
$batch$)",
    "REVOKE EXECUTE ON FUNCTION poundlock.backfill_batch(bigint, text, poundlock.backfill) FROM PUBLIC",
    "DELETE FROM poundlock.meta", "INSERT INTO poundlock.meta (version) VALUES (2)"};

// -1: not there.
Result<int> installed_version(ports::Session& session) {
  PL_TRY(const auto there, session.run("SELECT pg_catalog.to_regclass('poundlock.meta') IS NOT NULL"));
  if (!ports::to_bool(there.rows.at(0)[0])) return -1;
  PL_TRY(const auto version, session.run("SELECT version FROM poundlock.meta"));
  return version.rows.empty() ? -1 : static_cast<int>(ports::to_int(version.rows[0][0]));
}

}  // namespace

const char* to_string(Direction direction) {
  return direction == Direction::kForward ? "forward" : "undo";
}

Status install_ledger(ports::Session& session) {
  PL_TRY(const int version, installed_version(session));
  if (version == kVersion) return {};
  if (version > kVersion) {
    return fail(make_error(Disposition::kConflict, "ledger.newer",
                           fmt::format("the ledger in this database has version {}, this Poundlock knows {}",
                                       version, kVersion))
                    .with_hint("use the newer Poundlock"));
  }
  std::vector<ports::Sql> all{{"BEGIN", {}},
                              // Two executors that start together: IF NOT EXISTS alone still collides.
                              {"SELECT pg_catalog.pg_advisory_xact_lock(727276, 1)", {}}};
  for (const char* sql : kInstall) all.push_back({sql, {}});
  all.push_back({"COMMIT", {}});
  auto installed = session.pipeline(all);
  if (installed) return {};
  Error error = std::move(installed).error();
  if (!session.broken()) {
    PL_CHECK(session.run("ROLLBACK"));
  }
  if (error.code == "pg.privilege") {
    error.hint =
        "GRANT CREATE ON DATABASE to this role, or let an administrator run CREATE SCHEMA poundlock "
        "AUTHORIZATION for it; `poundlock doctor` prints what is missing";
  }
  return fail(std::move(error));
}

ports::Sql fence(std::string_view rollout, std::uint64_t generation) {
  return {"SELECT poundlock.fence($1, $2)", {std::string(rollout), std::to_string(generation)}};
}

ports::Sql record(const LedgerEntry& entry) {
  return {
      "INSERT INTO poundlock.ledger (rollout, step, direction, generation, attempt, detail) VALUES ($1, $2, "
      "$3, "
      "$4::bigint, $5, $6::jsonb)",
      {entry.rollout, entry.step, std::string(to_string(entry.direction)), std::to_string(entry.generation),
       entry.attempt, entry.detail.empty() ? std::string("{}") : entry.detail}};
}

ports::Sql begin_step(const LedgerEntry& entry) {
  return {
      "INSERT INTO poundlock.begun AS b (rollout, step, direction, generation, sql) VALUES ($1, $2, $3, "
      "$4::bigint, $5::jsonb) ON CONFLICT (rollout, step) DO UPDATE SET direction = excluded.direction, "
      "generation = excluded.generation, at = excluded.at, sql = excluded.sql",
      {entry.rollout, entry.step, std::string(to_string(entry.direction)), std::to_string(entry.generation),
       entry.detail}};
}

ports::Sql end_step(std::string_view rollout, std::string_view step) {
  return {"DELETE FROM poundlock.begun WHERE rollout = $1 AND step = $2",
          {std::string(rollout), std::string(step)}};
}

Result<bool> was_recorded(ports::Session& session, std::string_view attempt) {
  PL_TRY(const auto found, session.run("SELECT EXISTS (SELECT FROM poundlock.ledger WHERE attempt = $1)",
                                       {std::string(attempt)}));
  return ports::to_bool(found.rows.at(0)[0]);
}

Result<std::optional<Direction>> last_direction(ports::Session& session, std::string_view rollout,
                                                std::string_view step) {
  PL_TRY(const auto found,
         session.run("SELECT direction FROM poundlock.ledger WHERE rollout = $1 AND step = $2 ORDER BY "
                     "id DESC LIMIT 1",
                     {std::string(rollout), std::string(step)}));
  if (found.rows.empty()) return std::optional<Direction>();
  return std::optional(ports::to_text(found.rows[0][0]) == "undo" ? Direction::kUndo : Direction::kForward);
}

Result<std::uint64_t> held_generation(ports::Session& session, std::string_view rollout) {
  PL_TRY(const auto found,
         session.run("SELECT generation FROM poundlock.rollout WHERE name = $1", {std::string(rollout)}));
  return found.rows.empty() ? 0 : static_cast<std::uint64_t>(ports::to_int(found.rows[0][0]));
}

ports::Sql forget_backfills(std::string_view rollout) {
  return {"DELETE FROM poundlock.backfill WHERE rollout = $1", {std::string(rollout)}};
}

Result<bool> try_advisory_lock(ports::Session& session, std::string_view rollout) {
  PL_TRY(const auto got,
         session.run("SELECT pg_catalog.pg_try_advisory_lock(727276, pg_catalog.hashtext($1))",
                     {std::string(rollout)}));
  return ports::to_bool(got.rows.at(0)[0]);
}

}  // namespace poundlock::engine
