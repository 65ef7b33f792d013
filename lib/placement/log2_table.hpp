// log2_table.hpp - binary logarithms of 64-bit fractions in fixed point, the same on every machine.
// Level 2 (placement). Pure. No libm and no floating point: compilers, libraries and CPUs disagree
// in the last bit of log(), and a key's home may depend on that bit.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace tarn::placement {

__extension__ using Uint128 = unsigned __int128;

inline constexpr unsigned kLogFractionBits = 57;  ///< 7 bits are left for values up to 64
inline constexpr unsigned kLogTableBits = 10;

/// log2(1 + index / 2^kLogTableBits) as a fraction of 2^kLogFractionBits, rounded down: the classic
/// digit-by-digit method, squaring the number and taking a bit each time it passes 2 (Knuth, TAOCP
/// volume 1, 1.2.2, exercise 25).
[[nodiscard]] constexpr std::uint64_t log2_entry(std::uint64_t index) {
  constexpr unsigned kPoint = 62;  // the number lies in [2^62, 2^63)
  std::uint64_t number = ((1ULL << kLogTableBits) + index) << (kPoint - kLogTableBits);
  std::uint64_t result = 0;
  for (unsigned bit = 0; bit < kLogFractionBits; ++bit) {
    const Uint128 square = static_cast<Uint128>(number) * number >> kPoint;
    const bool carry = square >> (kPoint + 1) != 0;
    number = static_cast<std::uint64_t>(carry ? square >> 1 : square);
    result = result << 1 | (carry ? 1U : 0U);
  }
  return result;
}

[[nodiscard]] constexpr auto make_log2_table() {
  std::array<std::uint64_t, (1ULL << kLogTableBits) + 1> table{};
  for (std::uint64_t i = 0; i + 1 < table.size(); ++i) table[i] = log2_entry(i);
  table.back() = 1ULL << kLogFractionBits;  // log2(2)
  return table;
}

inline constexpr auto kLog2Table = make_log2_table();

/// -log2(fraction / 2^64) in units of 2^-kLogFractionBits; fraction > 0. Never grows with fraction.
/// Linear between table entries: the error is below 2e-7, and below 0.05 % of small results.
/// @cost a count of zeros, two loads, a multiplication.
[[nodiscard]] inline std::uint64_t negative_log2(std::uint64_t fraction) noexcept {
  const auto zeros = static_cast<unsigned>(std::countl_zero(fraction));
  const std::uint64_t mantissa = fraction << zeros << 1;  // without its leading 1
  const auto index = static_cast<std::size_t>(mantissa >> (64 - kLogTableBits));
  const std::uint64_t rest = mantissa << kLogTableBits;
  const std::uint64_t low = kLog2Table[index];
  const std::uint64_t step = kLog2Table[index + 1] - low;
  const auto between = static_cast<std::uint64_t>(static_cast<Uint128>(step) * rest >> 64);
  return (static_cast<std::uint64_t>(zeros + 1) << kLogFractionBits) - low - between;
}

}  // namespace tarn::placement
