// staging.hpp - bodies that a job keeps on this rank's disks while it runs: archives that it has unpacked.
// Level 3 (object). Any thread.
//
//   bucket ".staged"  key of the job's choice   in a solo volume whatever its size, so that its space is free when it is removed
//
// They mean nothing to anybody but the job that wrote them: what a process that was killed has left is removed when the store is opened.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <tarn/object.hpp>
#include <tarn/result.hpp>
#include <tarn/store.hpp>

#include "object/disk_table.hpp"
#include "object/writer_memory.hpp"
#include "volume/record.hpp"

namespace tarn::object {

inline constexpr std::string_view kStagingBucket = ".staged";

class Staging {
 public:
  Staging(const DiskTable& disks, std::shared_ptr<WriterMemory> memory) : disks_(disks), memory_(std::move(memory)) {}

  /// @errors invalid (no such disk), no_space, io; as those of the writer.
  [[nodiscard]] Result<std::unique_ptr<ObjectWriter>> create(std::uint32_t disk, std::string_view key);
  /// Where its bytes lie, for the fetcher. @errors not_found, io.
  [[nodiscard]] Result<volume::Record> find(std::uint32_t disk, std::string_view key) const;
  /// What has this prefix, on all disks. Its space is free once no volume is pinned. What cannot be removed is logged, and goes at the next open.
  void remove(std::string_view prefix) noexcept;

 private:
  const DiskTable& disks_;
  const std::shared_ptr<WriterMemory> memory_;
};

}  // namespace tarn::object
