// gzip_stream.hpp - unpacks .tar.gz. (libarchive 3.6 does not look at gzip's checksums, zlib does.)
// Level 2 (shard). One thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "shard/tar_stream.hpp"

struct z_stream_s;

namespace tarn::shard {

class GzipStream final : public TarStream {
 public:
  [[nodiscard]] static Result<std::unique_ptr<TarStream>> open(std::string_view name, std::uint64_t size_bytes, ArchiveReadFn read);
  ~GzipStream() override;
  [[nodiscard]] Result<std::size_t> read(std::span<std::byte> target) override;

 private:
  GzipStream(std::string_view name, std::uint64_t size_bytes, ArchiveReadFn read);
  [[nodiscard]] Result<void> fill();
  [[nodiscard]] Result<void> next_member();
  [[nodiscard]] tl::unexpected<Error> damaged(std::string_view why) const;

  const std::string name_;
  const std::uint64_t size_;
  const ArchiveReadFn read_;
  std::vector<std::byte> input_;
  std::uint64_t offset_ = 0;  // of the next byte that read_ gives
  std::unique_ptr<z_stream_s> zlib_;
  bool in_member_ = true;
};

}  // namespace tarn::shard
