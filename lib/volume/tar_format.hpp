// tar_format.hpp - the header blocks of volumes, and the pax comment that fills space.
// Level 2 (volume). Pure functions; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/ustar.hpp"

namespace tarn::volume::tar {

using base::ustar::append_pax, base::ustar::is_zero, base::ustar::kBlockBytes, base::ustar::padded, base::ustar::PaxReader;

inline constexpr std::uint64_t kUstarSizeMax = base::ustar::kSizeMax;
inline constexpr std::size_t kUstarNameBytes = base::ustar::kName.length;
inline constexpr char kRegularFile = '0';
inline constexpr char kPaxRecords = 'x';

/// The fields of a header block that we use; all others are zero or constant.
struct Ustar {
  std::string_view name;  ///< at most 100 bytes are kept
  std::uint64_t size_bytes = 0;
  std::int64_t mtime_s = 0;
  char type = kRegularFile;
};

/// Fills one block. A size above kUstarSizeMax becomes 0 (the pax record says it).
void encode_ustar(const Ustar& header, base::ustar::Block block) noexcept;
/// @return nullopt when the magic or the sum is wrong, or a number is malformed. `name` points into block.
[[nodiscard]] std::optional<Ustar> decode_ustar(base::ustar::ConstBlock block) noexcept;

/// Appends a `comment` record of exactly `bytes` (>= kPaxCommentBytesMin): padding that every tar skips.
void append_pax_comment(std::string& records, std::size_t bytes);
inline constexpr std::size_t kPaxCommentBytesMin = 16;

}  // namespace tarn::volume::tar
