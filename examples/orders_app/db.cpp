#include "orders_app/db.h"

#include <cstdlib>
#include <memory>
#include <string_view>
#include <thread>

namespace orders {

using poundlock::Attempt;
using poundlock::Done;
using poundlock::Failure;
using poundlock::FailureKind;
using poundlock::Outcome;

namespace {

using Result = std::unique_ptr<PGresult, decltype(&PQclear)>;

FailureKind kind_of(std::string_view sqlstate) {
  if (sqlstate == "57014" || sqlstate == "55P03" || sqlstate == "25P03") return FailureKind::kTimeout;
  if (sqlstate == "40P01") return FailureKind::kDeadlock;
  if (sqlstate.empty() || sqlstate.starts_with("08") || sqlstate.starts_with("57P") || sqlstate == "53300") {
    return FailureKind::kConnection;
  }
  return FailureKind::kOther;
}

}  // namespace

Db::~Db() {
  PQfinish(connection_);
}

bool Db::connected(Attempt& attempt) {
  constexpr int kTries = 5;
  for (int i = 0; i < kTries; ++i) {
    if (connection_ != nullptr && PQstatus(connection_) == CONNECTION_OK) return true;
    const auto begun = Attempt::Clock::now();
    PQfinish(connection_);
    prepared_.clear();
    // Expanded: the dsn may be a URI as well as keywords and values.
    const char* keys[] = {"dbname", "application_name", "connect_timeout", "options", nullptr};
    const char* values[] = {dsn_.c_str(), "orders_app", "5", "-c statement_timeout=5s", nullptr};
    connection_ = PQconnectdbParams(keys, values, 1);
    PQsetNoticeProcessor(
        connection_, [](void*, const char*) {}, nullptr);  // failures are reported anyway
    attempt.exclude_wait(Attempt::Clock::now() - begun);
    if (PQstatus(connection_) == CONNECTION_OK) return true;
    ++errors_;
    std::this_thread::sleep_for(std::chrono::milliseconds(50 << i));
  }
  return false;
}

Failure Db::failure(const PGresult* result) {
  ++errors_;
  const char* state = result == nullptr ? nullptr : PQresultErrorField(result, PG_DIAG_SQLSTATE);
  const std::string sqlstate = state == nullptr ? "" : state;
  // An error that the server reports for one autocommitted statement has undone it; a connection that
  // broke has not told us.
  surely_not_applied_ = !sqlstate.empty() && PQstatus(connection_) == CONNECTION_OK;
  std::string message = result == nullptr ? PQerrorMessage(connection_) : PQresultErrorMessage(result);
  while (!message.empty() && message.back() == '\n') message.pop_back();
  return {kind_of(sqlstate), sqlstate.empty() ? message : sqlstate + " " + message};
}

Outcome<PGresult*> Db::run(const char* sql, const std::vector<std::string>& values, Attempt& attempt) {
  if (!connected(attempt)) {
    Failure lost{FailureKind::kConnection, PQerrorMessage(connection_)};
    surely_not_applied_ = true;
    return lost;
  }
  auto prepared = prepared_.find(sql);
  if (prepared == prepared_.end()) {
    const std::string name = "s" + std::to_string(prepared_.size() + 1);
    const Result result(PQprepare(connection_, name.c_str(), sql, 0, nullptr), PQclear);
    if (PQresultStatus(result.get()) != PGRES_COMMAND_OK) return failure(result.get());
    prepared = prepared_.emplace(sql, name).first;
  }
  std::vector<const char*> params;
  for (const std::string& value : values) params.push_back(value.c_str());
  PGresult* result = PQexecPrepared(connection_, prepared->second.c_str(), static_cast<int>(params.size()),
                                    params.data(), nullptr, nullptr, 0);
  const ExecStatusType status = PQresultStatus(result);
  if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) return result;
  Failure failed = failure(result);
  PQclear(result);
  return failed;
}

Outcome<Orders> Db::select(const char* sql, const std::string& value, Attempt& attempt) {
  auto ran = run(sql, {value}, attempt);
  if (!ran) return ran.failure();
  const Result result(*ran, PQclear);
  Orders orders;
  const int rows = PQntuples(result.get());
  orders.reserve(static_cast<std::size_t>(rows));
  for (int i = 0; i < rows; ++i) {
    orders.push_back({std::atoll(PQgetvalue(result.get(), i, 0)), PQgetvalue(result.get(), i, 1)});
  }
  return orders;
}

Outcome<Done> Db::change(const char* sql, const std::vector<std::string>& values, Attempt& attempt) {
  auto ran = run(sql, values, attempt);
  if (!ran) return ran.failure();
  const Result result(*ran, PQclear);
  if (std::string_view(PQcmdTuples(result.get())) != "1") {
    ++errors_;
    surely_not_applied_ = true;
    return Failure{FailureKind::kOther, "the statement changed no row"};
  }
  return Done{};
}

Outcome<std::vector<Owned>> Db::owned(int writers, int writer, int limit) {
  Attempt attempt(poundlock::Side::kLegacy);
  auto ran =
      run("SELECT id, customer FROM orders WHERE id % $1::bigint = $2::bigint AND id < 1000000000000"
          " LIMIT $3::bigint",
          {std::to_string(writers), std::to_string(writer), std::to_string(limit)}, attempt);
  if (!ran) return ran.failure();
  const Result result(*ran, PQclear);
  std::vector<Owned> owned;
  for (int i = 0; i < PQntuples(result.get()); ++i) {
    owned.push_back({std::atoll(PQgetvalue(result.get(), i, 0)), PQgetvalue(result.get(), i, 1)});
  }
  return owned;
}

}  // namespace orders
