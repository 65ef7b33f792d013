// patient_file.hpp - a file that is read past what the disk does not give.
// Level 2 (volume). One thread.
//
//   a read fails (io) -> again, page by page -> pages that fail again read as zeros, and are noted
//
// A disk can take seconds over such a page. After kPagesMax of them what fails is noted as it was asked for, after kReadsMax
// reads that failed nothing more is read.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include <tarn/result.hpp>

#include "base/file.hpp"

namespace tarn::volume {

class PatientFile final : public base::File {
 public:
  static constexpr std::uint64_t kPageBytes = 4096;  // what the page cache reads: half of it is not to be had
  static constexpr std::uint64_t kPagesMax = 256, kReadsMax = 1024;

  explicit PatientFile(std::unique_ptr<base::File> real) : real_(std::move(real)) {}

  /// @errors all but io.
  [[nodiscard]] Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> target) const override;
  [[nodiscard]] Result<void> write_at(std::uint64_t offset, std::span<const std::byte> bytes) override { return real_->write_at(offset, bytes); }
  [[nodiscard]] Result<void> write_at(std::uint64_t offset, std::span<const std::span<const std::byte>> pieces) override {
    return real_->write_at(offset, pieces);
  }
  [[nodiscard]] Result<void> sync_data() override { return real_->sync_data(); }
  [[nodiscard]] Result<void> truncate(std::uint64_t size_bytes) override { return real_->truncate(size_bytes); }
  [[nodiscard]] Result<std::uint64_t> size() const override { return real_->size(); }
  [[nodiscard]] int descriptor() const noexcept override { return real_->descriptor(); }
  [[nodiscard]] const std::string& path() const noexcept override { return real_->path(); }

  /// Begin -> end of what could not be read of all that was asked for; ranges neither touch nor overlap.
  using Ranges = std::map<std::uint64_t, std::uint64_t>;
  [[nodiscard]] const Ranges& unreadable() const noexcept { return unreadable_; }
  [[nodiscard]] bool lacks(std::uint64_t offset, std::uint64_t length_bytes) const;
  /// What the system said of the first of them.
  [[nodiscard]] const std::string& reason() const noexcept { return reason_; }

 private:
  [[nodiscard]] Result<std::size_t> read_again(std::uint64_t offset, std::span<std::byte> target) const;
  void note(std::uint64_t begin, std::uint64_t end) const;

  const std::unique_ptr<base::File> real_;
  mutable Ranges unreadable_;
  mutable std::string reason_;
  mutable std::uint64_t failed_reads_ = 0;
};

}  // namespace tarn::volume
