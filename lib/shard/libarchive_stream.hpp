// libarchive_stream.hpp - unpacks .tar.zst, .tar.lz4, .tar.xz and .zip with libarchive.
// Level 2 (shard). One thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "shard/tar_stream.hpp"

struct archive;
struct archive_entry;

namespace tarn::shard {

/// What libarchive reads through: its callbacks get a pointer to it.
struct ArchiveSource {
  std::string name;
  std::uint64_t size_bytes = 0;
  ArchiveReadFn read;
  std::vector<std::byte> buffer;
  std::uint64_t offset = 0;
  Result<void> outcome;  ///< of `read`, whose error libarchive cannot carry
};

struct ArchiveFree {
  void operator()(archive* handle) const noexcept;
};
using ArchiveHandle = std::unique_ptr<archive, ArchiveFree>;

class FilterStream final : public TarStream {
 public:
  [[nodiscard]] static Result<std::unique_ptr<TarStream>> open(ArchiveKind kind, std::string_view name, std::uint64_t size_bytes, ArchiveReadFn read);
  [[nodiscard]] Result<std::size_t> read(std::span<std::byte> target) override;

 private:
  FilterStream() = default;
  ArchiveSource source_;
  ArchiveHandle handle_;
  bool empty_ = false;
};

class ZipStream final : public TarStream {
 public:
  [[nodiscard]] static Result<std::unique_ptr<TarStream>> open(std::string_view name, std::uint64_t size_bytes, ArchiveReadFn read);
  [[nodiscard]] Result<std::size_t> read(std::span<std::byte> target) override;
  [[nodiscard]] std::uint64_t left_out() const noexcept override { return left_out_; }

 private:
  ZipStream() = default;
  [[nodiscard]] Result<void> next_entry();
  [[nodiscard]] Result<std::string> entry_name(archive_entry* entry) const;
  [[nodiscard]] Result<std::size_t> read_data(std::span<std::byte> target);

  ArchiveSource source_;
  ArchiveHandle handle_;
  std::vector<std::byte> head_;  // headers, padding or the end mark, to be given out before data
  std::size_t head_given_ = 0;
  std::string entry_name_;
  std::uint64_t data_left_ = 0, padding_ = 0;  // of the entry
  std::uint64_t left_out_ = 0;
  bool ended_ = false;
};

}  // namespace tarn::shard
