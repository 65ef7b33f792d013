// fault_file_system.hpp - the real file system with the faults of a plan. A single fault of a write leaves half of it behind, one that
// stays nothing. Syncs take no time.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "fault_plan.hpp"
#include "support/forwarding_file_system.hpp"

namespace tarn::tests {

class FaultFileSystem final : public ForwardingFileSystem {
 public:
  explicit FaultFileSystem(FaultPlan& plan) : plan_(plan) {}

  Result<std::unique_ptr<base::File>> open(const std::string& path, base::OpenMode mode, mode_t permissions) override {
    TARN_CHECK(meet(mode == base::OpenMode::read ? Call::open : Call::open_to_write, path));
    TARN_TRY(auto file, ForwardingFileSystem::open(path, mode, permissions));
    return std::make_unique<FaultFile>(*this, std::move(file));
  }
  Result<void> make_directory(const std::string& path) override {
    TARN_CHECK(meet(Call::make_directory, path));
    return ForwardingFileSystem::make_directory(path);
  }
  Result<void> rename(const std::string& from, const std::string& to) override {
    TARN_CHECK(meet(Call::rename, to));
    return ForwardingFileSystem::rename(from, to);
  }
  Result<void> remove(const std::string& path) override {
    TARN_CHECK(meet(Call::remove, path));
    return ForwardingFileSystem::remove(path);
  }
  Result<std::vector<std::string>> list(const std::string& directory) override {
    TARN_CHECK(meet(Call::list, directory));
    return ForwardingFileSystem::list(directory);
  }
  Result<void> sync_directory(const std::string& directory) override { return meet(Call::sync_directory, directory); }
  Result<base::Space> space(const std::string& path) override {
    TARN_CHECK(meet(Call::space, path));
    return ForwardingFileSystem::space(path);
  }
  Result<bool> exists(const std::string& path) override {
    TARN_CHECK(meet(Call::exists, path));
    return ForwardingFileSystem::exists(path);
  }

 private:
  [[nodiscard]] Result<void> meet(Call call, const std::string& path) const {
    const auto error = plan_.meet(call, path);
    if (!error) return {};
    Error said = base::errno_error(*error, name_of(call), path);
    said.message += " (injected)";
    return fail(std::move(said));
  }

  class FaultFile final : public ForwardingFile {
   public:
    FaultFile(const FaultFileSystem& fs, std::unique_ptr<base::File> real) : ForwardingFile(std::move(real)), fs_(fs) {}
    Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> target) const override {
      TARN_CHECK(fs_.meet(Call::read, path()));
      return ForwardingFile::read_at(offset, target);
    }
    Result<void> write_at(std::uint64_t offset, std::span<const std::byte> bytes) override {
      const bool stays = fs_.plan_.stays();
      if (auto met = fs_.meet(Call::write, path()); !met) {
        if (!stays) (void)ForwardingFile::write_at(offset, bytes.first(bytes.size() / 2));
        return met;
      }
      return ForwardingFile::write_at(offset, bytes);
    }
    Result<void> write_at(std::uint64_t offset, std::span<const std::span<const std::byte>> pieces) override {
      std::vector<std::byte> bytes;
      for (const auto& piece : pieces) bytes.insert(bytes.end(), piece.begin(), piece.end());
      return write_at(offset, std::span<const std::byte>(bytes));
    }
    Result<void> sync_data() override { return fs_.meet(Call::sync, path()); }
    Result<void> truncate(std::uint64_t size_bytes) override {
      TARN_CHECK(fs_.meet(Call::truncate, path()));
      return ForwardingFile::truncate(size_bytes);
    }
    Result<std::uint64_t> size() const override {
      TARN_CHECK(fs_.meet(Call::size, path()));
      return ForwardingFile::size();
    }

   private:
    const FaultFileSystem& fs_;
  };

  FaultPlan& plan_;
};

}  // namespace tarn::tests
