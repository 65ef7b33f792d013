// tar_format.hpp - reading and writing the headers of shard entries: ustar, pax, GNU long names.
// Level 2 (shard). Pure; no thread rules.
//
//   entry:  [ 'x' header | records ]  [ 'L' header | long name ]  header  data, padded to 512
//            \__________ extension blocks, each optional ______/
//
// Source: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Extended Header"; GNU tar manual, appendix D.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tarn/result.hpp>

#include "base/ustar.hpp"

namespace tarn::shard {

using base::ustar::kBlockBytes, base::ustar::padded;

inline constexpr std::size_t kTrailerBytes = 2 * kBlockBytes;     ///< two zero blocks end an archive
inline constexpr std::size_t kEntryHeadersBytesMax = 256 * 1024;  ///< all extension blocks of one entry
inline constexpr std::uint64_t kMemberBytesMax = 1ULL << 43;      ///< 8 TiB; a larger size field is damage

struct TarEntry {
  std::string name;
  bool regular = false;            ///< a regular file; all else is skipped by samples
  std::uint64_t skip_bytes = 0;    ///< in front of it: global headers, which belong to no member
  std::uint64_t header_bytes = 0;  ///< extension blocks and header, in front of the data
  std::uint64_t data_bytes = 0;    ///< without padding

  [[nodiscard]] std::uint64_t entry_bytes() const noexcept { return header_bytes + padded(data_bytes); }
};

enum class TarParse {
  entry,  ///< *entry is filled
  more,   ///< the headers go on beyond these bytes
  end,    ///< a zero block after skip_bytes: the archive ends here
};

/// Reads the headers of the entry at the front of `bytes`.
/// @param offset  of bytes[0] in the archive, for messages.
/// @errors invalid: not a tar header, a wrong checksum, impossible numbers, headers longer than
///         kEntryHeadersBytesMax; unsupported: a sparse file. The message says at which offset.
[[nodiscard]] Result<TarParse> parse_tar_entry(std::span<const std::byte> bytes, std::uint64_t offset, TarEntry& entry);

/// The headers of a regular file for an archive that is the same whoever writes it when and where: mode
/// 0444, owner 0/0, time 0. Names that fit into neither ustar field get a pax header in front.
/// @return a multiple of 512 bytes.
[[nodiscard]] std::vector<std::byte> make_tar_headers(std::string_view name, std::uint64_t size_bytes);
/// make_tar_headers(...).size(), without making them.
[[nodiscard]] std::uint64_t tar_headers_bytes(std::string_view name, std::uint64_t size_bytes);

}  // namespace tarn::shard
