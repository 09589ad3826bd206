// The body of an OFREP request, {"context": {...}}, read straight into the values that the evaluator computes
// with: no tree of JSON is built in between. Pure: no transport shows here.
#pragma once

#include <boost/json/object.hpp>
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "flag/attributes.h"

namespace poundlock::server {

// One object reads one body after the other and keeps its memory meanwhile. Not thread-safe.
class EvaluationBody final : public flag::Attributes {
 public:
  static constexpr std::size_t kBytesMax = 1 << 20;
  static constexpr std::size_t kDepthMax = 32;
  static constexpr std::size_t kNodesMax = 100'000;  // values and keys together

  // `fixed` are attributes of the server that outrank those of the body; they outlive this object.
  explicit EvaluationBody(const boost::json::object* fixed = nullptr) : fixed_(fixed) {}

  // Borrows `text` until the next call. An empty body, and one without a context, is an empty context. Of
  // equal keys the last one counts, as in flagd. After an error the context is empty. Errors (kUser):
  // body.size; body.json (no JSON, no object, deeper or more than the limits, a number that no double holds,
  // bytes that are no UTF-8); body.context (the context is no object).
  Status read(std::string_view text);

  flag::Value find(std::string_view key, flag::Scratch& scratch) const override;
  flag::Value all(flag::Scratch& scratch) const override;

 private:
  class Handler;
  static constexpr std::size_t kIndexFrom = 17;  // members from which on a search goes by an index
  flag::Value own(std::string_view key) const;
  void index();

  const boost::json::object* fixed_;
  std::span<const flag::Member> members_;
  std::vector<std::uint32_t> by_key_;
  std::vector<flag::Member> stack_;
  std::byte first_[2'048];
  std::pmr::monotonic_buffer_resource memory_{first_, sizeof first_};
};

}  // namespace poundlock::server
