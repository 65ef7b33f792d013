// hash.hpp - XXH3: checksums of data (128 bits) and hashes for placement and shuffling (64 bits).
// Level 1 (base). The values go to disk and over the wire: a change moves users' data.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <tarn/object.hpp>

namespace tarn::base {

[[nodiscard]] Checksum xxh3_128(std::span<const std::byte> bytes) noexcept;
[[nodiscard]] std::uint64_t xxh3_64(std::span<const std::byte> bytes, std::uint64_t seed = 0) noexcept;
[[nodiscard]] std::uint64_t xxh3_64(std::string_view text, std::uint64_t seed = 0) noexcept;

/// XXH3-128 of a body that arrives in pieces.
class ChecksumStream {
 public:
  ChecksumStream();
  ~ChecksumStream();
  ChecksumStream(ChecksumStream&&) noexcept;
  ChecksumStream& operator=(ChecksumStream&&) noexcept;
  void update(std::span<const std::byte> bytes) noexcept;
  [[nodiscard]] Checksum digest() const noexcept;
  void reset() noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// XXH3-64 of bytes that arrive in pieces: the same value as xxh3_64 of the whole with the seed of the last reset(), or 0.
class HashStream {
 public:
  HashStream();
  ~HashStream();
  HashStream(HashStream&&) noexcept;
  HashStream& operator=(HashStream&&) noexcept;
  void update(std::span<const std::byte> bytes) noexcept;
  [[nodiscard]] std::uint64_t digest() const noexcept;
  void reset(std::uint64_t seed = 0) noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// 32 lower-case hex digits.
[[nodiscard]] std::string to_hex(const Checksum& checksum);
[[nodiscard]] std::optional<Checksum> checksum_from_hex(std::string_view hex) noexcept;

}  // namespace tarn::base
