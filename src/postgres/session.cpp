#include "postgres/session.h"

#include <fmt/format.h>
#include <libpq-fe.h>
#include <poll.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>

#include "postgres/sqlstate.h"

namespace poundlock::postgres {
namespace {

constexpr std::size_t kNoticesMax = 10'000;
constexpr std::size_t kPipelineMax = 256;

struct ResultFree {
  void operator()(PGresult* result) const { PQclear(result); }
};
using PgResult = std::unique_ptr<PGresult, ResultFree>;
struct ConnectionFree {
  void operator()(PGconn* connection) const { PQfinish(connection); }
};
struct CancelFree {
  void operator()(PGcancel* cancel) const { PQfreeCancel(cancel); }
};

std::string trimmed(const char* text) {
  std::string out = text == nullptr ? "" : text;
  while (!out.empty() && std::isspace(static_cast<unsigned char>(out.back()))) out.pop_back();
  return out;
}

std::string field(const PGresult* result, int code) {
  const char* text = PQresultErrorField(result, code);
  return text == nullptr ? "" : text;
}

// First word of the statement in upper case, behind white space and opening parentheses.
std::string first_word(std::string_view sql) {
  std::size_t at = sql.find_first_not_of(" \t\r\n(");
  std::string word;
  while (at < sql.size() && std::isalpha(static_cast<unsigned char>(sql[at]))) {
    word.push_back(static_cast<char>(std::toupper(static_cast<unsigned char>(sql[at++]))));
  }
  return word;
}

bool commits(std::string_view sql) {
  const std::string word = first_word(sql);
  return word == "COMMIT" || word == "END" || word == "PREPARE";
}

// Statements that leave nothing behind when they run by themselves, so that a broken connection under
// them is no doubt. A SELECT may call a writing function; none that the product sends alone does.
bool leaves_nothing(std::string_view sql) {
  static constexpr std::string_view kWords[] = {"BEGIN",  "START", "ROLLBACK", "ABORT",   "SET",  "SHOW",
                                                "SELECT", "TABLE", "VALUES",   "DECLARE", "FETCH"};
  const std::string word = first_word(sql);
  return std::find(std::begin(kWords), std::end(kWords), word) != std::end(kWords);
}

// The text form of a statement's values as libpq takes them. Points into the Sql.
struct Bound {
  std::vector<const char*> values;
  explicit Bound(const ports::Sql& sql) {
    values.reserve(sql.params.size());
    for (const auto& cell : sql.params) values.push_back(cell ? cell->c_str() : nullptr);
  }
  int count() const { return static_cast<int>(values.size()); }
  const char* const* data() const { return values.empty() ? nullptr : values.data(); }
};

Status check_text(const ports::Sql& sql) {
  bool has_nul = sql.text.find('\0') != std::string::npos;
  for (const auto& cell : sql.params) has_nul = has_nul || (cell && cell->find('\0') != std::string::npos);
  // libpq reads C strings: a NUL would cut the statement or the value without a word.
  if (has_nul) return fail(user_error("pg.nul", "a statement or value holds the character NUL"));
  return {};
}

ports::Rows read_rows(const PGresult* result) {
  ports::Rows out;
  const int columns = PQnfields(result);
  const int rows = PQntuples(result);
  for (int c = 0; c < columns; ++c) out.columns.emplace_back(PQfname(result, c));
  out.rows.resize(static_cast<std::size_t>(rows));
  for (int r = 0; r < rows; ++r) {
    auto& row = out.rows[static_cast<std::size_t>(r)];
    row.reserve(static_cast<std::size_t>(columns));
    for (int c = 0; c < columns; ++c) {
      if (PQgetisnull(result, r, c)) {
        row.emplace_back(std::nullopt);
      } else {
        row.emplace_back(
            std::string(PQgetvalue(result, r, c), static_cast<std::size_t>(PQgetlength(result, r, c))));
      }
    }
  }
  const char* affected = PQcmdTuples(const_cast<PGresult*>(result));
  if (affected != nullptr && *affected != '\0') out.affected = std::strtoull(affected, nullptr, 10);
  return out;
}

class PgSession final : public ports::Session {
 public:
  explicit PgSession(PGconn* connection) : connection_(connection), cancel_(PQgetCancel(connection)) {
    PQsetNoticeReceiver(connection, &PgSession::on_notice, this);
  }

