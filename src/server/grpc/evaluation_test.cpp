// flagd.evaluation without a connection: values, codes, and requests that nobody should send.
#include "server/grpc/evaluation.h"

#include <flagd/evaluation/v1/evaluation.pb.h>
#include <flagd/evaluation/v2/evaluation.pb.h>
#include <gmock/gmock.h>

#include <boost/json.hpp>

#include "server/grpc/struct_json.h"

namespace poundlock::server {
namespace {

namespace bj = boost::json;
namespace v1 = flagd::evaluation::v1;
namespace v2 = flagd::evaluation::v2;

constexpr const char* kFlags = R"({"flags": {
  "yes": {"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "on",
          "metadata": {"team": "shop", "level": 3}},
  "no": {"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "off"},
  "text": {"state": "ENABLED", "variants": {"a": "größer", "b": ""}, "defaultVariant": "a",
           "targeting": {"if": [{"==": [{"var": "context"}, "internal"]}, "b", null]}},
  "number": {"state": "ENABLED", "variants": {"half": -2.5, "huge": 1e300}, "defaultVariant": "half",
             "targeting": {"var": "size"}},
  "object": {"state": "ENABLED", "variants": {"o": {"a": [1, "x", null, true], "b": {"c": 2}}, "l": [1]},
             "defaultVariant": "o", "targeting": {"if": [{"var": "list"}, "l", null]}},
  "disabled": {"state": "DISABLED", "variants": {"on": true}, "defaultVariant": "on"},
  "bare": {"state": "ENABLED", "variants": {"on": true}, "defaultVariant": null},
  "broken": {"state": "ENABLED", "variants": {"on": true}, "defaultVariant": "on",
             "targeting": {"nosuch": []}},
  "astray": {"state": "ENABLED", "variants": {"on": true}, "defaultVariant": "on",
             "targeting": {"cat": "z"}}}})";

class EvaluationTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto compiled = flag::Snapshot::compile(kFlags, "flags");
    ASSERT_TRUE(compiled) << compiled.error().to_string();
    snapshot_ = *compiled;
  }
  static std::string request(std::string_view key, const char* context = "{}") {
    v2::ResolveBooleanRequest out;
    out.set_flag_key(std::string(key));
    to_struct(bj::parse(context).as_object(), *out.mutable_context());
    return out.SerializeAsString();
  }
  GrpcReply call(std::string_view method, const std::string& bytes, int version = 2) {
    return evaluate({*snapshot_, version, method, bytes, overlay_, 0, &log_});
  }
  template <typename Response>
  Response ok(std::string_view method, std::string_view key, const char* context = "{}", int version = 2) {
    const auto reply = call(method, request(key, context), version);
    EXPECT_EQ(reply.code, GrpcCode::kOk) << reply.text;
    Response out;
    EXPECT_TRUE(out.ParseFromString(reply.bytes));
    return out;
  }
  GrpcCode code(std::string_view method, std::string_view key, int version = 2, const char* context = "{}") {
    return call(method, request(key, context), version).code;
  }

  std::shared_ptr<const flag::Snapshot> snapshot_;
  bj::object overlay_;
  telemetry::EvaluationLog log_;
};

TEST_F(EvaluationTest, AnswersEveryType) {
  const auto yes = ok<v2::ResolveBooleanResponse>("ResolveBoolean", "yes");
  EXPECT_TRUE(yes.value());
  EXPECT_EQ(yes.variant(), "on");
  EXPECT_EQ(yes.reason(), "STATIC");
  EXPECT_EQ(bj::serialize(to_json(yes.metadata()).at("team")), R"("shop")");
  EXPECT_EQ(to_json(yes.metadata()).at("level").as_double(), 3.0);
  EXPECT_EQ(ok<v2::ResolveStringResponse>("ResolveString", "text").value(), "größer");
  EXPECT_EQ(ok<v2::ResolveFloatResponse>("ResolveFloat", "number").value(), -2.5);
  const auto object = ok<v2::ResolveObjectResponse>("ResolveObject", "object");
  EXPECT_EQ(to_json(object.value()), bj::parse(R"({"a": [1.0, "x", null, true], "b": {"c": 2.0}})"));
}

