#include "engine/replicas.h"

#include <fmt/format.h>

namespace poundlock::engine {
namespace {

constexpr Millis kRetryAfter{1'000};  // a connection may take 5 s to fail, and the work stands meanwhile

}  // namespace

Replicas::Replicas(const std::vector<ports::Database*>& databases, Clock& clock) : clock_(clock) {
  for (ports::Database* database : databases) all_.push_back({database, nullptr, std::nullopt, {}});
}

ports::Session* Replicas::session(std::size_t index) {
  Replica& replica = all_[index];
  if (replica.session && !replica.session->broken()) return replica.session.get();
  replica.session.reset();
  if (replica.tried && clock_.steady() - *replica.tried < kRetryAfter) return nullptr;
  auto opened = replica.database->connect();
  replica.tried = clock_.steady();
  if (!opened) {
    replica.error = std::move(opened).error().message;
    return nullptr;
  }
  replica.session = std::move(*opened);
  return replica.session.get();
}

std::string Replicas::name(std::size_t index) {
  return fmt::format("replica {}", index + 1);
}

std::string Replicas::trouble(std::size_t index) const {
  return fmt::format("{} ({}) cannot be reached: {}", name(index), all_[index].database->describe(),
                     all_[index].error.empty() ? "its connection broke" : all_[index].error);
}

void Replicas::close() {
  for (auto& replica : all_) {
    replica.session.reset();
    replica.tried.reset();
  }
}

}  // namespace poundlock::engine
