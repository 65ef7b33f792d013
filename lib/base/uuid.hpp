// uuid.hpp - random 128-bit identities of stores and disks (RFC 4122, version 4), and secrets.
// Level 1 (base).
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tarn::base {

struct Uuid {
  std::array<std::uint8_t, 16> bytes{};

  [[nodiscard]] static Uuid random();
  /// "01234567-89ab-4cde-8f01-23456789abcd"
  [[nodiscard]] std::string to_string() const;
  using Text = std::array<char, 36>;
  [[nodiscard]] Text text() const noexcept;  ///< the same without an allocation
  [[nodiscard]] static std::optional<Uuid> parse(std::string_view text) noexcept;
  [[nodiscard]] bool is_nil() const noexcept { return *this == Uuid{}; }

  friend bool operator==(const Uuid&, const Uuid&) = default;
  friend auto operator<=>(const Uuid&, const Uuid&) = default;
};

/// `bytes` random bytes of getrandom(2) as lower-case hex.
[[nodiscard]] std::string random_hex(std::size_t bytes);

}  // namespace tarn::base
