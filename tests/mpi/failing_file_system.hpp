// failing_file_system.hpp - a file system that runs out of space at a chosen call.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/file.hpp"

namespace tarn::tests {

/// Says "no space" after a number of good writes to, or renames of, volumes under a temporary name.
class FailingFileSystem final : public base::FileSystem {
 public:
  std::atomic<std::int64_t> writes_left{INT64_MAX}, renames_left{INT64_MAX};

  Result<std::unique_ptr<base::File>> open(const std::string& path, base::OpenMode mode, mode_t permissions) override {
    auto file = real_.open(path, mode, permissions);
    if (file && path.ends_with(".tmp")) return std::make_unique<FailingFile>(std::move(*file), *this);
    return file;
  }
  Result<void> rename(const std::string& from, const std::string& to) override {
    if (from.ends_with(".tmp") && renames_left-- <= 0) return fail(ErrorCode::no_space, "rename " + to + ": no space (test)");
    return real_.rename(from, to);
  }
  Result<void> make_directory(const std::string& path) override { return real_.make_directory(path); }
  Result<void> remove(const std::string& path) override { return real_.remove(path); }
  Result<std::vector<std::string>> list(const std::string& directory) override { return real_.list(directory); }
  Result<void> sync_directory(const std::string& directory) override { return real_.sync_directory(directory); }
  Result<base::Space> space(const std::string& path) override { return real_.space(path); }
  Result<bool> exists(const std::string& path) override { return real_.exists(path); }

 private:
  class FailingFile final : public base::File {
   public:
    FailingFile(std::unique_ptr<base::File> real, FailingFileSystem& owner) : real_(std::move(real)), owner_(owner) {}
    Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> target) const override { return real_->read_at(offset, target); }
    Result<void> write_at(std::uint64_t offset, std::span<const std::byte> bytes) override {
      if (owner_.writes_left-- <= 0) return full();
      return real_->write_at(offset, bytes);
    }
    Result<void> write_at(std::uint64_t offset, std::span<const std::span<const std::byte>> pieces) override {
      if (owner_.writes_left-- <= 0) return full();
      return real_->write_at(offset, pieces);
    }
    Result<void> sync_data() override { return real_->sync_data(); }
    Result<void> truncate(std::uint64_t size_bytes) override { return real_->truncate(size_bytes); }
    Result<std::uint64_t> size() const override { return real_->size(); }
    int descriptor() const noexcept override { return real_->descriptor(); }
    const std::string& path() const noexcept override { return real_->path(); }

   private:
    [[nodiscard]] tl::unexpected<Error> full() const { return fail(ErrorCode::no_space, "write " + path() + ": no space (test)"); }
    std::unique_ptr<base::File> real_;
    FailingFileSystem& owner_;
  };
  base::FileSystem& real_ = base::posix_file_system();
};

}  // namespace tarn::tests