TEST_F(EvaluationTest, AValueThatIsFalseOrEmptyIsThereAllTheSame) {
  EXPECT_TRUE(ok<v2::ResolveBooleanResponse>("ResolveBoolean", "no").has_value());
  const auto empty = ok<v2::ResolveStringResponse>("ResolveString", "text", R"({"context": "internal"})");
  EXPECT_TRUE(empty.has_value());
  EXPECT_EQ(empty.reason(), "TARGETING_MATCH");
}

TEST_F(EvaluationTest, VersionOneReadsTheSameBytes) {
  const auto text = ok<v1::ResolveStringResponse>("ResolveString", "text", "{}", 1);
  EXPECT_EQ(text.value(), "größer");
  EXPECT_EQ(text.reason(), "DEFAULT");
  EXPECT_FALSE(ok<v1::ResolveBooleanResponse>("ResolveBoolean", "no", "{}", 1).value());
  EXPECT_EQ(ok<v1::ResolveIntResponse>("ResolveInt", "number", "{}", 1).value(), -2);
}

TEST_F(EvaluationTest, CutsANumberTowardZeroAndHoldsItsRange) {
  EXPECT_EQ(ok<v2::ResolveIntResponse>("ResolveInt", "number").value(), -2);
  EXPECT_EQ(ok<v2::ResolveIntResponse>("ResolveInt", "number", R"({"size": "huge"})").value(),
            std::numeric_limits<std::int64_t>::max());
}

TEST_F(EvaluationTest, AbsentValuesAreEachVersionsOwn) {
  for (int version : {1, 2}) {
    const auto off = ok<v2::ResolveBooleanResponse>("ResolveBoolean", "disabled", "{}", version);
    EXPECT_FALSE(off.has_value());
    EXPECT_FALSE(off.has_variant());
    EXPECT_EQ(off.reason(), "DISABLED");
    EXPECT_EQ(code("ResolveString", "disabled", version), GrpcCode::kOk) << "disabled before its type counts";
  }
  const auto bare = ok<v2::ResolveBooleanResponse>("ResolveBoolean", "bare");
  EXPECT_FALSE(bare.has_value());
  EXPECT_EQ(bare.reason(), "DEFAULT");
  EXPECT_EQ(code("ResolveBoolean", "bare", 1), GrpcCode::kNotFound);
}

TEST_F(EvaluationTest, EveryErrorHasItsCode) {
  EXPECT_EQ(code("ResolveBoolean", "nosuch"), GrpcCode::kNotFound);
  EXPECT_EQ(code("ResolveBoolean", "text"), GrpcCode::kInvalidArgument);
  EXPECT_EQ(code("ResolveInt", "yes"), GrpcCode::kInvalidArgument);
  EXPECT_EQ(code("ResolveObject", "object", 2, R"({"list": true})"), GrpcCode::kInvalidArgument);
  EXPECT_EQ(code("ResolveBoolean", "broken"), GrpcCode::kDataLoss);
  EXPECT_EQ(code("ResolveBoolean", "astray"), GrpcCode::kUnknown);
  EXPECT_EQ(code("ResolveNothing", "yes"), GrpcCode::kUnimplemented);
  EXPECT_EQ(code("ResolveAll", "yes"), GrpcCode::kUnimplemented) << "version 2 has none";
}

TEST_F(EvaluationTest, AllAtOnceHoldsWhatHasAValue) {
  v1::ResolveAllRequest all;
  to_struct(bj::parse(R"({"context": "internal"})").as_object(), *all.mutable_context());
  const auto reply = call("ResolveAll", all.SerializeAsString(), 1);
  v1::ResolveAllResponse out;
  ASSERT_TRUE(out.ParseFromString(reply.bytes));
  std::vector<std::string> keys;
  for (const auto& [key, flag] : out.flags()) keys.push_back(key);
  EXPECT_THAT(keys, ::testing::UnorderedElementsAre("yes", "no", "text", "number", "object"));
  EXPECT_EQ(out.flags().at("text").string_value(), "");
  EXPECT_EQ(out.flags().at("text").value_case(), v1::AnyFlag::kStringValue);
  EXPECT_EQ(out.flags().at("number").double_value(), -2.5);
  EXPECT_EQ(out.flags().at("yes").reason(), "STATIC");
}

TEST_F(EvaluationTest, TheServersContextLiesOverTheCallers) {
  overlay_["context"] = "internal";
  EXPECT_EQ(ok<v2::ResolveStringResponse>("ResolveString", "text", R"({"context": "other"})").variant(), "b");
}

