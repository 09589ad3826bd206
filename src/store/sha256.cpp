#include "store/sha256.h"

#include <openssl/evp.h>

#include <array>

namespace poundlock::store {

struct Sha256::State {
  EVP_MD_CTX* context = nullptr;
  bool good = false;

  void add(const void* data, std::size_t size) {
    if (good) good = EVP_DigestUpdate(context, data, size) == 1;
  }
  void add_number(std::uint64_t value) {
    std::array<unsigned char, 8> bytes{};
    for (std::size_t i = 0; i < bytes.size(); ++i)
      bytes[i] = static_cast<unsigned char>(value >> (56 - 8 * i));
    add(bytes.data(), bytes.size());
  }
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  state_->context = EVP_MD_CTX_new();
  state_->good = state_->context != nullptr && EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr) == 1;
}

Sha256::~Sha256() {
  EVP_MD_CTX_free(state_->context);
}

Sha256& Sha256::text(std::string_view part) {
  state_->add_number(part.size());
  state_->add(part.data(), part.size());
  return *this;
}

Sha256& Sha256::number(std::int64_t value) {
  state_->add_number(static_cast<std::uint64_t>(value));
  return *this;
}

std::string Sha256::finish() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  if (!state_->good || EVP_DigestFinal_ex(state_->context, digest.data(), &size) != 1) return {};
  state_->good = false;
  return std::string(reinterpret_cast<const char*>(digest.data()), size);
}

std::string to_hex(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

}  // namespace poundlock::store
