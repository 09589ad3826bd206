// SHA-256 by OpenSSL over parts that each carry their length, so that ("ab", "c") and ("a", "bc")
// differ. Not thread-safe; one object, one digest.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace poundlock::store {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;
  Sha256& text(std::string_view part);
  Sha256& number(std::int64_t value);
  std::string finish();  // 32 bytes; "" where OpenSSL failed, which equals no digest

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string to_hex(std::string_view bytes);

}  // namespace poundlock::store
