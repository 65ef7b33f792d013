// rated_file_system.hpp - a file system whose files are read and written no faster than a rate, by all who use it together.
// Level 1 (base). Any thread. What is mapped, or read by a descriptor, is not counted.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/file.hpp"
#include "base/rate_limit.hpp"

namespace tarn::base {

class RatedFileSystem final : public FileSystem {
 public:
  /// @param real         must outlive this, and this the files that it opens.
  /// @param bytes_per_s  0: no limit.
  RatedFileSystem(FileSystem& real, std::uint64_t bytes_per_s) noexcept : real_(real), rate_(bytes_per_s) {}

  [[nodiscard]] Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode, mode_t permissions) override {
    auto file = real_.open(path, mode, permissions);
    if (!file) return file;
    return std::make_unique<RatedFile>(rate_, std::move(*file));
  }
  [[nodiscard]] Result<void> make_directory(const std::string& path) override { return real_.make_directory(path); }
  [[nodiscard]] Result<void> rename(const std::string& from, const std::string& to) override { return real_.rename(from, to); }
  [[nodiscard]] Result<void> remove(const std::string& path) override { return real_.remove(path); }
  [[nodiscard]] Result<std::vector<std::string>> list(const std::string& directory) override { return real_.list(directory); }
  [[nodiscard]] Result<void> sync_directory(const std::string& directory) override { return real_.sync_directory(directory); }
  [[nodiscard]] Result<Space> space(const std::string& path) override { return real_.space(path); }
  [[nodiscard]] Result<bool> exists(const std::string& path) override { return real_.exists(path); }

 private:
  class RatedFile final : public File {
   public:
    RatedFile(RateLimit& rate, std::unique_ptr<File> real) noexcept : rate_(rate), real_(std::move(real)) {}
    Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> target) const override {
      rate_.take(target.size());
      return real_->read_at(offset, target);
    }
    Result<void> write_at(std::uint64_t offset, std::span<const std::byte> bytes) override {
      rate_.take(bytes.size());
      return real_->write_at(offset, bytes);
    }
    Result<void> write_at(std::uint64_t offset, std::span<const std::span<const std::byte>> pieces) override {
      for (const auto& piece : pieces) rate_.take(piece.size());
      return real_->write_at(offset, pieces);
    }
    Result<void> sync_data() override { return real_->sync_data(); }
    Result<void> truncate(std::uint64_t size_bytes) override { return real_->truncate(size_bytes); }
    Result<std::uint64_t> size() const override { return real_->size(); }
    int descriptor() const noexcept override { return real_->descriptor(); }
    const std::string& path() const noexcept override { return real_->path(); }

   private:
    RateLimit& rate_;
    const std::unique_ptr<File> real_;
  };

  FileSystem& real_;
  RateLimit rate_;
};

}  // namespace tarn::base
