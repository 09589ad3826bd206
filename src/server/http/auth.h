// The admin token: made at first start, kept as a SHA-256 hash, asked for by every call that changes
// something. It has 256 random bits, so that no amount of guessing finds it; the limit on failed
// attempts keeps noise out of the log and never stands between the rightful admin and a kill. Beside it the
// applications' token, of the same make, which lets them report from other machines and do nothing else.
#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"

namespace poundlock::server {

Result<std::string> make_admin_token();          // "plk_" and 64 hexadecimal digits, from the kernel
std::string hash_token(std::string_view token);  // SHA-256 in hexadecimal, for the store

enum class AuthVerdict {
  kAdmin,
  kApplication,
  kMissing,  // no token: 401
  kWrong,    // 401
  kLimited,  // a wrong one after too many wrong ones: 429
};

struct AuthLimits {
  int failures_max = 10;  // from one address within the window
  Millis window{60'000};
  std::size_t peers_max = 1'024;  // addresses remembered; further ones share one count
};

// Thread-safe.
class AdminAuth {
 public:
  // An empty hash refuses every token.
  explicit AdminAuth(std::string token_hash, AuthLimits limits = {});
  // `authorization` is the header's value ("Bearer TOKEN"), `api_key` that of X-API-Key (the token alone),
  // which counts where the other is absent; `address` is the peer without its port. The right token is
  // answered kAdmin whatever happened before.
  AuthVerdict check(std::string_view authorization, std::string_view address, TimePoint now,
                    std::string_view api_key = {});
  void set_application(std::string token_hash);
  void replace(std::string token_hash);
  int retry_after_seconds(std::string_view address, TimePoint now) const;

 private:
  struct Failures {
    int count = 0;
    TimePoint since;
  };
  static bool is_token(std::string_view token, std::string_view expected);
  Failures& failures_of(std::string_view address, TimePoint now);

  const AuthLimits limits_;
  mutable std::mutex mutex_;
  std::string token_hash_;
  std::string application_hash_;
  std::map<std::string, Failures, std::less<>> failures_;
};

}  // namespace poundlock::server
