#include "postgres/foreign_servers.h"

#include <fmt/format.h>

#include "ports/cells.h"
#include "schema/identifier.h"

namespace poundlock::postgres {
namespace {

using schema::force_quote_identifier;

// Every other wrapper may reach its server without a user mapping. What file_fdw reads it cannot write.
constexpr const char* kWithoutMapping =
    "SELECT w.fdwname, s.srvname FROM pg_catalog.pg_foreign_data_wrapper w JOIN pg_catalog.pg_foreign_server "
    "s ON "
    "s.srvfdw = w.oid WHERE w.fdwhandler <> 0 AND w.fdwname NOT IN ('postgres_fdw', 'file_fdw') ORDER BY 2";

Error leads_out(const std::string& server, const Error& why) {
  return make_error(
             Disposition::kRefused, "shadow.leads_out",
             fmt::format("the copy would reach the foreign server {}, from which this role cannot cut it "
                         "off: {}",
                         server, why.message))
      .with_hint(
          "make the shadow as a superuser; or give a clone of the database without its user mappings "
          "(--shadow)");
}

Status run_or_refuse(ports::Session& session, const std::string& server, const std::string& sql) {
  auto done = session.run(sql);
  if (done) return {};
  if (session.broken()) return fail(std::move(done).error());
  return fail(leads_out(server, done.error()));
}

}  // namespace

Result<std::vector<std::string>> cut_off_foreign_servers(ports::Session& session) {
  std::vector<std::string> out;
  const auto gone = [&](const std::string& server) {
    std::string words = fmt::format("a way to the foreign server {}: what uses its tables fails", server);
    if (out.empty() || out.back() != words) out.push_back(std::move(words));
  };
  PL_TRY(const auto mappings,
         session.run("SELECT srvname, usename, umuser = 0 FROM pg_catalog.pg_user_mappings ORDER BY 1, 2"));
  for (const auto& row : mappings.rows) {
    const std::string server = ports::to_text(row[0]);
    PL_CHECK(run_or_refuse(
        session, server,
        fmt::format("DROP USER MAPPING IF EXISTS FOR {} SERVER {}",
                    ports::to_bool(row[2]) ? "PUBLIC" : force_quote_identifier(ports::to_text(row[1])),
                    force_quote_identifier(server))));
    gone(server);
  }
  PL_TRY(const auto wrappers, session.run(kWithoutMapping));
  for (const auto& row : wrappers.rows) {
    const std::string server = ports::to_text(row[1]);
    PL_CHECK(run_or_refuse(session, server,
                           fmt::format("ALTER FOREIGN DATA WRAPPER {} NO HANDLER",
                                       force_quote_identifier(ports::to_text(row[0])))));
    gone(server);
  }
  return out;
}

Result<std::string> reached_foreign_servers(ports::Session& session) {
  PL_TRY(const auto rows,
         session.run("SELECT pg_catalog.string_agg(DISTINCT srvname, ', ' ORDER BY srvname) FROM "
                     "pg_catalog.pg_user_mappings"));
  return ports::to_text(rows.rows.at(0)[0]);
}

}  // namespace poundlock::postgres
