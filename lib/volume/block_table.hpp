// block_table.hpp - a hash for each 64 KiB block of a large object, kept behind its data: so that a part of it can be
// verified without reading the whole.
// Level 2 (volume). BlockTableBuilder: one thread. BlockReader: one thread at a time. The rest: any thread.
//
//   solo volume = [ header | data, padded | header of the table, 3 tar blocks | table, padded | trailer ]
//   table       = XXH3-64, little endian, of each block, seeded with the block's number; the last block may be short
//
// Every place follows from where the data lies and how long it is, so an extent needs one bit to say that the table is there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <tarn/object.hpp>
#include <tarn/result.hpp>

#include "base/file.hpp"
#include "base/hash.hpp"
#include "base/limits.hpp"
#include "volume/member.hpp"
#include "volume/tar_format.hpp"

namespace tarn::volume {

inline constexpr std::size_t kBlockBytes = limits::kIntegrityBlockBytes;
inline constexpr std::size_t kBlockHashBytes = sizeof(std::uint64_t);
/// Of the table's own member; its records always fit one tar block.
inline constexpr std::size_t kTableHeaderBytes = 3 * tar::kBlockBytes;

/// Where the table of `data_bytes` bytes at `data_offset` lies.
struct TablePlace {
  std::uint64_t header_offset = 0;
  std::uint64_t offset = 0;
  std::uint64_t size_bytes = 0;
  std::uint64_t end_offset = 0;  ///< padding included
};
[[nodiscard]] TablePlace table_place(std::uint64_t data_offset, std::uint64_t data_bytes) noexcept;
[[nodiscard]] std::uint64_t block_hash(std::span<const std::byte> block, std::uint64_t number) noexcept;

/// Whether the table behind `data_bytes` bytes at `data` is there, of this volume and as it was written. @errors io.
[[nodiscard]] Result<bool> table_is_whole(const base::File& file, const Place& data, std::uint64_t data_bytes);

/// Hashes an object's bytes as they are written. What the table takes beyond limits::kBlockTableMemoryBytes waits in a file
/// beside the volume, which is removed at the end.
class BlockTableBuilder {
 public:
  BlockTableBuilder(base::FileSystem& fs, std::string side_path, std::size_t memory_bytes_max = limits::kBlockTableMemoryBytes)
      : fs_(fs), side_path_(std::move(side_path)), memory_bytes_max_(memory_bytes_max) {}
  ~BlockTableBuilder();
  BlockTableBuilder(const BlockTableBuilder&) = delete;
  BlockTableBuilder& operator=(const BlockTableBuilder&) = delete;

  /// The next bytes, of any number. @errors those of the side file.
  [[nodiscard]] Result<void> add(std::span<const std::byte> bytes);
  /// No add() follows. @return the table's own checksum.
  [[nodiscard]] Checksum end();
  /// After end(): the table, at `offset` of `file`.
  [[nodiscard]] Result<void> write_to(base::File& file, std::uint64_t offset);

 private:
  void append(std::uint64_t hash);
  [[nodiscard]] Result<void> spill();

  base::FileSystem& fs_;
  const std::string side_path_;
  const std::size_t memory_bytes_max_;
  std::vector<std::byte> memory_;  // the end of the table
  std::uint64_t spilled_bytes_ = 0;
  base::ChecksumStream checksum_;  // of the table
  base::HashStream block_;         // of the begun block
  std::size_t block_bytes_ = 0;    // of it, so far
  std::uint64_t blocks_ = 0;       // that are whole
};

/// A block that is not what was written, or whose hash is not.
struct BadBlock {
  std::uint64_t number = 0;
  std::uint64_t offset = 0;  ///< in the volume file
  std::size_t length_bytes = 0;
};

/// Data and its table in one volume file. Keeps a piece of the table and the last block that was asked for in part, so that
/// many small reads in a row cost no more than a large one.
class BlockReader {
 public:
  BlockReader(std::shared_ptr<const base::File> file, std::uint64_t data_offset, std::uint64_t data_bytes)
      : file_(std::move(file)), data_offset_(data_offset), data_bytes_(data_bytes), place_(table_place(data_offset, data_bytes)) {}

  /// Reads data bytes [offset, offset + target.size()), which are there; every block that they touch is verified.
  /// @return the first bad block; the target holds anything then.
  /// @errors io; corrupt: the file is too short. @cost reads whole blocks.
  [[nodiscard]] Result<std::optional<BadBlock>> read(std::uint64_t offset, std::span<std::byte> target);
  [[nodiscard]] const base::File& file() const noexcept { return *file_; }

 private:
  [[nodiscard]] std::size_t block_size(std::uint64_t number) const noexcept;
  [[nodiscard]] Result<bool> matches(std::uint64_t number, std::span<const std::byte> block);
  [[nodiscard]] Result<std::optional<BadBlock>> read_part(std::uint64_t number, std::size_t offset, std::span<std::byte> target);
  [[nodiscard]] Result<std::optional<BadBlock>> read_whole(std::uint64_t number, std::span<std::byte> target);
  [[nodiscard]] Result<void> read_exactly(std::uint64_t offset, std::span<std::byte> target) const;
  [[nodiscard]] BadBlock bad(std::uint64_t number) const noexcept;

  const std::shared_ptr<const base::File> file_;
  const std::uint64_t data_offset_, data_bytes_;
  const TablePlace place_;
  std::vector<std::byte> table_;   // a piece of it
  std::uint64_t table_begin_ = 0;  // its first byte
  std::vector<std::byte> block_;   // verified, when block_number_ is set
  std::optional<std::uint64_t> block_number_;
};

}  // namespace tarn::volume
