#include "base/ustar.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>

namespace tarn::base::ustar {

namespace {

std::size_t decimal_digits(std::size_t value) noexcept {
  std::size_t digits = 1;
  for (; value >= 10; value /= 10) ++digits;
  return digits;
}

std::optional<std::uint64_t> base_256(std::string_view raw) noexcept {
  if (static_cast<unsigned char>(raw[0]) != 0x80) return std::nullopt;  // negative, or beyond 64 bits
  std::uint64_t value = 0;
  for (const char c : raw.substr(1)) {
    if (value >> 56 != 0) return std::nullopt;
    value = value << 8 | static_cast<unsigned char>(c);
  }
  return value;
}

/// The sum of all bytes with blanks in the checksum's field. Eight bytes at a time, as four sums of 16 bits: each is at most
/// 64 * 2 * 255.
std::uint64_t sum_of(ConstBlock block) noexcept {
  constexpr std::uint64_t kLow = 0x00ff00ff00ff00ff;
  static_assert(kBlockBytes / 8 * 2 * 255 <= 0xffff);
  std::uint64_t sums = 0;
  for (std::size_t i = 0; i < kBlockBytes; i += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, block.data() + i, 8);
    sums += (word & kLow) + (word >> 8 & kLow);
  }
  std::uint64_t sum = (sums & 0xffff) + (sums >> 16 & 0xffff) + (sums >> 32 & 0xffff) + (sums >> 48) + kChecksum.length * ' ';
  for (const char c : chars_of(block, kChecksum)) sum -= static_cast<unsigned char>(c);
  return sum;
}

/// How many of the same bytes are 128 or more.
std::uint64_t high_bytes_of(ConstBlock block) noexcept {
  std::uint64_t high = 0;
  for (std::size_t i = 0; i < kBlockBytes; ++i)
    if (i < kChecksum.offset || i >= kChecksum.offset + kChecksum.length) high += static_cast<unsigned char>(block[i]) >> 7;
  return high;
}

}  // namespace

bool is_zero(std::span<const std::byte> bytes) noexcept {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

std::string_view chars_of(ConstBlock block, Field field) noexcept {
  return {reinterpret_cast<const char*>(block.data()) + field.offset, field.length};
}

std::string_view text_of(ConstBlock block, Field field) noexcept {
  const auto all = chars_of(block, field);
  return all.substr(0, std::min(all.find('\0'), all.size()));
}

std::optional<std::uint64_t> number_of(ConstBlock block, Field field) noexcept {
  const auto raw = chars_of(block, field);
  if ((static_cast<unsigned char>(raw[0]) & 0x80) != 0) return base_256(raw);
  std::size_t i = 0;
  while (i < raw.size() && raw[i] == ' ') ++i;
  std::uint64_t value = 0;
  for (; i < raw.size() && raw[i] >= '0' && raw[i] <= '7'; ++i) value = value << 3 | static_cast<std::uint64_t>(raw[i] - '0');
  for (; i < raw.size(); ++i)
    if (raw[i] != ' ' && raw[i] != '\0') return std::nullopt;
  return value;
}

bool checksum_matches(ConstBlock block) noexcept {
  const auto stated = number_of(block, kChecksum);
  if (!stated) return false;
  const std::uint64_t sum = sum_of(block);
  if (*stated == sum) return true;
  const std::uint64_t high = high_bytes_of(block);  // they count 256 less when signed
  return high != 0 && *stated + 256 * high == sum;
}

void put_text(Block block, Field field, std::string_view text) noexcept {
  const auto bytes = std::as_bytes(std::span(text.substr(0, field.length)));
  std::copy(bytes.begin(), bytes.end(), block.begin() + static_cast<std::ptrdiff_t>(field.offset));
}

void put_octal(Block block, Field field, std::uint64_t value) noexcept {
  block[field.offset + field.length - 1] = std::byte{0};
  for (std::size_t i = field.length - 1; i-- > 0; value >>= 3) block[field.offset + i] = static_cast<std::byte>('0' + (value & 7));
}

void put_checksum(Block block) noexcept {
  put_octal(block, {kChecksum.offset, kChecksum.length - 1}, sum_of(block));
  block[kChecksum.offset + kChecksum.length - 1] = std::byte{' '};
}

void append_pax(std::string& records, std::string_view keyword, std::string_view value) {
  const std::size_t body = keyword.size() + value.size() + 3;  // ' ', '=', '\n'
  std::size_t length = body + decimal_digits(body);
  if (decimal_digits(length) != length - body) length = body + decimal_digits(length);
  records.append(std::to_string(length)).append(" ").append(keyword).append("=").append(value).append("\n");
}

bool PaxReader::next() noexcept {
  if (malformed_ || rest_.empty() || rest_.front() == '\0') return false;
  malformed_ = true;  // until proven otherwise
  std::size_t length = 0;
  const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), length);
  const auto digits = static_cast<std::size_t>(end - rest_.data());
  if (error != std::errc() || digits + 3 > length || length > rest_.size()) return false;
  if (rest_[digits] != ' ' || rest_[length - 1] != '\n') return false;
  const std::string_view body = rest_.substr(digits + 1, length - digits - 2);
  const std::size_t equals = body.find('=');
  if (equals == std::string_view::npos || equals == 0) return false;
  keyword_ = body.substr(0, equals);
  value_ = body.substr(equals + 1);
  rest_.remove_prefix(length);
  malformed_ = false;
  return true;
}

}  // namespace tarn::base::ustar
