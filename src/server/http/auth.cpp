#include "server/http/auth.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

namespace poundlock::server {
namespace {

constexpr std::size_t kTokenBytesMax = 1'024;
constexpr char kCrowd[] = "";  // the shared count of addresses beyond peers_max

std::string hex(const unsigned char* bytes, std::size_t size) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (std::size_t i = 0; i < size; ++i) {
    text += kDigits[bytes[i] >> 4];
    text += kDigits[bytes[i] & 15];
  }
  return text;
}

// The scheme's name is case-insensitive (RFC 9110, section 11.1). nullopt: another scheme, which is no token
// of ours: proxies and browsers add `Basic` by themselves.
std::optional<std::string_view> bearer_token(std::string_view authorization) {
  constexpr std::string_view kScheme = "bearer ";
  if (authorization.size() < kScheme.size()) return std::nullopt;
  for (std::size_t i = 0; i < kScheme.size(); ++i) {
    const char c = authorization[i];
    if ((c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c) != kScheme[i]) return std::nullopt;
  }
  authorization.remove_prefix(kScheme.size());
  while (!authorization.empty() && authorization.front() == ' ') authorization.remove_prefix(1);
  return authorization;
}

}  // namespace

Result<std::string> make_admin_token() {
  std::array<unsigned char, 32> bytes{};
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) {
    return fail(internal_error("the system gave no random bytes for the admin token"));
  }
  return "plk_" + hex(bytes.data(), bytes.size());
}

std::string hash_token(std::string_view token) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  SHA256(reinterpret_cast<const unsigned char*>(token.data()), token.size(), digest.data());
  return hex(digest.data(), digest.size());
}

AdminAuth::AdminAuth(std::string token_hash, AuthLimits limits)
    : limits_(limits), token_hash_(std::move(token_hash)) {}

// Hashes are compared, in constant time: neither the token's bytes nor its length show in the timing.
bool AdminAuth::is_token(std::string_view token, std::string_view expected) {
  if (token.empty() || token.size() > kTokenBytesMax) return false;
  const std::string hash = hash_token(token);
  return hash.size() == expected.size() && CRYPTO_memcmp(hash.data(), expected.data(), hash.size()) == 0;
}

AuthVerdict AdminAuth::check(std::string_view authorization, std::string_view address, TimePoint now,
                             std::string_view api_key) {
  const auto bearer = bearer_token(authorization);
  const std::string_view token = bearer.value_or(api_key);
  const std::lock_guard guard(mutex_);
  if (is_token(token, token_hash_)) return AuthVerdict::kAdmin;
  if (is_token(token, application_hash_)) return AuthVerdict::kApplication;
  if (!bearer && api_key.empty()) return AuthVerdict::kMissing;
  Failures& failures = failures_of(address, now);
  if (failures.count >= limits_.failures_max) return AuthVerdict::kLimited;
  ++failures.count;
  return AuthVerdict::kWrong;
}

void AdminAuth::replace(std::string token_hash) {
  const std::lock_guard guard(mutex_);
  token_hash_ = std::move(token_hash);
}

void AdminAuth::set_application(std::string token_hash) {
  const std::lock_guard guard(mutex_);
  application_hash_ = std::move(token_hash);
}

AdminAuth::Failures& AdminAuth::failures_of(std::string_view address, TimePoint now) {
  const auto over = [&](const Failures& failures) { return now - failures.since >= limits_.window; };
  auto found = failures_.find(address);
  if (found == failures_.end()) {
    if (failures_.size() >= limits_.peers_max)
      std::erase_if(failures_, [&](const auto& e) { return over(e.second); });
    if (failures_.size() >= limits_.peers_max) address = kCrowd;
    found = failures_.try_emplace(std::string(address), Failures{0, now}).first;
  }
  if (over(found->second)) found->second = Failures{0, now};
  return found->second;
}

int AdminAuth::retry_after_seconds(std::string_view address, TimePoint now) const {
  const std::lock_guard guard(mutex_);
  auto found = failures_.find(address);
  if (found == failures_.end()) found = failures_.find(std::string_view(kCrowd));
  if (found == failures_.end()) return 1;
  const auto left = limits_.window - (now - found->second.since);
  return static_cast<int>(std::max<std::int64_t>(1, (left.count() + 999) / 1'000));
}

}  // namespace poundlock::server
