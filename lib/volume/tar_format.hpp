// tar_format.hpp - the two building blocks of a pax archive: ustar header blocks and pax records.
// Level 2 (volume). Pure functions; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/limits.hpp"

namespace tarn::volume::tar {

inline constexpr std::size_t kBlockBytes = limits::kTarBlockBytes;
inline constexpr std::uint64_t kUstarSizeMax = (1ULL << 33) - 1;  ///< 11 octal digits; beyond: a pax `size` record
inline constexpr std::size_t kUstarNameBytes = 100;
inline constexpr char kRegularFile = '0';
inline constexpr char kPaxRecords = 'x';

/// Size on tape: rounded up to whole blocks.
[[nodiscard]] constexpr std::uint64_t padded(std::uint64_t size_bytes) noexcept {
  return (size_bytes + kBlockBytes - 1) / kBlockBytes * kBlockBytes;
}

/// The fields of a header block that we use; all others are zero or constant.
struct Ustar {
  std::string_view name;  ///< at most 100 bytes are kept
  std::uint64_t size_bytes = 0;
  std::int64_t mtime_s = 0;
  char type = kRegularFile;
};

/// Fills one block. A size above kUstarSizeMax becomes 0 (the pax record says it).
void encode_ustar(const Ustar& header, std::span<std::byte, kBlockBytes> block) noexcept;
/// @return nullopt when the magic or the sum is wrong, or a number is malformed. `name` points into block.
[[nodiscard]] std::optional<Ustar> decode_ustar(std::span<const std::byte, kBlockBytes> block) noexcept;
[[nodiscard]] bool is_zero(std::span<const std::byte> bytes) noexcept;

/// Appends "LENGTH KEYWORD=VALUE\n", LENGTH counting itself.
void append_pax(std::string& records, std::string_view keyword, std::string_view value);
/// Appends a `comment` record of exactly `bytes` (>= kPaxCommentBytesMin): padding that every tar skips.
void append_pax_comment(std::string& records, std::size_t bytes);
inline constexpr std::size_t kPaxCommentBytesMin = 16;

/// Walks pax records. Stops at the first malformed one, and says so.
class PaxReader {
 public:
  explicit PaxReader(std::string_view records) noexcept : rest_(records) {}
  /// @return false at the end or at a malformed record.
  [[nodiscard]] bool next() noexcept;
  [[nodiscard]] std::string_view keyword() const noexcept { return keyword_; }
  [[nodiscard]] std::string_view value() const noexcept { return value_; }
  [[nodiscard]] bool malformed() const noexcept { return malformed_; }

 private:
  std::string_view rest_, keyword_, value_;
  bool malformed_ = false;
};

}  // namespace tarn::volume::tar
