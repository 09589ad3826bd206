// The demo's course: it gives the orders that a person would give, injects a fault into the new path twice
// and watches. It decides nothing that Poundlock decides. One thread.
#pragma once

#include <boost/json/object.hpp>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "cli/api.h"
#include "cli/demo/world.h"
#include "cli/view.h"

namespace poundlock::cli {

struct FaultRecord {
  std::string fault;  // "slow", "fail"
  std::string cause;  // the gate that caught it
  std::string reason;
  double detected_ms = 0;   // from the injection to the rollback's beginning
  double effective_ms = 0;  // from there until every reader had applied it
  std::uint64_t lost_writes = 0;
};

struct Story {
  std::vector<std::pair<std::string, double>> phases;  // seconds in each
  std::vector<FaultRecord> faults;
  std::map<std::string, boost::json::object> gates;   // newest reading of each that was not a hold
  boost::json::object backfill, verify;               // figures of the steps
  std::uint64_t verified_rows = 0, mismatches = 0;    // of the last verification before the drop
  std::uint64_t lost_writes = 0, journaled_rows = 0;  // at the end
  std::uint64_t excluded_reads_new = 0;               // until the exclusion was released
  std::string first_loss;
  std::string mode;  // how the rollout ended
};

class Teller {
 public:
  using Show = std::function<void(const boost::json::object& view)>;
  using Say = std::function<void(const std::string& line)>;
  using Stop = std::function<bool()>;
  Teller(Context& context, World& world, const DemoOptions& options, Show show, Say say, Stop stopped)
      : context_(context),
        world_(world),
        options_(options),
        show_(std::move(show)),
        say_(std::move(say)),
        stopped_(std::move(stopped)) {}
  // An error when it cannot go on; a rollout that ends otherwise than done is in the story.
  Result<Story> tell();

 private:
  Status begin(Api& api);
  Status react(Api& api, const boost::json::object& view);
  Status at_exposure(const boost::json::object& view, const std::string& item);
  Status rolled_back(Api& api, const boost::json::object& view);
  Status approve(Api& api, const std::string& what);
  Status order(Api& api, const std::string& verb, const std::string& subject, const std::string& why);
  Status wait_without_faults();
  Status final_verify();
  Status finish();
  void keep_figures(const boost::json::object& view);
  void count_time(const std::string& phase);

  Context& context_;
  World& world_;
  const DemoOptions options_;
  Show show_;
  Say say_;
  Stop stopped_;
  Story story_;
  TimePoint phase_since_;
  std::string fault_;      // injected now
  TimePoint injected_at_;  // wall clock, as the server's
  bool slow_done_ = false, fail_done_ = false, released_ = false, new_build_ = false;
};

}  // namespace poundlock::cli
