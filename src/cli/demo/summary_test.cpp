// The demo's last line, and the script with which a kept demo is ended.
#include "cli/demo/summary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "cli/demo/keep.h"

namespace poundlock::cli {
namespace {

namespace bj = boost::json;
using testing::HasSubstr;

std::string line(bool ok, std::size_t rollbacks) {
  bj::array list;
  for (std::size_t i = 0; i < rollbacks; ++i) list.push_back(bj::object{});
  return verdict_line({{"ok", ok}, {"rollbacks", std::move(list)}});
}

TEST(DemoSummary, TheLastLineClaimsNoRollbackThatWasNot) {
  EXPECT_EQ(line(true, 0), "ok: forward and finished, nothing rolled back; nothing lost");
  EXPECT_EQ(line(true, 1), "ok: forward, back by itself once, forward again and finished; nothing lost");
  EXPECT_EQ(line(true, 2), "ok: forward, back by itself twice, forward again and finished; nothing lost");
  EXPECT_EQ(line(false, 2), "NOT ok");
}

TEST(DemoKeep, TheStopScriptQuotesWhatItRemoves) {
  const std::string script = stop_script({"/tmp/it's", "/tmp/pg 1", 41, -1});
  EXPECT_THAT(script, HasSubstr("directory='/tmp/it'\\''s'\n"));
  EXPECT_THAT(script, HasSubstr("cluster='/tmp/pg 1'\n"));
  EXPECT_THAT(script, HasSubstr("stop orders_app -1 TERM"));
  EXPECT_THAT(script, HasSubstr("stop poundlockd 41 TERM"));
}

}  // namespace
}  // namespace poundlock::cli
