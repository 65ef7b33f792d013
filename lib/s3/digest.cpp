#include "s3/digest.hpp"

#include <openssl/evp.h>

#include <array>

#include "base/assert.hpp"

namespace tarn::s3 {

struct Digest::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  std::array<unsigned char, EVP_MAX_MD_SIZE> value{};
  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { EVP_MD_CTX_free(context); }

  std::span<const unsigned char> finish() {
    unsigned size = 0;
    const int ok = EVP_DigestFinal_ex(context, value.data(), &size);
    TARN_ASSERT(ok == 1);
    return {value.data(), size};
  }
};

Digest::Digest(DigestKind kind) : state_(std::make_unique<State>()) {
  const EVP_MD* algorithm = kind == DigestKind::md5 ? EVP_md5() : kind == DigestKind::sha1 ? EVP_sha1() : EVP_sha256();
  const int ok = state_->context != nullptr ? EVP_DigestInit_ex(state_->context, algorithm, nullptr) : 0;
  TARN_ASSERT(ok == 1);
}

Digest::~Digest() = default;

void Digest::update(std::span<const std::byte> bytes) {
  const int ok = EVP_DigestUpdate(state_->context, bytes.data(), bytes.size());
  TARN_ASSERT(ok == 1);
}

std::string Digest::base64() {
  const auto value = state_->finish();
  std::string text((value.size() + 2) / 3 * 4 + 1, '\0');
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), value.data(), static_cast<int>(value.size()));
  text.resize(static_cast<std::size_t>(size));
  return text;
}

std::string Digest::hex() {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : state_->finish()) {
    text.push_back(kDigits[byte >> 4]);
    text.push_back(kDigits[byte & 15]);
  }
  return text;
}

}  // namespace tarn::s3
