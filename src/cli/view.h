// A rollout as `GET /v1/rollouts/NAME` tells it, for people: a whole view for a terminal, and lines for
// whatever changed. Pure; thread-safe apart from LineReporter, which one thread uses.
#pragma once

#include <boost/json/object.hpp>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cli/colour.h"

namespace poundlock::cli {

struct Look {
  Paint paint;
  int width = 0;  // 0: unknown
  bool utf8 = false;
};

std::vector<std::string> view_lines(const boost::json::object& view, const Look& look);

// The gate table alone; "" where no gate is judged.
std::string gate_table(const boost::json::object& view, const Look& look, int indent);

// How a wait for the rollout's end ends: 0 done, 1 rolled back, aborted or paused, 4 no longer driven by
// this server; nullopt: it is still under way.
std::optional<int> verdict_of(const boost::json::object& view);
// Why, in one line.
std::string verdict_text(const boost::json::object& view);

// Says what changed since the last view, one line each, nothing where nothing did.
class LineReporter {
 public:
  explicit LineReporter(const Look& look) : look_(look) {}
  std::vector<std::string> update(const boost::json::object& view);

 private:
  void gates(const boost::json::object& view, std::vector<std::string>& out);
  void progress(const boost::json::object& view, std::vector<std::string>& out);
  Look look_;
  std::string headline_;
  std::string notes_;  // what is being waited for, pause reason, trouble
  std::map<std::string, std::string> verdicts_;
  std::string step_;
  int tenth_ = -1;  // of the step's progress, as last said
  std::size_t rollbacks_ = 0;
  bool first_ = true;
};

}  // namespace poundlock::cli
