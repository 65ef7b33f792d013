// tar_stream.hpp - the bytes of a tar, from start to end, whatever it is packed in.
// Level 2 (shard). One thread per stream.
//
//   .tar                      as they are
//   .tar.gz .zst .lz4 .xz     unpacked; checksums of the packing are verified where it has them
//   .zip                      its files, in the order in which they lie there, as entries with mode 0444, owner 0, time 0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>

#include <tarn/result.hpp>

#include "shard/archive_kind.hpp"

namespace tarn::shard {

/// Reads bytes of the packed archive; for all but zip always where the last call ended. @return bytes read, 0 only at the end.
using ArchiveReadFn = std::function<Result<std::size_t>(std::uint64_t offset, std::span<std::byte> target)>;

class TarStream {
 public:
  TarStream() = default;
  TarStream(const TarStream&) = delete;
  TarStream& operator=(const TarStream&) = delete;
  virtual ~TarStream() = default;

  /// @return bytes read, 0 only at the end. @errors invalid: the packing is damaged or cut off, with the archive's name; what its
  ///         ArchiveReadFn returns. Not to be called again then.
  [[nodiscard]] virtual Result<std::size_t> read(std::span<std::byte> target) = 0;
  /// Entries that are no files (directories, links) and have been left out of the tar so far.
  [[nodiscard]] virtual std::uint64_t left_out() const noexcept { return 0; }
};

/// @param name  of the archive, for messages. @param size_bytes  of the packed archive.
/// @errors invalid: it is not what `kind` says; unsupported: an encrypted zip; internal: no memory.
/// @cost   memory: 64 KiB and what the packing needs: xz and zst up to their window (xz 64 MiB at most with -9).
[[nodiscard]] Result<std::unique_ptr<TarStream>> open_tar_stream(ArchiveKind kind, std::string_view name, std::uint64_t size_bytes,
                                                                 ArchiveReadFn read);

}  // namespace tarn::shard
