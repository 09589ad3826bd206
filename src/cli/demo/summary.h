// What the demo has shown, as the JSON object with which it ends and as lines for people.
#pragma once

#include <boost/json/object.hpp>
#include <string>
#include <vector>

#include "cli/demo/story.h"

namespace poundlock::cli {

struct DemoResult {
  Story story;
  AppFigures application;
  double max_stall_ms = 0;
  bool stall_watch_failed = false;
  bool legacy_column_exists = true;
  bool faults_expected = true;
};

// `ok` is computed: errors, mismatches, lost writes and excluded reads 0, legacy column gone, and, where
// faults were injected, both caught.
boost::json::object summary_json(const DemoResult& result);
std::vector<std::string> summary_lines(const boost::json::object& summary);
// The last line: whether it went well, and how often it was rolled back on the way.
std::string verdict_line(const boost::json::object& summary);

}  // namespace poundlock::cli
