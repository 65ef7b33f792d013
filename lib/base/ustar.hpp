// ustar.hpp - the two building blocks of a tar archive: fields of ustar header blocks, and pax records.
// Level 1 (base). Pure; any thread. Which fields stand in a header is up to the volumes (volume/tar_format) and shards (shard/tar_format).
// Source: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Extended Header"; GNU tar manual, appendix D.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/limits.hpp"

namespace tarn::base::ustar {

inline constexpr std::size_t kBlockBytes = limits::kTarBlockBytes;
inline constexpr std::uint64_t kSizeMax = (1ULL << 33) - 1;  ///< 11 octal digits; beyond: a pax `size` record
inline constexpr std::string_view kMagicText{"ustar\00000", 8};

using Block = std::span<std::byte, kBlockBytes>;
using ConstBlock = std::span<const std::byte, kBlockBytes>;

/// Where a field of a header block lies.
struct Field {
  std::size_t offset = 0, length = 0;
};
inline constexpr Field kName{0, 100}, kMode{100, 8}, kUid{108, 8}, kGid{116, 8}, kSize{124, 12}, kTime{136, 12}, kChecksum{148, 8}, kType{156, 1},
    kMagic{257, 8}, kUser{265, 32}, kGroup{297, 32}, kPrefix{345, 155};

/// Size in an archive: rounded up to whole blocks.
[[nodiscard]] constexpr std::uint64_t padded(std::uint64_t size_bytes) noexcept {
  return (size_bytes + kBlockBytes - 1) / kBlockBytes * kBlockBytes;
}
[[nodiscard]] bool is_zero(std::span<const std::byte> bytes) noexcept;

/// All bytes of a field; and those up to the first NUL.
[[nodiscard]] std::string_view chars_of(ConstBlock block, Field field) noexcept;
[[nodiscard]] std::string_view text_of(ConstBlock block, Field field) noexcept;
/// Octal digits between blanks, or GNU's base 256 (first bit set); an empty field is 0.
[[nodiscard]] std::optional<std::uint64_t> number_of(ConstBlock block, Field field) noexcept;
/// The sum over the block with blanks in its own field; old tars summed signed characters.
[[nodiscard]] bool checksum_matches(ConstBlock block) noexcept;

/// Cut at the field's end.
void put_text(Block block, Field field, std::string_view text) noexcept;
/// Octal digits and a NUL. A number that does not fit loses its high digits.
void put_octal(Block block, Field field, std::uint64_t value) noexcept;
/// After all other fields.
void put_checksum(Block block) noexcept;

/// Appends "LENGTH KEYWORD=VALUE\n", LENGTH counting itself.
void append_pax(std::string& records, std::string_view keyword, std::string_view value);

/// Walks pax records up to their end or a NUL. Stops at the first malformed one, and says so.
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

}  // namespace tarn::base::ustar
