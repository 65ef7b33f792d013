// tar_packer.hpp - packs the bytes of a tar into .tar.gz or .tar.zst, the same whoever does it when.
// Level 2 (shard). One thread per packer.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>

#include <tarn/result.hpp>

#include "shard/archive_kind.hpp"

struct archive;

namespace tarn::shard {

/// Gets packed bytes, in order.
using PackedFn = std::function<Result<void>(std::span<const std::byte> bytes)>;

class TarPacker {
 public:
  /// @param kind  is_output_kind(), not tar: gzip on level 6, zstd on level 3, both without a time.
  /// @errors internal: no memory. @cost 1 MiB of memory at most.
  [[nodiscard]] static Result<std::unique_ptr<TarPacker>> open(ArchiveKind kind, PackedFn sink);
  ~TarPacker();
  TarPacker(const TarPacker&) = delete;
  TarPacker& operator=(const TarPacker&) = delete;

  /// @errors what the sink returns.
  [[nodiscard]] Result<void> write(std::span<const std::byte> bytes);
  /// Writes what is still held; once, at the end.
  [[nodiscard]] Result<void> finish();

 private:
  explicit TarPacker(PackedFn sink) : sink_(std::move(sink)) {}
  [[nodiscard]] Result<void> outcome(long code);

  const PackedFn sink_;
  Result<void> sunk_;  // what the sink said first
  bool abandoned_ = false;
  archive* handle_ = nullptr;
};

}  // namespace tarn::shard
