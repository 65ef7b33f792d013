#include "base/uuid.hpp"

#include <sys/random.h>

#include <cerrno>
#include <system_error>

namespace tarn::base {

namespace {

constexpr char kDigits[] = "0123456789abcdef";

void fill_random(std::uint8_t* target, std::size_t size) {
  while (size > 0) {
    const ssize_t n = ::getrandom(target, size, 0);
    if (n < 0) {
      if (errno == EINTR) continue;
      throw std::system_error(errno, std::generic_category(), "getrandom");
    }
    target += n;
    size -= static_cast<std::size_t>(n);
  }
}

bool is_dash_position(std::size_t i) {
  return i == 8 || i == 13 || i == 18 || i == 23;
}

}  // namespace

Uuid Uuid::random() {
  Uuid uuid;
  fill_random(uuid.bytes.data(), uuid.bytes.size());
  uuid.bytes[6] = static_cast<std::uint8_t>((uuid.bytes[6] & 0x0f) | 0x40);
  uuid.bytes[8] = static_cast<std::uint8_t>((uuid.bytes[8] & 0x3f) | 0x80);
  return uuid;
}

std::string Uuid::to_string() const {
  const Text chars = text();
  return {chars.begin(), chars.end()};
}

Uuid::Text Uuid::text() const noexcept {
  Text chars;
  std::size_t at = 0;
  for (const std::uint8_t byte : bytes) {
    if (is_dash_position(at)) chars[at++] = '-';
    chars[at++] = kDigits[byte >> 4];
    chars[at++] = kDigits[byte & 15];
  }
  return chars;
}

std::optional<Uuid> Uuid::parse(std::string_view text) noexcept {
  if (text.size() != 36) return std::nullopt;
  Uuid uuid;
  std::size_t nibble = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (is_dash_position(i)) {
      if (c != '-') return std::nullopt;
      continue;
    }
    const int value = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (value < 0) return std::nullopt;
    uuid.bytes[nibble / 2] = static_cast<std::uint8_t>(uuid.bytes[nibble / 2] << 4 | value);
    ++nibble;
  }
  return uuid;
}

std::string random_hex(std::size_t bytes) {
  std::string text;
  text.reserve(bytes * 2);
  for (std::size_t i = 0; i < bytes; ++i) {
    std::uint8_t byte = 0;
    fill_random(&byte, 1);
    text.push_back(kDigits[byte >> 4]);
    text.push_back(kDigits[byte & 15]);
  }
  return text;
}

}  // namespace tarn::base
