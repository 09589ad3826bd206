// Result<T>: a value or an Error. The only way that a fallible call of ours answers; nothing in the
// product throws across a function that returns one.
#pragma once

#include <tl/expected.hpp>
#include <utility>

#include "base/error.h"

namespace poundlock {

template <typename T>
using Result = tl::expected<T, Error>;
using Status = tl::expected<void, Error>;

inline tl::unexpected<Error> fail(Error error) {
  return tl::unexpected<Error>(std::move(error));
}

#define PL_CONCAT_INNER(a, b) a##b
#define PL_CONCAT(a, b) PL_CONCAT_INNER(a, b)
// PL_TRY(auto x, call()): the value of the call, or return its error to our caller.
#define PL_TRY(declaration, ...) PL_TRY_INNER(PL_CONCAT(pl_result_, __LINE__), declaration, __VA_ARGS__)
#define PL_TRY_INNER(name, declaration, ...)                    \
  auto name = __VA_ARGS__;                                      \
  if (!name) return ::poundlock::fail(std::move(name).error()); \
  declaration = std::move(*name)
// PL_CHECK(call()): for a call without a value.
#define PL_CHECK(...)                                                                                       \
  do {                                                                                                      \
    if (auto pl_status = (__VA_ARGS__); !pl_status) return ::poundlock::fail(std::move(pl_status).error()); \
  } while (false)

}  // namespace poundlock
