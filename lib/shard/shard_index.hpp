// shard_index.hpp - one pass over a tar: where its samples lie, and what their bytes hash to.
// Level 2 (shard). One thread per call.
//
// A sample is a list of extents of whole entries (extension blocks, header, data, padding), so that its
// entries can be copied into another archive byte by byte. It is one extent unless ignored members lie
// between its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tarn/result.hpp>

namespace tarn::shard {

struct SampleExtent {
  std::uint64_t offset = 0;  ///< in the archive; a multiple of 512, as is the length
  std::uint64_t length_bytes = 0;
  std::uint64_t hash = 0;  ///< XXH3-64 of these bytes

  friend bool operator==(const SampleExtent&, const SampleExtent&) = default;
};

struct Sample {
  std::string key;
  std::uint64_t members = 0;
  std::vector<SampleExtent> extents;
  std::optional<std::string> content;  ///< of the member that is watched
};

/// A member whose bytes come with its sample.
struct ContentWatch {
  std::string extension;  ///< lower case; empty: none
  std::size_t bytes_max = 0;
  bool skip_longer = false;  ///< a longer one has no content, instead of being an error
};

/// A member of a sample, while the pass is there.
struct SampleMember {
  std::string_view name;
  std::string_view extension;  ///< as it is written
  std::uint64_t data_offset = 0;
  std::uint64_t data_bytes = 0;
};
using MemberFn = std::function<Result<void>(const SampleMember&)>;

/// What a pass does beside finding samples. All may be empty.
struct IndexOptions {
  ContentWatch watch;                                         ///< the member whose content is wanted
  MemberFn members;                                           ///< gets each member of a sample, before the sample
  std::function<bool(const std::string& extension)> keeps{};  ///< lower case; a member that it turns down is passed over like an ignored one
};

struct ShardCounts {
  std::uint64_t samples = 0;
  std::uint64_t members = 0;          ///< of samples
  std::uint64_t skipped_members = 0;  ///< directories, links, meta and hidden names, names without a dot
  std::uint64_t dropped_members = 0;  ///< that IndexOptions::keeps turned down
};

/// Reads bytes of the archive: called for 0, then always for where the last call ended, up to the end.
/// @return bytes read, 0 only at the end.
using ShardReadFn = std::function<Result<std::size_t>(std::uint64_t offset, std::span<std::byte> target)>;
/// Gets each sample as soon as it is complete, in archive order. An error ends the pass.
using SampleFn = std::function<Result<void>(const Sample&)>;

/// The size of an archive whose end its ShardReadFn will show: one that is being unpacked.
inline constexpr std::uint64_t kUnknownShardBytes = UINT64_MAX;

/// @param name    of the archive, for messages.
/// @param size_bytes  of the tar, or kUnknownShardBytes.
/// @param window  memory to work in; at least kIndexWindowBytesMin.
/// @errors invalid or unsupported: a watched member that is too long; damage, with name, offset, and how many samples were sound; what `read`
///         and `sink` return. Nothing that a tar reader would skip over in silence is accepted: wrong
///         header checksums, truncation, and bytes after the end mark are errors.
/// @cost   reads every byte once, in order; hashes them once.
[[nodiscard]] Result<ShardCounts> index_shard(std::string_view name, std::uint64_t size_bytes, const ShardReadFn& read, const SampleFn& sink,
                                              std::span<std::byte> window, const IndexOptions& options = {});

inline constexpr std::size_t kIndexWindowBytesMin = 512 * 1024;

}  // namespace tarn::shard