TEST_F(EvaluationTest, CountsByFlagVariantReasonAndClass) {
  ok<v2::ResolveStringResponse>("ResolveString", "text", R"({"context": "internal"})");
  ok<v2::ResolveStringResponse>("ResolveString", "text", R"({"context": "internal"})");
  code("ResolveBoolean", "nosuch");
  const auto rows = log_.take();
  ASSERT_EQ(rows.size(), 1U) << "a flag that nobody has is no row: strangers choose its name";
  EXPECT_EQ(rows[0].variant + rows[0].reason + rows[0].context, "bTARGETING_MATCHinternal");
  EXPECT_EQ(rows[0].count, 2U);
}

std::string field(int number, const std::string& bytes) {  // of wire type 2
  std::string out(1, static_cast<char>(number << 3 | 2));
  std::size_t size = bytes.size();
  for (; size > 127; size >>= 7) out += static_cast<char>(size | 128);
  return out + static_cast<char>(size) + bytes;
}

TEST_F(EvaluationTest, RefusesWhatIsNoMessage) {
  std::string deep;  // {"a": {"a": ...}}, ten thousand levels
  for (int level = 0; level < 10'000; ++level) deep = field(1, field(1, "a") + field(2, field(5, deep)));
  const std::string key = field(1, "yes");
  for (const std::string& bad :
       {std::string("\xff\xff\xff"), key.substr(0, 3), field(1, "\xc3\x28"), key + field(2, deep),
        key + field(2, field(1, field(1, "a") + field(2, field(3, "\xff"))))}) {
    EXPECT_EQ(call("ResolveBoolean", bad).code, GrpcCode::kInvalidArgument) << bad.size();
    EXPECT_EQ(call("ResolveAll", field(1, bad), 1).code, GrpcCode::kInvalidArgument) << bad.size();
  }
  EXPECT_EQ(call("ResolveBoolean", key).code, GrpcCode::kOk);
  EXPECT_EQ(call("ResolveBoolean", "").code, GrpcCode::kNotFound);
}

// A rule would see null in its place, and answer as for somebody who lacks it.
TEST_F(EvaluationTest, RefusesAContextThatIsTooDeep) {
  const auto context = [](int levels) {  // the context itself is the first
    bj::value value = "deep";
    for (int level = 1; level < levels; ++level) value = bj::array{value};
    return bj::object{{"a", value}};
  };
  const auto ask = [&](int levels) {
    v2::ResolveBooleanRequest one;
    one.set_flag_key("yes");
    to_struct(context(levels), *one.mutable_context());
    return call("ResolveBoolean", one.SerializeAsString());
  };
  EXPECT_EQ(ask(32).code, GrpcCode::kOk);
  EXPECT_EQ(ask(33).code, GrpcCode::kInvalidArgument);
  EXPECT_THAT(ask(40).text, ::testing::HasSubstr("INVALID_CONTEXT"));
  v1::ResolveAllRequest all;
  to_struct(context(33), *all.mutable_context());
  EXPECT_EQ(call("ResolveAll", all.SerializeAsString(), 1).code, GrpcCode::kInvalidArgument);
}

TEST_F(EvaluationTest, AllAtOnceShareOneBudget) {
  bj::object flags;
  const auto slow = bj::parse(R"({"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"off",
      "targeting":{"if":[{"some":[{"var":"l"},{"==":[{"var":""},"no"]}]},"on","off"]}})");
  for (int i = 0; i < 100; ++i) flags["slow" + std::to_string(i)] = slow;
  flags["zz_plain"] = bj::parse(R"({"state":"ENABLED","variants":{"on":true},"defaultVariant":"on"})");
  snapshot_ = *flag::Snapshot::compile(bj::serialize(bj::object{{"flags", flags}}), "flags");
  v1::ResolveAllRequest all;
  to_struct({{"l", bj::array(50'000, "x")}}, *all.mutable_context());
  v1::ResolveAllResponse out;
  ASSERT_TRUE(out.ParseFromString(call("ResolveAll", all.SerializeAsString(), 1).bytes));
  EXPECT_GT(out.flags().size(), 5u);
  EXPECT_LT(out.flags().size(), 50u) << "the others failed: they would take seconds together";
  EXPECT_TRUE(out.flags().contains("zz_plain"));
}

}  // namespace
}  // namespace poundlock::server
