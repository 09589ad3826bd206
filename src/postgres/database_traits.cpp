#include "postgres/database_traits.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "ports/cells.h"
#include "schema/identifier.h"

namespace poundlock::postgres {
namespace {

using schema::force_quote_identifier;
using schema::quote_literal;

constexpr std::string_view kMark = "poundlock.shadow";
// Their values are kept as lists of quoted words (GUC_LIST_QUOTE); one literal would be one word.
constexpr std::array<std::string_view, 4> kLists{"local_preload_libraries", "search_path",
                                                 "session_preload_libraries", "temp_tablespaces"};

// `"$user", public` becomes `'$user', 'public'`.
std::string list_literals(std::string_view text) {
  std::string out, word;
  bool quoted = false, any = false;
  const auto end_word = [&] {
    if (any) out += (out.empty() ? "" : ", ") + quote_literal(word);
    word.clear();
    any = false;
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted && c == '"' && i + 1 < text.size() && text[i + 1] == '"') {
      word += text[++i];
    } else if (c == '"') {
      quoted = !quoted;
      any = true;
    } else if (!quoted && c == ',') {
      end_word();
    } else if (quoted || c != ' ') {
      word += c;
      any = true;
    }
  }
  end_word();
  return out.empty() ? "''" : out;
}

std::string target_of(const DatabaseSetting& one, const std::string& database) {
  const std::string name = force_quote_identifier(database);
  return one.role.empty()
             ? "ALTER DATABASE " + name
             : fmt::format("ALTER ROLE {} IN DATABASE {}", force_quote_identifier(one.role), name);
}

// One that the role may not do, or that does not apply here, is no reason to go without a shadow.
Result<bool> may_fail(ports::Session& session, const std::string& sql) {
  auto done = session.run(sql);
  if (done) return true;
  if (session.broken()) return fail(std::move(done).error());
  return false;
}

}  // namespace

std::string DatabaseSetting::to_string() const {
  return role.empty() ? name : fmt::format("{} of the role {}", name, role);
}

Result<DatabaseTraits> read_traits(ports::Session& session, const std::string& name) {
  DatabaseTraits out;
  // As JSON, since the columns of a locale are others in each version: provider from 15 on, rules from 16,
  // and from 17 on datlocale in place of daticulocale.
  PL_TRY(const auto found,
         session.run("SELECT pg_catalog.pg_encoding_to_char(d.encoding), d.datcollate, d.datctype, "
                     "j->>'datlocprovider', coalesce(j->>'datlocale', j->>'daticulocale'), "
                     "j->>'daticurules', d.datacl IS NOT NULL FROM pg_catalog.pg_database d, "
                     "LATERAL (SELECT pg_catalog.to_jsonb(d) AS j) AS of_version WHERE d.datname = $1",
                     {name}));
  const auto& r = found.rows.at(0);
  out.locale = fmt::format("ENCODING {} LC_COLLATE {} LC_CTYPE {}", quote_literal(ports::to_text(r[0])),
                           quote_literal(ports::to_text(r[1])), quote_literal(ports::to_text(r[2])));
  const std::string provider = ports::to_text(r[3]);
  // Also where it is libc: template0 may have another one.
  if (provider == "c") out.locale += " LOCALE_PROVIDER libc";
  if (provider == "i") out.locale += " LOCALE_PROVIDER icu ICU_LOCALE " + quote_literal(ports::to_text(r[4]));
  if (provider == "b")
    out.locale += " LOCALE_PROVIDER builtin BUILTIN_LOCALE " + quote_literal(ports::to_text(r[4]));
  if (r[5]) out.locale += " ICU_RULES " + quote_literal(*r[5]);
  out.has_rights = ports::to_bool(r[6]);
  PL_TRY(const auto settings,
         session.run("SELECT CASE WHEN s.setrole = 0 THEN '' ELSE pg_catalog.pg_get_userbyid(s.setrole) END, "
                     "pg_catalog.split_part(c, '=', 1), pg_catalog.substr(c, pg_catalog.strpos(c, '=') + 1) "
                     "FROM pg_catalog.pg_db_role_setting s, pg_catalog.unnest(s.setconfig) AS c, "
                     "pg_catalog.pg_database d WHERE s.setdatabase = d.oid AND d.datname = $1 ORDER BY 1, 2",
                     {name}));
  for (const auto& row : settings.rows) {
    DatabaseSetting one{ports::to_text(row[0]), ports::to_text(row[1]), ports::to_text(row[2])};
    if (one.name != kMark) out.settings.push_back(std::move(one));
  }
  PL_TRY(const auto rights,
         session.run("SELECT CASE WHEN a.grantee = 0 THEN '' ELSE pg_catalog.pg_get_userbyid(a.grantee) END, "
                     "a.privilege_type, a.is_grantable FROM pg_catalog.pg_database d, "
                     "pg_catalog.aclexplode(d.datacl) AS a WHERE d.datname = $1 AND a.grantee <> "
                     "(SELECT oid FROM pg_catalog.pg_roles WHERE rolname = current_user) ORDER BY 1, 2",
                     {name}));
  for (const auto& row : rights.rows)
    out.rights.push_back({ports::to_text(row[0]), ports::to_text(row[1]), ports::to_bool(row[2])});
  return out;
}

Result<std::vector<std::string>> write_settings(ports::Session& session, const std::string& database,
                                                const std::vector<DatabaseSetting>& settings) {
  std::vector<std::string> left;
  for (const auto& one : settings) {
    const bool list = std::find(kLists.begin(), kLists.end(), one.name) != kLists.end();
    PL_TRY(const bool done,
           may_fail(session,
                    fmt::format("{} SET {} TO {}", target_of(one, database), force_quote_identifier(one.name),
                                list ? list_literals(one.value) : quote_literal(one.value))));
    if (!done) left.push_back("the setting " + one.to_string());
  }
  return left;
}

Result<std::vector<std::string>> write_rights(ports::Session& session, const std::string& database,
                                              const DatabaseTraits& traits) {
  std::vector<std::string> left;
  if (!traits.has_rights) return left;
  const std::string name = force_quote_identifier(database);
  PL_CHECK(session.run(fmt::format("REVOKE ALL ON DATABASE {} FROM PUBLIC", name)));
  for (const auto& one : traits.rights) {
    const std::string role = one.role.empty() ? "PUBLIC" : force_quote_identifier(one.role);
    PL_TRY(const bool done, may_fail(session, fmt::format("GRANT {} ON DATABASE {} TO {}{}", one.right, name,
                                                          role, one.grantable ? " WITH GRANT OPTION" : "")));
    if (!done) left.push_back(fmt::format("the right {} of {} on the database", one.right, role));
  }
  return left;
}

Status reset_settings(ports::Session& session, const std::string& database,
                      const std::vector<DatabaseSetting>& settings) {
  for (const auto& one : settings) {
    PL_TRY([[maybe_unused]] const bool done,
           may_fail(session,
                    fmt::format("{} RESET {}", target_of(one, database), force_quote_identifier(one.name))));
  }
  return {};
}

Status unhinder(ports::Session& session) {
  PL_CHECK(session.run(
      "SELECT pg_catalog.set_config(s.name, CASE s.vartype WHEN 'bool' THEN 'off' ELSE '0' END, false) FROM "
      "pg_catalog.pg_settings s WHERE s.name IN ('statement_timeout', 'lock_timeout', 'transaction_timeout', "
      "'idle_session_timeout', 'idle_in_transaction_session_timeout', 'default_transaction_read_only')"));
  return {};
}

}  // namespace poundlock::postgres