  Result<ports::Rows> run(const ports::Sql& sql) override {
    PL_CHECK(check_usable());
    PL_CHECK(check_text(sql));
    const Bound bound(sql);
    const bool idle = PQtransactionStatus(connection_.get()) == PQTRANS_IDLE;
    const bool doubt = commits(sql.text) || (idle && !leaves_nothing(sql.text));
    PgResult result(PQexecParams(connection_.get(), sql.text.c_str(), bound.count(), nullptr, bound.data(),
                                 nullptr, nullptr, 0));
    switch (PQresultStatus(result.get())) {
      case PGRES_COMMAND_OK:
      case PGRES_TUPLES_OK:
      case PGRES_EMPTY_QUERY: return read_rows(result.get());
      default: return fail(error_of(result.get(), doubt));
    }
  }

  Result<std::vector<ports::Rows>> pipeline(std::span<const ports::Sql> statements) override;

  std::vector<std::string> take_notices() override { return std::exchange(notices_, {}); }
  int backend_pid() const override { return PQbackendPID(connection_.get()); }

  void cancel() override {
    char text[256];
    // A failure means that the server is gone or the statement over; either way there is nothing to stop.
    if (cancel_) PQcancel(cancel_.get(), text, sizeof text);
  }

  bool broken() const override { return broken_ || PQstatus(connection_.get()) != CONNECTION_OK; }

 private:
  static void on_notice(void* self, const PGresult* result) {
    auto& notices = static_cast<PgSession*>(self)->notices_;
    if (notices.size() >= kNoticesMax) return;  // a DDL on debug1 says a few lines; a loop says millions
    std::string severity = field(result, PG_DIAG_SEVERITY_NONLOCALIZED);
    notices.push_back(severity + ": " + field(result, PG_DIAG_MESSAGE_PRIMARY));
  }

  Status check_usable() const {
    if (!broken()) return {};
    return fail(
        make_error(Disposition::kReconnect, "pg.connection", "the connection to PostgreSQL is broken"));
  }

  Error error_of(const PGresult* result, bool in_doubt);
  Error lost(std::string text, bool in_doubt);
  Status send_all(std::span<const ports::Sql> statements);
  Status settle_pipeline(std::optional<Error> first);
  Status flush();
  Status await_result();

