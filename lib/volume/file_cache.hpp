// file_cache.hpp - open files of a disk's volumes, the least recently used ones closed beyond a bound.
// Level 2 (volume). Any thread. Who holds the shared_ptr keeps the file open, even when it has been unlinked.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <shared_mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include <tarn/result.hpp>

#include "base/file.hpp"

namespace tarn::volume {

/// "<directory>/volumes/00000017.tar"
[[nodiscard]] std::string volume_file_path(std::string_view directory, std::uint64_t volume);
/// "<directory>/volumes/00000017.blocks.tmp": what a writer of that volume keeps of its block hashes meanwhile
[[nodiscard]] std::string block_side_path(std::string_view directory, std::uint64_t volume);
/// Whether a file of this name is what an unfinished solo volume has left.
[[nodiscard]] bool is_unfinished(std::string_view file_name) noexcept;
/// The number in "00000017.tar"; UINT64_MAX when the name is not a volume's.
[[nodiscard]] std::uint64_t volume_number(std::string_view file_name) noexcept;

class FileCache {
 public:
  FileCache(base::FileSystem& fs, std::string directory, std::size_t capacity);

  /// Opens the file when it is not in the cache. @errors not_found, io, busy (no descriptors left).
  [[nodiscard]] Result<std::shared_ptr<const base::File>> get(std::uint64_t volume);
  void put(std::uint64_t volume, std::shared_ptr<const base::File> file);
  void drop(std::uint64_t volume);
  /// Drops files that have no name any more, so that their space is free again: for volumes that somebody else removes.
  /// @cost a system call for each open file.
  void drop_unlinked();

 private:
  struct Entry {
    std::uint64_t volume = 0;
    std::shared_ptr<const base::File> file;
    std::atomic<bool> used{true};  // since the hand went by: the clock algorithm, so that a hit takes no exclusive lock
  };
  void insert_locked(std::uint64_t volume, std::shared_ptr<const base::File> file);

  base::FileSystem& fs_;
  const std::string directory_;
  std::shared_mutex mutex_;  // guards what follows, except `used`
  std::vector<std::unique_ptr<Entry>> ring_;
  std::unordered_map<std::uint64_t, std::size_t> position_;  // in ring_
  std::size_t hand_ = 0;
  const std::size_t capacity_;
};

}  // namespace tarn::volume
