// Routing, targets, the token and the dates: everything that needs no socket.
#include "server/http/router.h"

#include <gmock/gmock.h>

#include "server/http/auth.h"
#include "server/http/policy.h"
#include "server/http/render.h"

namespace poundlock::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Response nothing(const Request&) {
  return {};
}

std::string matched(const Router& router, std::string_view method, std::string_view path) {
  Request request;
  const auto match = router.match(method, parse_target(path)->segments, request);
  return match.route == nullptr ? "" : match.route->pattern;
}

TEST(Router, TheMostLiteralPatternWinsInAnyOrderOfAdding) {
  for (const bool reversed : {false, true}) {
    std::vector<std::string> patterns{"/a/{x}", "/a/b", "/{y}/b", "/a/{x}/c", "/"};
    if (reversed) std::reverse(patterns.begin(), patterns.end());
    Router router;
    for (const auto& pattern : patterns) router.add("GET", pattern, nothing, Access::kRead);
    ASSERT_TRUE(router.problem());
    EXPECT_EQ(matched(router, "GET", "/a/b"), "/a/b");
    EXPECT_EQ(matched(router, "GET", "/a/z"), "/a/{x}");
    EXPECT_EQ(matched(router, "GET", "/z/b"), "/{y}/b");
    EXPECT_EQ(matched(router, "HEAD", "/a/z/c"), "/a/{x}/c");
    EXPECT_EQ(matched(router, "GET", "/"), "/");
    EXPECT_EQ(matched(router, "GET", "/a"), "");
    EXPECT_EQ(matched(router, "GET", "/a//c"), "");  // an empty segment is no parameter
  }
}

TEST(Router, MistakesAreKept) {
  Router twice;
  twice.add("GET", "/a/{x}", nothing, Access::kRead);
  twice.add("POST", "/a/{x}", nothing, Access::kRead);
  ASSERT_TRUE(twice.problem());
  twice.add("GET", "/a/{y}", nothing, Access::kRead);
  ASSERT_FALSE(twice.problem());
  EXPECT_THAT(twice.problem().error().message, HasSubstr("/a/{y}"));
  Router odd;
  odd.add("GET", "no-slash", nothing, Access::kRead);
  EXPECT_FALSE(odd.problem());
}

TEST(ParseTarget, DecodesPathAndQuery) {
  const auto target = parse_target("/a%20b/c%2Fd/?x=1+2&y=%26&empty&x=3");
  ASSERT_TRUE(target);
  EXPECT_THAT(target->segments, ElementsAre("a b", "c/d"));
  EXPECT_EQ(target->query.at("x"), "3");
  EXPECT_EQ(target->query.at("y"), "&");
  EXPECT_EQ(target->query.at("empty"), "");
  EXPECT_TRUE(parse_target("/")->segments.empty());
  for (const char* bad : {"", "a", "*", "/%", "/%2", "/%g0", "/%0a", "/?a=%00", "http:"}) {
    EXPECT_FALSE(parse_target(bad)) << bad;
  }
}

