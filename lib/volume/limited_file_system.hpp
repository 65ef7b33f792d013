// limited_file_system.hpp - a disk's files under a quota and a watermark: counts what the disk occupies and answers space() with what
// it may still take.
// Level 2 (volume). Any thread. Everything that the disk writes goes through it, except for the index, whose size is asked for.
//
//   used = files as they were counted (at the begin, and again now and then) + what was written - what was cut off or removed since
//   Files count in whole blocks of 4 KiB. A file has one writer at a time: each open File knows its end.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <tarn/options.hpp>

#include "base/file.hpp"

namespace tarn::volume {

class LimitedFileSystem final : public base::FileSystem {
 public:
  /// @param directory  of the disk; need not exist yet.
  /// @errors invalid: a quota below kQuotaBytesMin, or a watermark of 100 % or more.
  [[nodiscard]] static Result<std::unique_ptr<LimitedFileSystem>> make(base::FileSystem& real, const std::string& directory,
                                                                       const SpaceLimits& limits);

  [[nodiscard]] Result<std::unique_ptr<base::File>> open(const std::string& path, base::OpenMode mode, mode_t permissions) override;
  [[nodiscard]] Result<void> make_directory(const std::string& path) override { return real_.make_directory(path); }
  [[nodiscard]] Result<void> rename(const std::string& from, const std::string& to) override { return real_.rename(from, to); }
  [[nodiscard]] Result<void> remove(const std::string& path) override;
  [[nodiscard]] Result<std::vector<std::string>> list(const std::string& directory) override { return real_.list(directory); }
  [[nodiscard]] Result<void> sync_directory(const std::string& directory) override { return real_.sync_directory(directory); }
  /// Of the quota and the file system the one that leaves less; kept_bytes is what the watermark says.
  [[nodiscard]] Result<base::Space> space(const std::string& path) override;
  [[nodiscard]] Result<bool> exists(const std::string& path) override { return real_.exists(path); }

  /// What the disk occupies. @cost two system calls; now and then one for each file.
  [[nodiscard]] std::uint64_t used_bytes();

 private:
  class CountedFile;
  LimitedFileSystem(base::FileSystem& real, std::string directory, const SpaceLimits& limits)
      : real_(real), directory_(std::move(directory)), limits_(limits) {}
  void count(std::uint64_t old_size_bytes, std::uint64_t new_size_bytes) noexcept;
  /// Walks over the directory.
  void count_anew();

  base::FileSystem& real_;
  const std::string directory_;
  const SpaceLimits limits_;
  std::atomic<std::int64_t> used_{0};  // without the index
  std::mutex count_mutex_;             // guards the rest
  std::chrono::steady_clock::time_point next_count_{};
};

}  // namespace tarn::volume