  std::unique_ptr<PGconn, ConnectionFree> connection_;
  std::unique_ptr<PGcancel, CancelFree> cancel_;
  std::vector<std::string> notices_;
  bool broken_ = false;
};

Error PgSession::lost(std::string text, bool in_doubt) {
  broken_ = true;
  if (text.empty()) text = "the connection to PostgreSQL broke";
  return make_error(in_doubt ? Disposition::kInDoubt : Disposition::kReconnect,
                    in_doubt ? "pg.in_doubt" : "pg.connection", std::move(text));
}

Error PgSession::error_of(const PGresult* result, bool in_doubt) {
  const std::string state = result == nullptr ? "" : field(result, PG_DIAG_SQLSTATE);
  if (state.empty() || ends_session(state) || PQstatus(connection_.get()) != CONNECTION_OK) {
    std::string text = result == nullptr ? "" : field(result, PG_DIAG_MESSAGE_PRIMARY);
    if (text.empty()) text = trimmed(PQerrorMessage(connection_.get()));
    Error error = lost(std::move(text), in_doubt);
    error.sqlstate = state;
    return error;
  }
  StateMeaning meaning = meaning_of(state);
  std::string message = field(result, PG_DIAG_MESSAGE_PRIMARY);
  if (std::string detail = field(result, PG_DIAG_MESSAGE_DETAIL); !detail.empty()) message += ": " + detail;
  Error error = make_error(meaning.disposition, std::move(meaning.code), std::move(message));
  error.sqlstate = state;
  error.hint = field(result, PG_DIAG_MESSAGE_HINT);
  if (error.hint.empty()) error.hint = std::move(meaning.hint);
  return error;
}

// Sends without blocking: in blocking mode both ends can wait for each other with full buffers (libpq's
// documentation, "Using Pipeline Mode").
Status PgSession::send_all(std::span<const ports::Sql> statements) {
  for (const auto& sql : statements) {
    const Bound bound(sql);
    if (!PQsendQueryParams(connection_.get(), sql.text.c_str(), bound.count(), nullptr, bound.data(), nullptr,
                           nullptr, 0)) {
      return fail(lost(trimmed(PQerrorMessage(connection_.get())), false));
    }
  }
  if (!PQpipelineSync(connection_.get())) {
    return fail(lost(trimmed(PQerrorMessage(connection_.get())), false));
  }
  return {};
}

Status PgSession::flush() {
  const int left = PQflush(connection_.get());
  if (left < 0) return fail(lost(trimmed(PQerrorMessage(connection_.get())), false));
  return {};
}

// Until the next result can be had without blocking. TCP keepalives and tcp_user_timeout bound the wait
// on a dead network; on a live one the statement's own time-outs do.
Status PgSession::await_result() {
  while (PQisBusy(connection_.get())) {
    const int left = PQflush(connection_.get());
    if (left < 0) return fail(lost(trimmed(PQerrorMessage(connection_.get())), false));
    pollfd wait{PQsocket(connection_.get()), static_cast<short>(POLLIN | (left > 0 ? POLLOUT : 0)), 0};
    if (poll(&wait, 1, -1) < 0 && errno != EINTR) return fail(lost(std::strerror(errno), false));
    if ((wait.revents & ~POLLOUT) != 0 && !PQconsumeInput(connection_.get())) {
      return fail(lost(trimmed(PQerrorMessage(connection_.get())), false));
    }
  }
  return {};
}

// Reads on to the pipeline's end, so that the session can be used again. Answers the first error.
Status PgSession::settle_pipeline(std::optional<Error> first) {
  for (int nulls = 0; !broken() && nulls < 2;) {
    if (auto ready = await_result(); !ready) break;
    PgResult result(PQgetResult(connection_.get()));
    if (!result) {
      ++nulls;
      continue;
    }
    nulls = 0;
    if (PQresultStatus(result.get()) == PGRES_PIPELINE_SYNC) break;
  }
  if (!broken()) {
    PQexitPipelineMode(connection_.get());
    PQsetnonblocking(connection_.get(), 0);
  }
  if (first) return fail(std::move(*first));
  return {};
}

Result<std::vector<ports::Rows>> PgSession::pipeline(std::span<const ports::Sql> statements) {
  PL_CHECK(check_usable());
  if (statements.empty()) return std::vector<ports::Rows>{};
  if (statements.size() > kPipelineMax) return fail(internal_error("too many statements in one pipeline"));
  bool doubt = PQtransactionStatus(connection_.get()) == PQTRANS_IDLE &&
               first_word(statements.front().text) != "BEGIN" &&
               first_word(statements.front().text) != "START";
  bool any_write = false;
  for (const auto& sql : statements) {
    PL_CHECK(check_text(sql));
    any_write = any_write || !leaves_nothing(sql.text);
  }
  doubt = doubt && any_write;  // without BEGIN the whole pipeline is one transaction that its end commits
  if (!PQenterPipelineMode(connection_.get())) return fail(internal_error("libpq refuses pipeline mode"));
  PQsetnonblocking(connection_.get(), 1);
  auto in_doubt_from = [&](std::size_t first) {
    return doubt || std::any_of(statements.begin() + static_cast<std::ptrdiff_t>(first), statements.end(),
                                [](const ports::Sql& sql) { return commits(sql.text); });
  };
  auto broke = [&](Error error, std::size_t at) {
    if (in_doubt_from(at)) {
      error.disposition = Disposition::kInDoubt;
      error.code = "pg.in_doubt";
    }
    return fail(std::move(error));
  };
  if (auto sent = send_all(statements); !sent) return broke(sent.error(), 0);
  if (auto sent = flush(); !sent) return broke(sent.error(), 0);
  std::vector<ports::Rows> answers;
  for (std::size_t i = 0; i < statements.size(); ++i) {
    if (auto ready = await_result(); !ready) return broke(ready.error(), i);
    PgResult result(PQgetResult(connection_.get()));
    const auto status = PQresultStatus(result.get());
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_EMPTY_QUERY) {
      Error error = error_of(result.get(), in_doubt_from(i));
      if (broken()) return fail(std::move(error));
      PL_CHECK(settle_pipeline(std::move(error)));
    }
    answers.push_back(read_rows(result.get()));
    if (auto ready = await_result(); !ready) return broke(ready.error(), i + 1);
    PgResult end(PQgetResult(connection_.get()));  // the null that ends this statement's results
  }
  if (auto settled = settle_pipeline(std::nullopt); !settled || broken()) {
    return fail(lost("the connection to PostgreSQL broke", in_doubt_from(statements.size())));
  }
  return answers;
}

// Settings that every session of ours has, whatever the role's or the database's defaults are. Sent as
// statements, since poolers refuse start-up options.
Status prepare_session(ports::Session& session) {
  PL_CHECK(
      session.run("SELECT pg_catalog.set_config(name, value, false) FROM (VALUES "
                  "('search_path', 'pg_catalog'), ('datestyle', 'ISO, YMD'), ('intervalstyle', 'postgres'), "
                  "('bytea_output', 'hex'), ('extra_float_digits', '1'), "
                  "('standard_conforming_strings', 'on'), "
                  // A row that a policy hides would never be filled, and nobody would count it as missing:
                  // this makes PostgreSQL refuse what is not to see every row (42501).
                  "('row_security', 'off')) AS s(name, value)"));
  // A killed client's statement otherwise runs on to its end and commits. From PostgreSQL 14 on, and not
  // on every operating system: then the wait is longer, nothing else.
  auto set = session.run(
      "SELECT pg_catalog.set_config('client_connection_check_interval', '100ms', false) "
      "WHERE pg_catalog.current_setting('server_version_num')::int >= 140000");
  if (!set && session.broken()) return fail(set.error());
  return {};
}

Error connect_error(const PGconn* connection) {
  std::string text = connection == nullptr ? "out of memory" : trimmed(PQerrorMessage(connection));
  std::replace(text.begin(), text.end(), '\n', ' ');
  return make_error(Disposition::kReconnect, "pg.connect", std::move(text))
      .with_hint("check host, port, database, user and pg_hba.conf, and that the server runs");
}

}  // namespace

Result<std::unique_ptr<ports::Session>> open_session(const Keywords& keywords) {
  // Later keywords win: what a person wrote may change the time-outs, but not who we say that we are.
  Keywords all{{"connect_timeout", "5"},
               {"keepalives_idle", "10"},
               {"keepalives_interval", "5"},
               {"keepalives_count", "3"},
               {"tcp_user_timeout", "20000"}};
  all.insert(all.end(), keywords.begin(), keywords.end());
  all.emplace_back("application_name", "poundlock");
  all.emplace_back("client_encoding", "UTF8");
  std::vector<const char*> names, values;
  for (const auto& [name, value] : all) {
    names.push_back(name.c_str());
    values.push_back(value.c_str());
  }
  names.push_back(nullptr);
  values.push_back(nullptr);
  PGconn* connection = PQconnectdbParams(names.data(), values.data(), 0);
  if (connection == nullptr || PQstatus(connection) != CONNECTION_OK) {
    Error error = connect_error(connection);
    PQfinish(connection);
    return fail(std::move(error));
  }
  auto session = std::make_unique<PgSession>(connection);
  PL_CHECK(prepare_session(*session));
  return std::unique_ptr<ports::Session>(std::move(session));
}

}  // namespace poundlock::postgres
