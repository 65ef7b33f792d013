#include "base/md5.hpp"

#include <openssl/evp.h>

#include "base/assert.hpp"

namespace tarn::base {

std::array<std::uint8_t, 16> md5(std::string_view text) noexcept {
  std::array<std::uint8_t, 16> digest{};
  const int ok = EVP_Digest(text.data(), text.size(), digest.data(), nullptr, EVP_md5(), nullptr);
  TARN_ASSERT(ok == 1);
  return digest;
}

}  // namespace tarn::base
