// The example's database access: one libpq connection for each thread, statements prepared on first use,
// failures sorted the way the router wants them. Used by one thread.
#pragma once

#include <libpq-fe.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "poundlock/outcome.h"

namespace orders {

struct Order {
  std::int64_t id = 0;
  std::string status;
  bool operator==(const Order&) const = default;
};
using Orders = std::vector<Order>;

struct Owned {
  std::int64_t id = 0;
  std::string customer;
};

class Db {
 public:
  // Each failure is counted in `errors`, which outlives this.
  Db(std::string dsn, std::atomic<std::uint64_t>& errors) : dsn_(std::move(dsn)), errors_(errors) {}
  ~Db();
  Db(const Db&) = delete;
  Db& operator=(const Db&) = delete;

  // `attempt` is told how long the connection took: that wait is not the statement's.
  poundlock::Outcome<Orders> select(const char* sql, const std::string& value, poundlock::Attempt& attempt);
  poundlock::Outcome<poundlock::Done> change(const char* sql, const std::vector<std::string>& values,
                                             poundlock::Attempt& attempt);
  // Rows of the initial data that this writer owns, with their customers; at most `limit`.
  poundlock::Outcome<std::vector<Owned>> owned(int writers, int writer, int limit);
  // True where the last failure came from the server before anything took effect.
  bool surely_not_applied() const { return surely_not_applied_; }

 private:
  poundlock::Outcome<PGresult*> run(const char* sql, const std::vector<std::string>& values,
                                    poundlock::Attempt& attempt);
  bool connected(poundlock::Attempt& attempt);
  poundlock::Failure failure(const PGresult* result);

  std::string dsn_;
  std::atomic<std::uint64_t>& errors_;
  PGconn* connection_ = nullptr;
  std::map<std::string, std::string> prepared_;  // text -> name: names longer than 63 bytes are cut
  bool surely_not_applied_ = false;
};

}  // namespace orders
