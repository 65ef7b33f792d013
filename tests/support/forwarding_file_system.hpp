// forwarding_file_system.hpp - the real file system, to be derived from by tests that change what one or two of its calls do.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/file.hpp"

namespace tarn::tests {

class ForwardingFile : public base::File {
 public:
  explicit ForwardingFile(std::unique_ptr<base::File> real) : real_(std::move(real)) {}
  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> target) const override { return real_->read_at(offset, target); }
  Result<void> write_at(std::uint64_t offset, std::span<const std::byte> bytes) override { return real_->write_at(offset, bytes); }
  Result<void> write_at(std::uint64_t offset, std::span<const std::span<const std::byte>> pieces) override { return real_->write_at(offset, pieces); }
  Result<void> sync_data() override { return real_->sync_data(); }
  Result<void> truncate(std::uint64_t size_bytes) override { return real_->truncate(size_bytes); }
  Result<std::uint64_t> size() const override { return real_->size(); }
  int descriptor() const noexcept override { return real_->descriptor(); }
  const std::string& path() const noexcept override { return real_->path(); }

 private:
  std::unique_ptr<base::File> real_;
};

class ForwardingFileSystem : public base::FileSystem {
 public:
  Result<std::unique_ptr<base::File>> open(const std::string& path, base::OpenMode mode, mode_t permissions) override {
    return real_.open(path, mode, permissions);
  }
  Result<void> make_directory(const std::string& path) override { return real_.make_directory(path); }
  Result<void> rename(const std::string& from, const std::string& to) override { return real_.rename(from, to); }
  Result<void> remove(const std::string& path) override { return real_.remove(path); }
  Result<std::vector<std::string>> list(const std::string& directory) override { return real_.list(directory); }
  Result<void> sync_directory(const std::string& directory) override { return real_.sync_directory(directory); }
  Result<base::Space> space(const std::string& path) override { return real_.space(path); }
  Result<bool> exists(const std::string& path) override { return real_.exists(path); }

 private:
  base::FileSystem& real_ = base::posix_file_system();
};

}  // namespace tarn::tests
