// failing_file_system.hpp - a file system that runs out of space, or cannot sync, from a chosen call on.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/file.hpp"
#include "support/forwarding_file_system.hpp"

namespace tarn::tests {

/// Says "no space" after a number of good writes to, or renames of, volumes under a temporary name, and cannot sync a
/// volume after a number of good syncs.
class FailingFileSystem final : public ForwardingFileSystem {
 public:
  std::atomic<std::int64_t> writes_left{INT64_MAX}, renames_left{INT64_MAX}, syncs_left{INT64_MAX};

  Result<std::unique_ptr<base::File>> open(const std::string& path, base::OpenMode mode, mode_t permissions) override {
    auto file = ForwardingFileSystem::open(path, mode, permissions);
    if (file && path.find("/volumes/") != std::string::npos) return std::make_unique<FailingFile>(std::move(*file), *this);
    return file;
  }
  Result<void> rename(const std::string& from, const std::string& to) override {
    if (from.ends_with(".tmp") && renames_left-- <= 0) return fail(ErrorCode::no_space, "rename " + to + ": no space (test)");
    return ForwardingFileSystem::rename(from, to);
  }

 private:
  class FailingFile final : public ForwardingFile {
   public:
    FailingFile(std::unique_ptr<base::File> real, FailingFileSystem& owner) : ForwardingFile(std::move(real)), owner_(owner) {}
    Result<void> write_at(std::uint64_t offset, std::span<const std::byte> bytes) override {
      if (temporary() && owner_.writes_left-- <= 0) return full();
      return ForwardingFile::write_at(offset, bytes);
    }
    Result<void> write_at(std::uint64_t offset, std::span<const std::span<const std::byte>> pieces) override {
      if (temporary() && owner_.writes_left-- <= 0) return full();
      return ForwardingFile::write_at(offset, pieces);
    }
    Result<void> sync_data() override {
      if (owner_.syncs_left-- > 0) return ForwardingFile::sync_data();
      return fail(ErrorCode::io, "fdatasync " + path() + ": refused (test)");
    }

   private:
    [[nodiscard]] bool temporary() const { return path().ends_with(".tmp"); }
    [[nodiscard]] tl::unexpected<Error> full() const { return fail(ErrorCode::no_space, "write " + path() + ": no space (test)"); }
    FailingFileSystem& owner_;
  };
};

}  // namespace tarn::tests
