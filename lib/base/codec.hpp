// codec.hpp - little-endian records for disk and wire, bounds checked on the way in.
// Level 1 (base). Value types; no thread rules.
//
//   u8 u16 u32 u64   fixed width, little endian
//   text, bytes      u32 length, then the bytes
//   varint           LEB128: 7 bits a byte, low ones first; 1 to 10 bytes
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tarn::base {

class Encoder {
 public:
  template <std::unsigned_integral T>
  Encoder& number(T value) {
    for (std::size_t i = 0; i < sizeof(T); ++i) bytes_.push_back(static_cast<std::byte>((value >> (8 * i)) & 0xff));
    return *this;
  }
  Encoder& u8(std::uint8_t v) { return number(v); }
  Encoder& u16(std::uint16_t v) { return number(v); }
  Encoder& u32(std::uint32_t v) { return number(v); }
  Encoder& u64(std::uint64_t v) { return number(v); }
  Encoder& i64(std::int64_t v) { return number(static_cast<std::uint64_t>(v)); }
  Encoder& varint(std::uint64_t v) {
    for (; v >= 0x80; v >>= 7) bytes_.push_back(static_cast<std::byte>(v | 0x80));
    bytes_.push_back(static_cast<std::byte>(v));
    return *this;
  }
  Encoder& raw(std::span<const std::byte> data) {
    bytes_.insert(bytes_.end(), data.begin(), data.end());
    return *this;
  }
  Encoder& text(std::string_view s) {
    u32(static_cast<std::uint32_t>(s.size()));
    return raw(std::as_bytes(std::span(s.data(), s.size())));
  }
  Encoder& blob(std::span<const std::byte> data) {
    u32(static_cast<std::uint32_t>(data.size()));
    return raw(data);
  }
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::vector<std::byte> take() && noexcept { return std::move(bytes_); }
  [[nodiscard]] std::size_t size() const noexcept { return bytes_.size(); }

 private:
  std::vector<std::byte> bytes_;
};

/// Reads what Encoder wrote. Reading past the end sets failed() and gives zeros and empty texts,
/// so a decoder reads all its fields and asks once.
class Decoder {
 public:
  explicit Decoder(std::span<const std::byte> bytes) noexcept : rest_(bytes) {}

  template <std::unsigned_integral T>
  [[nodiscard]] T number() noexcept {
    if (!has(sizeof(T))) return 0;
    T value = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i) value = static_cast<T>(value | static_cast<T>(static_cast<T>(rest_[i]) << (8 * i)));
    rest_ = rest_.subspan(sizeof(T));
    return value;
  }
  [[nodiscard]] std::uint8_t u8() noexcept { return number<std::uint8_t>(); }
  [[nodiscard]] std::uint16_t u16() noexcept { return number<std::uint16_t>(); }
  [[nodiscard]] std::uint32_t u32() noexcept { return number<std::uint32_t>(); }
  [[nodiscard]] std::uint64_t u64() noexcept { return number<std::uint64_t>(); }
  [[nodiscard]] std::int64_t i64() noexcept { return static_cast<std::int64_t>(u64()); }
  [[nodiscard]] std::uint64_t varint() noexcept {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const std::uint64_t byte = u8();
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    failed_ = true;
    return 0;
  }
  [[nodiscard]] std::span<const std::byte> raw(std::size_t size) noexcept {
    if (!has(size)) return {};
    const auto data = rest_.first(size);
    rest_ = rest_.subspan(size);
    return data;
  }
  [[nodiscard]] std::span<const std::byte> blob() noexcept { return raw(u32()); }
  [[nodiscard]] std::string_view text() noexcept {
    const auto data = blob();
    return {reinterpret_cast<const char*>(data.data()), data.size()};
  }
  [[nodiscard]] std::span<const std::byte> rest() const noexcept { return rest_; }
  [[nodiscard]] bool failed() const noexcept { return failed_; }
  /// Everything was there and nothing is left over.
  [[nodiscard]] bool complete() const noexcept { return !failed_ && rest_.empty(); }

 private:
  bool has(std::size_t size) noexcept {
    if (rest_.size() >= size) return true;
    failed_ = true;
    rest_ = {};
    return false;
  }
  std::span<const std::byte> rest_;
  bool failed_ = false;
};

}  // namespace tarn::base
