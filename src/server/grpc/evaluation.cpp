#include "server/grpc/evaluation.h"

#include <flagd/evaluation/v1/evaluation.pb.h>
#include <flagd/evaluation/v2/evaluation.pb.h>
#include <fmt/format.h>
#include <google/protobuf/struct.pb.h>

#include <cmath>
#include <limits>
#include <utility>

#include "server/bulk_steps.h"
#include "server/grpc/struct_json.h"

namespace poundlock::server {
namespace {

namespace bj = boost::json;
namespace v1 = flagd::evaluation::v1;
namespace v2 = flagd::evaluation::v2;
using flag::VariantType;

GrpcCode code_of(flag::ErrorCode error) {
  switch (error) {
    case flag::ErrorCode::kFlagNotFound: return GrpcCode::kNotFound;
    case flag::ErrorCode::kTypeMismatch:
    case flag::ErrorCode::kInvalidContext: return GrpcCode::kInvalidArgument;
    case flag::ErrorCode::kParseError: return GrpcCode::kDataLoss;
    default: return GrpcCode::kUnknown;
  }
}

std::string_view context_class(const bj::object& context) {
  const auto* value = context.if_contains("context");
  return value && value->is_string() ? std::string_view(value->get_string()) : std::string_view();
}

// As deep as a context may be over OFREP. What lies deeper would read as null, and a rule that asks for it
// would answer as for somebody who lacks it.
constexpr int kContextLevelsMax = 32;
constexpr const char* kTooDeep = "the context is nested deeper than 32 levels (INVALID_CONTEXT)";

template <typename Items>
bool is_deeper(const Items& items, int levels);

bool is_deeper(const google::protobuf::Value& value, int levels) {
  if (value.has_struct_value()) return is_deeper(value.struct_value().fields(), levels - 1);
  return value.has_list_value() && is_deeper(value.list_value().values(), levels - 1);
}

template <typename Items>
bool is_deeper(const Items& items, int levels) {
  if (levels < 1) return true;
  for (const auto& item : items) {
    if constexpr (requires { item.second; }) {
      if (is_deeper(item.second, levels)) return true;
    } else if (is_deeper(item, levels)) {
      return true;
    }
  }
  return false;
}

bj::object merged_context(const google::protobuf::Struct& given, const bj::object& overlay) {
  bj::object out = to_json(given);
  for (const auto& [key, value] : overlay) out[key] = value;
  return out;
}

flag::Resolution evaluate_counted(const EvaluationCall& call, const flag::CompiledFlag& flag,
                                  const bj::object& context, std::int64_t* steps_left = nullptr) {
  const auto out = call.snapshot.evaluate(flag, flag::JsonAttributes(context), call.now_s, steps_left);
  if (call.evaluations)
    call.evaluations->count(flag.key, out.variant ? out.variant->name : "", flag::to_string(out.reason),
                            context_class(context), out.branch);
  return out;
}

// Toward zero, as flagd's conversion does; beyond the range the nearest end of it.
std::int64_t whole(double number) {
  constexpr double kEnd = 9223372036854775808.0;  // 2^63
  if (std::isnan(number)) return 0;
  if (number >= kEnd) return std::numeric_limits<std::int64_t>::max();
  if (number < -kEnd) return std::numeric_limits<std::int64_t>::min();
  return static_cast<std::int64_t>(number);
}

void set_value(v2::ResolveBooleanResponse& out, const flag::Variant& variant) {
  out.set_value(variant.value.as_bool());
}
void set_value(v2::ResolveStringResponse& out, const flag::Variant& variant) {
  out.set_value(std::string(variant.value.as_string()));
}
void set_value(v2::ResolveFloatResponse& out, const flag::Variant& variant) {
  out.set_value(variant.value.as_number());
}
void set_value(v2::ResolveIntResponse& out, const flag::Variant& variant) {
  out.set_value(whole(variant.value.as_number()));
}
void set_value(v2::ResolveObjectResponse& out, const flag::Variant& variant) {
  to_struct(variant.json.get_object(), *out.mutable_value());
}

// flagd's object is a map: a variant that is a list has no place in the answer.
bool is_list(const flag::Resolution& answer) {
  return answer.variant && answer.variant->json.is_array();
}

template <typename Response>
GrpcReply resolve(const EvaluationCall& call, VariantType wanted) {
  v2::ResolveBooleanRequest request;  // those of the other types are the same
  if (!request.ParseFromArray(call.request.data(), static_cast<int>(call.request.size())))
    return grpc_failure(GrpcCode::kInvalidArgument, "the request is no well-formed message");
  const flag::CompiledFlag* flag = call.snapshot.find(request.flag_key());
  if (!flag) return grpc_failure(GrpcCode::kNotFound, fmt::format("flag not found: {}", request.flag_key()));
  if (is_deeper(request.context().fields(), kContextLevelsMax))
    return grpc_failure(GrpcCode::kInvalidArgument, kTooDeep);
  const bj::object context = merged_context(request.context(), call.overlay);
  auto answer = evaluate_counted(call, *flag, context);
  if (answer.variant) answer = flag::expect_type(answer, wanted);  // a disabled flag is of every type
  if (answer.reason == flag::Reason::kError)
    return grpc_failure(code_of(answer.error),
                        fmt::format("{} ({})", answer.error_text, to_string(answer.error)));
  if (is_list(answer))
    return grpc_failure(GrpcCode::kInvalidArgument, "the variant is a list (TYPE_MISMATCH)");
  if (!answer.variant && answer.reason != flag::Reason::kDisabled && call.version == 1)
    return grpc_failure(GrpcCode::kNotFound, fmt::format("flag {} has no default variant", flag->key));
  Response out;
  out.set_reason(flag::to_string(answer.reason));
  if (answer.variant) {
    set_value(out, *answer.variant);
    out.set_variant(answer.variant->name);
  }
  to_struct(flag->metadata, *out.mutable_metadata());
  return {GrpcCode::kOk, {}, out.SerializeAsString()};
}

void set_value(v1::AnyFlag& out, const flag::CompiledFlag& flag, const flag::Variant& variant) {
  switch (flag.type) {
    case VariantType::kBool: out.set_bool_value(variant.value.as_bool()); break;
    case VariantType::kString: out.set_string_value(std::string(variant.value.as_string())); break;
    case VariantType::kNumber: out.set_double_value(variant.value.as_number()); break;
    case VariantType::kObject: to_struct(variant.json.get_object(), *out.mutable_object_value()); break;
  }
}

// A flag that has no value for this context (disabled, in error, without a default) is left out: a client
// would read the absent value as false or "", where the caller's own default has to hold.
GrpcReply resolve_all(const EvaluationCall& call) {
  v1::ResolveAllRequest request;
  if (!request.ParseFromArray(call.request.data(), static_cast<int>(call.request.size())))
    return grpc_failure(GrpcCode::kInvalidArgument, "the request is no well-formed message");
  if (is_deeper(request.context().fields(), kContextLevelsMax))
    return grpc_failure(GrpcCode::kInvalidArgument, kTooDeep);
  const bj::object context = merged_context(request.context(), call.overlay);
  std::int64_t steps_left = kBulkStepsMax;
  v1::ResolveAllResponse out;
  for (const flag::CompiledFlag* flag : call.snapshot.flags()) {
    const auto answer = evaluate_counted(call, *flag, context, &steps_left);
    if (!answer.variant || is_list(answer)) continue;
    v1::AnyFlag& any = (*out.mutable_flags())[flag->key];
    any.set_reason(flag::to_string(answer.reason));
    any.set_variant(answer.variant->name);
    set_value(any, *flag, *answer.variant);
    to_struct(flag->metadata, *any.mutable_metadata());
  }
  bj::object metadata = call.snapshot.metadata();
  for (const char* ours : {"epoch", "revision"}) metadata.erase(ours);
  to_struct(metadata, *out.mutable_metadata());
  return {GrpcCode::kOk, {}, out.SerializeAsString()};
}

}  // namespace

GrpcReply evaluate(const EvaluationCall& call) {
  if (call.method == "ResolveBoolean") return resolve<v2::ResolveBooleanResponse>(call, VariantType::kBool);
  if (call.method == "ResolveString") return resolve<v2::ResolveStringResponse>(call, VariantType::kString);
  if (call.method == "ResolveFloat") return resolve<v2::ResolveFloatResponse>(call, VariantType::kNumber);
  if (call.method == "ResolveInt") return resolve<v2::ResolveIntResponse>(call, VariantType::kNumber);
  if (call.method == "ResolveObject") return resolve<v2::ResolveObjectResponse>(call, VariantType::kObject);
  if (call.method == "ResolveAll" && call.version == 1) return resolve_all(call);
  return grpc_failure(GrpcCode::kUnimplemented, fmt::format("no method {}", call.method));
}

}  // namespace poundlock::server
