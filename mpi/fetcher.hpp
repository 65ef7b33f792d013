// fetcher.hpp - pulls extents of any rank's volumes into memory: what dsort, the loader and repair read with.
// Level 6 (mpi). Interface; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <tarn/object.hpp>
#include <tarn/result.hpp>

namespace tarn::mpi {

/// One extent, named as LocalStore::find() names it on its rank, and where its bytes go.
struct FetchRequest {
  RankId rank = 0;
  std::uint32_t disk = 0;  ///< index among that rank's disks
  std::uint64_t volume = 0;
  std::uint64_t offset = 0;
  std::uint64_t length_bytes = 0;
  std::byte* target = nullptr;  ///< length_bytes long, must live until fetch() returns
};

class Fetcher {
 public:
  Fetcher() = default;
  Fetcher(const Fetcher&) = delete;
  Fetcher& operator=(const Fetcher&) = delete;
  virtual ~Fetcher() = default;

  /// Reads all extents: own disks by pread, a neighbour's volume on the same node by opening its file,
  /// others by batched peer messages, the batches in flight together. Not collective; blocks; the bytes are
  /// not verified (the caller knows what its extents should hash to). After an error the targets hold anything.
  /// @cost   each call's memory beyond the targets is bounded (limits::kFetchBatchBytesMax per batch in flight).
  /// @errors not_found (the volume is gone), out_of_range, io, timeout, rank_lost.
  [[nodiscard]] virtual Result<void> fetch(std::span<const FetchRequest> requests) = 0;
};

}  // namespace tarn::mpi
