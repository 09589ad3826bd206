#include "server/grpc/endpoint.h"

#include <flagd/sync/v1/sync.pb.h>
#include <fmt/format.h>
#include <grpcpp/support/byte_buffer.h>

#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "server/grpc/evaluation.h"
#include "server/grpc/struct_json.h"

namespace poundlock::server {
namespace {

namespace sync_v1 = flagd::sync::v1;

constexpr std::string_view kSyncV1 = "flagd.sync.v1";
constexpr std::size_t kNameBytesMax = 128;  // of what a reader says about itself

grpc::Status status_of(const GrpcReply& reply) {
  return grpc::Status(static_cast<grpc::StatusCode>(reply.code), reply.text);
}

std::optional<std::string> contiguous(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  if (!buffer.Dump(&slices).ok()) return std::nullopt;
  std::string out;
  out.reserve(buffer.Length());
  for (const auto& slice : slices) out.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return out;
}

// Refers to `message` and copies nothing: thousands of streams send the same one.
grpc::ByteBuffer shared_buffer(const Payload& message) {
  auto* held = new Payload(message);
  const grpc::Slice slice(
      const_cast<char*>(message->data()), message->size(),
      [](void* user) { delete static_cast<Payload*>(user); }, held);
  return grpc::ByteBuffer(&slice, 1);
}

struct Method {
  std::string_view service;  // "flagd.evaluation.v1"; empty: none of ours
  std::string_view name;     // "ResolveBoolean"
};

Method parse_method(std::string_view path) {
  for (const auto& [prefix, service] :
       {std::pair<std::string_view, std::string_view>{"/flagd.sync.v1.FlagSyncService/", kSyncV1},
        {"/flagd.evaluation.v1.Service/", "flagd.evaluation.v1"},
        {"/flagd.evaluation.v2.Service/", "flagd.evaluation.v2"},
        {"/grpc.health.v1.Health/", "grpc.health.v1"}}) {
    if (path.starts_with(prefix)) return {service, path.substr(prefix.size())};
  }
  return {};
}

// The sink's way to the reactor, which ends with the call; the hub may still hold the sink then, and does
// not use it: it has finished it, or was told that it is gone.
class Call final : public grpc::ServerGenericBidiReactor {
 public:
  Call(EndpointParts& parts, Serves serves, grpc::GenericCallbackServerContext& context)
      : parts_(parts), context_(context), path_(context.method()), method_(parse_method(path_)) {
    const bool over = parts_.calls.fetch_add(1) >= parts_.options.limits.calls_max;
    if (over) {
      end(grpc_failure(GrpcCode::kResourceExhausted, "the server has as many calls as it takes"));
    } else if (!is_served(serves)) {
      end(grpc_failure(GrpcCode::kUnimplemented, fmt::format("no method {} on this address", path_)));
    } else if (method_.service != "grpc.health.v1" && !is_allowed()) {
      end(grpc_failure(GrpcCode::kUnauthenticated,
                       "a token is needed: authorization: Bearer TOKEN, or x-api-key: TOKEN"));
    } else {
      StartRead(&in_);
    }
  }

  void OnReadDone(bool ok) override {
    if (ended_) return;
    const auto request = ok ? contiguous(in_) : std::nullopt;
    in_.Clear();
    if (!request) return end(grpc_failure(GrpcCode::kInvalidArgument, "the call brought no message"));
    if (method_.name == "SyncFlags" || method_.name == "EventStream") return open_stream(*request);
    GrpcReply reply = answer(*request);
    if (reply.code != GrpcCode::kOk) return end(reply);
    out_ = shared_buffer(std::make_shared<const std::string>(std::move(reply.bytes)));
    ended_ = true;
    StartWriteAndFinish(&out_, grpc::WriteOptions(), grpc::Status::OK);
  }

  void OnWriteDone(bool ok) override {
    if (id_ != 0) parts_.hub.written(id_, ok);
  }

  void OnCancel() override {
    std::lock_guard lock(mutex_);
    cancelled_ = true;
    // Before a stream is opened, the read that is under way ends and with it the call.
    if (streaming_ && parts_.hub.gone(id_)) Finish(grpc::Status::CANCELLED);
  }

  void OnDone() override {
    parts_.calls.fetch_sub(1);
    delete this;
  }

 private:
  class Sink final : public StreamSink {
   public:
    explicit Sink(Call& call) : call_(call) {}
    void write(const Payload& message) override {
      call_.out_ = shared_buffer(message);
      call_.StartWrite(&call_.out_);
    }
    void finish(GrpcCode code, const std::string& text) override {
      call_.Finish(status_of(grpc_failure(code, text)));
    }
    void cancel() override { call_.context_.TryCancel(); }

   private:
    Call& call_;
  };

  void end(const GrpcReply& reply) {
    ended_ = true;
    Finish(status_of(reply));
  }

  bool is_served(Serves serves) const {
    if (method_.service == "grpc.health.v1") return method_.name == "Check";
    if (method_.service == kSyncV1)
      return serves == Serves::kSync && (method_.name == "SyncFlags" || method_.name == "FetchAllFlags" ||
                                         method_.name == "GetMetadata");
    return !method_.service.empty() && serves == Serves::kEvaluation;
  }

  std::string_view header(const std::string& name) const {
    const auto& all = context_.client_metadata();
    const auto found = all.find(name);
    return found == all.end() ? std::string_view()
                              : std::string_view(found->second.data(), found->second.size());
  }