TEST(AdminAuth, TheRightTokenPassesWhateverHappenedBefore) {
  AdminAuth auth(hash_token("secret"), {2, Millis{1'000}, 2});
  const TimePoint now{10'000};
  EXPECT_EQ(auth.check("", "1.1.1.1", now), AuthVerdict::kMissing);
  EXPECT_EQ(auth.check("Bearer no", "1.1.1.1", now), AuthVerdict::kWrong);
  EXPECT_EQ(auth.check("Bearer no", "1.1.1.1", now), AuthVerdict::kWrong);
  EXPECT_EQ(auth.check("Bearer no", "1.1.1.1", now), AuthVerdict::kLimited);
  EXPECT_EQ(auth.check("Bearer secret", "1.1.1.1", now), AuthVerdict::kAdmin);
  EXPECT_EQ(auth.retry_after_seconds("1.1.1.1", now), 1);
  EXPECT_EQ(auth.check("Bearer no", "2.2.2.2", now), AuthVerdict::kWrong);
  EXPECT_EQ(auth.check("Bearer no", "1.1.1.1", now + Millis{1'000}), AuthVerdict::kWrong);
}

TEST(AdminAuth, TheApplicationsTokenIsNotTheAdmins) {
  AdminAuth auth(hash_token("secret"));
  EXPECT_EQ(auth.check("Bearer app", "a", TimePoint{1}), AuthVerdict::kWrong) << "there is none yet";
  auth.set_application(hash_token("app"));
  EXPECT_EQ(auth.check("Bearer app", "a", TimePoint{1}), AuthVerdict::kApplication);
  EXPECT_EQ(auth.check("Bearer secret", "a", TimePoint{1}), AuthVerdict::kAdmin);
}

TEST(AdminAuth, AnotherSchemeHidesNoKeyAndIsNoWrongToken) {
  AdminAuth auth(hash_token("secret"), {1, Millis{1'000}, 2});
  const TimePoint now{1};
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(auth.check("Basic dTpw", "a", now, "secret"), AuthVerdict::kAdmin);
    EXPECT_EQ(auth.check("Basic dTpw", "a", now), AuthVerdict::kMissing);
  }
  EXPECT_EQ(auth.check("Basic dTpw", "a", now, "no"), AuthVerdict::kWrong);
  EXPECT_EQ(auth.check("Bearer no", "b", now, "secret"), AuthVerdict::kWrong) << "a Bearer comes first";
}

TEST(AdminAuth, ACrowdOfAddressesSharesOneCount) {
  AdminAuth auth(hash_token("secret"), {2, Millis{1'000}, 2});
  int wrong = 0;
  for (int i = 0; i < 100; ++i) {
    wrong += auth.check("Bearer no", "10.0.0." + std::to_string(i), TimePoint{1}) == AuthVerdict::kWrong;
  }
  EXPECT_LE(wrong, 4);
  EXPECT_EQ(auth.check("Bearer secret", "10.0.0.99", TimePoint{1}), AuthVerdict::kAdmin);
}

TEST(AdminAuth, AnEmptyHashRefusesEveryToken) {
  AdminAuth auth("");
  EXPECT_EQ(auth.check("Bearer ", "a", TimePoint{1}), AuthVerdict::kWrong);
  EXPECT_EQ(auth.check("Bearer x", "a", TimePoint{1}), AuthVerdict::kWrong);
  const auto token = make_admin_token().value();
  EXPECT_EQ(token.size(), 68U);
  EXPECT_NE(token, make_admin_token().value());
  auth.replace(hash_token(token));
  EXPECT_EQ(auth.check("Bearer " + token, "a", TimePoint{1}), AuthVerdict::kAdmin);
}

TEST(HttpStatus, FollowsTheDisposition) {
  const auto status = [](Disposition disposition) { return http_status(make_error(disposition, "c", "m")); };
  EXPECT_EQ(status(Disposition::kUser), 400);
  EXPECT_EQ(status(Disposition::kRefused), 409);
  EXPECT_EQ(status(Disposition::kConflict), 409);
  EXPECT_EQ(status(Disposition::kReconnect), 503);
  EXPECT_EQ(status(Disposition::kInDoubt), 503);
  EXPECT_EQ(status(Disposition::kInternal), 500);
  const auto body =
      error_response(make_error(Disposition::kRefused, "gate.failed", "p99").with_hint("wait")).body;
  EXPECT_EQ(body, R"({"error":{"code":"gate.failed","message":"p99","hint":"wait","disposition":"refused"}})"
                  "\n");
}

TEST(HttpDate, IsTheFormOfTheStandard) {
  EXPECT_EQ(http_date(784'111'777), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(http_date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
}

TEST(HostName, DropsPortAndBrackets) {
  EXPECT_EQ(host_name("localhost:80"), "localhost");
  EXPECT_EQ(host_name("[::1]:80"), "::1");
  EXPECT_EQ(host_name("a.example"), "a.example");
}

}  // namespace
}  // namespace poundlock::server
