// What happened since the last report: attempts by path, evaluations by variant, shadow comparisons,
// breakers. Writers add under the lock of one of several shards, so that threads seldom meet; one reader
// collects. What could not be delivered is kept and merged into the next report. Bounded: beyond
// kRowsMax different rows, and beyond kContextsMax contexts, a row's context becomes "other". Thread-safe.
#pragma once

#include <array>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "flag/report.h"
#include "poundlock/outcome.h"

namespace poundlock::client {

class Recorder {
 public:
  static constexpr std::size_t kRowsMax = 200;  // of each kind in each shard; keeps a report under its 1 MiB

  // An application that puts something of each request into `context` would otherwise give the server a
  // series for each. Those that were not seen for kForgetAfter reports make room for new ones.
  static constexpr std::size_t kContextsMax = 64;
  static constexpr std::uint64_t kForgetAfter = 600;

  struct PathKey {
    std::string flag;
    std::string path;
    Side side = Side::kLegacy;
    bool write = false;
    std::string context;
    auto operator<=>(const PathKey&) const = default;
  };
  struct EvaluationKey {
    std::string flag;
    std::string variant;
    std::string reason;
    std::string context;
    int rule = -1;  // which branch of the targeting rule decided; -1: not known
    auto operator<=>(const EvaluationKey&) const = default;
  };
  enum class Shadow { kEqual, kDifferent, kSkipped };

  void attempt(const PathKey& key, std::uint64_t latency_us, const Failure* failure);
  void fallback(const PathKey& key);
  void user_error(const PathKey& key);
  void evaluations(const EvaluationKey& key, std::uint64_t count);
  void shadow(const std::string& flag, const std::string& path, Shadow what);

  // Moves everything since the last call behind what is still undelivered, and writes all of it into
  // `report`. One thread only.
  void collect(flag::Report& report);
  void delivered();  // forgets what the last collect() wrote

 private:
  struct Tables {
    std::map<PathKey, flag::PathReport> paths;
    std::map<EvaluationKey, std::uint64_t> evaluations;
    std::map<std::pair<std::string, std::string>, flag::ShadowReport> shadow;
  };
  struct alignas(64) Shard {
    std::mutex mutex;
    Tables tables;
  };
  Shard& shard();
  static flag::PathReport& row(Tables& tables, const PathKey& key);
  static std::uint64_t& row(Tables& tables, const EvaluationKey& key);
  static flag::ShadowReport& shadow_row(Tables& tables, std::pair<std::string, std::string> key);
  void merge(const Tables& from);                        // into undelivered_
  const std::string& admit(const std::string& context);  // itself, or "other"

  std::array<Shard, 8> shards_;
  // Touched by the collecting thread only.
  Tables undelivered_;
  std::map<std::string, std::uint64_t> contexts_;  // and in which report each was seen last
  std::uint64_t reports_ = 0;
};

}  // namespace poundlock::client
