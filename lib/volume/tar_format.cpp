#include "volume/tar_format.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>

namespace tarn::volume::tar {

namespace {

// Offsets of POSIX.1-2017, pax, "ustar Interchange Format".
constexpr std::size_t kMode = 100, kUid = 108, kGid = 116, kSize = 124, kMtime = 136, kSum = 148, kType = 156, kMagic = 257;
constexpr std::size_t kSumBytes = 8;
constexpr std::int64_t kMtimeMax = (1LL << 33) - 1;
constexpr char kUstarMagic[8] = {'u', 's', 't', 'a', 'r', '\0', '0', '0'};

void put_octal(std::byte* field, std::size_t digits, std::uint64_t value) noexcept {
  for (std::size_t i = digits; i-- > 0; value >>= 3) field[i] = static_cast<std::byte>('0' + (value & 7));
  field[digits] = std::byte{0};
}

std::optional<std::uint64_t> get_octal(const std::byte* field, std::size_t width) noexcept {
  std::uint64_t value = 0;
  std::size_t i = 0;
  for (; i < width; ++i) {
    const auto c = static_cast<unsigned char>(field[i]);
    if (c == 0 || c == ' ') break;
    if (c < '0' || c > '7') return std::nullopt;
    value = value * 8 + (c - '0');
  }
  if (i == 0) return std::nullopt;
  return value;
}

/// The sum counts its own field as blanks.
std::uint32_t block_sum(std::span<const std::byte, kBlockBytes> block) noexcept {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < kBlockBytes; ++i) sum += i >= kSum && i < kSum + kSumBytes ? ' ' : static_cast<unsigned char>(block[i]);
  return sum;
}

std::size_t decimal_digits(std::size_t value) noexcept {
  std::size_t digits = 1;
  for (; value >= 10; value /= 10) ++digits;
  return digits;
}

}  // namespace

void encode_ustar(const Ustar& header, std::span<std::byte, kBlockBytes> block) noexcept {
  std::memset(block.data(), 0, kBlockBytes);
  std::memcpy(block.data(), header.name.data(), std::min(header.name.size(), kUstarNameBytes));
  put_octal(&block[kMode], 7, 0644);
  put_octal(&block[kUid], 7, 0);
  put_octal(&block[kGid], 7, 0);
  put_octal(&block[kSize], 11, header.size_bytes > kUstarSizeMax ? 0 : header.size_bytes);
  put_octal(&block[kMtime], 11, static_cast<std::uint64_t>(std::clamp<std::int64_t>(header.mtime_s, 0, kMtimeMax)));
  block[kType] = static_cast<std::byte>(header.type);
  std::memcpy(&block[kMagic], kUstarMagic, sizeof(kUstarMagic));
  put_octal(&block[kSum], 6, block_sum(block));
  block[kSum + 7] = std::byte{' '};
}

std::optional<Ustar> decode_ustar(std::span<const std::byte, kBlockBytes> block) noexcept {
  if (std::memcmp(&block[kMagic], kUstarMagic, sizeof(kUstarMagic)) != 0) return std::nullopt;
  const auto sum = get_octal(&block[kSum], kSumBytes);
  const auto size_bytes = get_octal(&block[kSize], 12);
  const auto mtime = get_octal(&block[kMtime], 12);
  if (!sum || *sum != block_sum(block) || !size_bytes || !mtime) return std::nullopt;
  const auto* name = reinterpret_cast<const char*>(block.data());
  Ustar header;
  header.name = std::string_view(name, ::strnlen(name, kUstarNameBytes));
  header.size_bytes = *size_bytes;
  header.mtime_s = static_cast<std::int64_t>(*mtime);
  header.type = static_cast<char>(block[kType]);
  return header;
}

bool is_zero(std::span<const std::byte> bytes) noexcept {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

void append_pax(std::string& records, std::string_view keyword, std::string_view value) {
  const std::size_t body = keyword.size() + value.size() + 3;  // ' ', '=', '\n'
  std::size_t length = body + decimal_digits(body);
  if (decimal_digits(length) != length - body) length = body + decimal_digits(length);
  records += std::to_string(length);
  records += ' ';
  records += keyword;
  records += '=';
  records += value;
  records += '\n';
}

void append_pax_comment(std::string& records, std::size_t bytes) {
  const std::string start = std::to_string(bytes) + " comment=";
  records += start;
  records.append(bytes - start.size() - 1, ' ');
  records += '\n';
}

bool PaxReader::next() noexcept {
  if (malformed_ || rest_.empty()) return false;
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

}  // namespace tarn::volume::tar