  bool is_allowed() const {
    return !parts_.options.accept_token || !parts_.options.token_needed || has_token();
  }

  bool has_token() const {
    const auto& accept = parts_.options.accept_token;
    if (!accept) return false;
    constexpr std::string_view kBearer = "Bearer ";
    const std::string_view authorization = header("authorization"), key = header("x-api-key");
    if (authorization.starts_with(kBearer)) return accept(authorization.substr(kBearer.size()));
    return !key.empty() && accept(key);
  }

  // The header wins over the request's own field.
  Result<Selector> selector(const std::string& field) const {
    const std::string_view given = header("flagd-selector");
    return Selector::parse(given.empty() ? std::string_view(field) : given);
  }

  boost::json::object overlay() const {
    boost::json::object out = parts_.options.static_context;
    for (const auto& [name, attribute] : parts_.options.header_to_context) {
      const std::string_view value = header(name);
      if (!value.empty()) out[attribute] = value;
    }
    return out;
  }

  StreamInfo info(const std::string& provider) const {
    const auto shown = [&](const char* name, const std::string& otherwise) {
      const std::string_view given = header(name);
      return std::string((given.empty() ? std::string_view(otherwise) : given).substr(0, kNameBytesMax));
    };
    StreamInfo out;
    out.protocol = std::string(method_.service);
    out.address = context_.peer();
    out.service = shown("poundlock-service", provider);
    out.instance = shown("poundlock-instance", out.address);
    out.build = shown("poundlock-build", "");
    out.vouched = is_this_machine(out.address) || has_token();
    return out;
  }

  void open_stream(const std::string& request) {
    sync_v1::SyncFlagsRequest message;  // of EventStream it is empty
    if (!message.ParseFromString(request))
      return end(grpc_failure(GrpcCode::kInvalidArgument, "the request is no well-formed message"));
    const auto chosen = selector(message.selector());
    if (!chosen) return end(grpc_failure(GrpcCode::kInvalidArgument, chosen.error().to_string()));
    std::lock_guard lock(mutex_);
    if (cancelled_) return end(grpc_failure(GrpcCode::kCancelled, "the caller left"));
    StreamInfo reader = info(message.provider_id());
    reader.id = id_ = parts_.hub.next_id();
    const auto kind = method_.service == kSyncV1 ? StreamKind::kSync : StreamKind::kEvents;
    const GrpcReply opened = parts_.hub.open(kind, *chosen, std::move(reader), std::make_shared<Sink>(*this));
    if (opened.code != GrpcCode::kOk) return end(opened);
    streaming_ = true;
  }

  GrpcReply answer(const std::string& request) const {
    if (method_.service == "grpc.health.v1") return {GrpcCode::kOk, {}, std::string("\x08\x01")};  // SERVING
    if (method_.service == kSyncV1) return answer_sync(request);
    const auto chosen = selector("");
    if (!chosen) return grpc_failure(GrpcCode::kInvalidArgument, chosen.error().to_string());
    const auto view = parts_.hub.select(*chosen);
    if (!view) return grpc_failure(GrpcCode::kResourceExhausted, view.error().to_string());
    const int version = method_.service.ends_with("v1") ? 1 : 2;
    return evaluate({*(*view)->snapshot, version, method_.name, request, overlay(),
                     parts_.clock.now().ms / 1000, parts_.options.evaluations});
  }

  GrpcReply answer_sync(const std::string& request) const {
    if (method_.name == "GetMetadata") {
      sync_v1::GetMetadataResponse out;
      to_struct(parts_.options.static_context, *out.mutable_metadata());
      return {GrpcCode::kOk, {}, out.SerializeAsString()};
    }
    sync_v1::FetchAllFlagsRequest message;
    if (!message.ParseFromString(request))
      return grpc_failure(GrpcCode::kInvalidArgument, "the request is no well-formed message");
    const auto chosen = selector(message.selector());
    if (!chosen) return grpc_failure(GrpcCode::kInvalidArgument, chosen.error().to_string());
    const auto view = parts_.hub.select(*chosen);
    if (!view) return grpc_failure(GrpcCode::kResourceExhausted, view.error().to_string());
    sync_v1::FetchAllFlagsResponse out;
    out.set_flag_configuration((*view)->flagd);
    return {GrpcCode::kOk, {}, out.SerializeAsString()};
  }

  EndpointParts& parts_;
  grpc::GenericCallbackServerContext& context_;
  const std::string path_;
  const Method method_;
  grpc::ByteBuffer in_, out_;
  bool ended_ = false;    // Finish was called by the constructor or the read's end, and only there
  std::uint64_t id_ = 0;  // of the stream; written before the hub knows this call
  std::mutex mutex_;      // between opening a stream and its cancellation
  bool streaming_ = false;
  bool cancelled_ = false;
};

}  // namespace

bool is_this_machine(std::string_view peer) {
  return peer.starts_with("ipv4:127.") || peer.starts_with("ipv6:%5B::1%5D:") ||
         peer.starts_with("ipv6:[::1]:") || peer.starts_with("ipv6:[::ffff:127.") ||
         peer.starts_with("ipv6:%5B::ffff:127.");
}

grpc::ServerGenericBidiReactor* Endpoint::CreateReactor(grpc::GenericCallbackServerContext* context) {
  return new Call(parts_, serves_, *context);
}

}  // namespace poundlock::server
