#include "base/hash.hpp"

#include <cstring>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/hash_kernels.hpp"

namespace tarn::base {

namespace {

const HashKernels& kernels() noexcept {
#ifdef TARN_HASH_AVX2
  static const bool has_avx2 = __builtin_cpu_supports("avx2") != 0;
  if (has_avx2) return kAvx2HashKernels;
#endif
  return kPlainHashKernels;
}

Checksum canonical(XXH128_hash_t hash) noexcept {
  XXH128_canonical_t bytes;
  XXH128_canonicalFromHash(&bytes, hash);
  Checksum result;
  static_assert(sizeof(bytes.digest) == std::tuple_size_v<Checksum>);
  std::memcpy(result.data(), bytes.digest, result.size());
  return result;
}

int hex_value(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

Checksum xxh3_128(std::span<const std::byte> bytes) noexcept {
  const Hash128 hash = kernels().hash_128(bytes.data(), bytes.size());
  return canonical({hash.low, hash.high});
}

std::uint64_t xxh3_64(std::span<const std::byte> bytes, std::uint64_t seed) noexcept {
  return kernels().hash_64(bytes.data(), bytes.size(), seed);
}

std::uint64_t xxh3_64(std::string_view text, std::uint64_t seed) noexcept {
  return kernels().hash_64(text.data(), text.size(), seed);
}

struct ChecksumStream::State {
  XXH3_state_t xxh;
};

ChecksumStream::ChecksumStream() : state_(std::make_unique<State>()) {
  reset();
}
ChecksumStream::~ChecksumStream() = default;
ChecksumStream::ChecksumStream(ChecksumStream&&) noexcept = default;
ChecksumStream& ChecksumStream::operator=(ChecksumStream&&) noexcept = default;

void ChecksumStream::update(std::span<const std::byte> bytes) noexcept {
  kernels().update_128(&state_->xxh, bytes.data(), bytes.size());
}

Checksum ChecksumStream::digest() const noexcept {
  return canonical(XXH3_128bits_digest(&state_->xxh));
}

void ChecksumStream::reset() noexcept {
  XXH3_128bits_reset(&state_->xxh);
}

struct HashStream::State {
  XXH3_state_t xxh;
};

HashStream::HashStream() : state_(std::make_unique<State>()) {
  reset();
}
HashStream::~HashStream() = default;
HashStream::HashStream(HashStream&&) noexcept = default;
HashStream& HashStream::operator=(HashStream&&) noexcept = default;

void HashStream::update(std::span<const std::byte> bytes) noexcept {
  kernels().update_64(&state_->xxh, bytes.data(), bytes.size());
}

std::uint64_t HashStream::digest() const noexcept {
  return XXH3_64bits_digest(&state_->xxh);
}

void HashStream::reset(std::uint64_t seed) noexcept {
  XXH3_64bits_reset_withSeed(&state_->xxh, seed);
}

std::string to_hex(const Checksum& checksum) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(checksum.size() * 2);
  for (const std::uint8_t byte : checksum) {
    text.push_back(kDigits[byte >> 4]);
    text.push_back(kDigits[byte & 15]);
  }
  return text;
}

std::optional<Checksum> checksum_from_hex(std::string_view hex) noexcept {
  Checksum checksum;
  if (hex.size() != checksum.size() * 2) return std::nullopt;
  for (std::size_t i = 0; i < checksum.size(); ++i) {
    const int high = hex_value(hex[2 * i]);
    const int low = hex_value(hex[2 * i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    checksum[i] = static_cast<std::uint8_t>(high * 16 + low);
  }
  return checksum;
}

}  // namespace tarn::base
