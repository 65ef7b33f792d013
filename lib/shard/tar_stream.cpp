#include "shard/tar_stream.hpp"

#include <algorithm>
#include <utility>

#include "base/error.hpp"
#include "shard/gzip_stream.hpp"
#include "shard/libarchive_stream.hpp"

namespace tarn::shard {

namespace {

class PlainStream final : public TarStream {
 public:
  PlainStream(std::uint64_t size_bytes, ArchiveReadFn read) : size_(size_bytes), read_(std::move(read)) {}
  [[nodiscard]] Result<std::size_t> read(std::span<std::byte> target) override {
    if (offset_ == size_) return std::size_t{0};
    TARN_TRY(const std::size_t got, read_(offset_, target.first(std::min<std::uint64_t>(target.size(), size_ - offset_))));
    offset_ += got;
    return got;
  }

 private:
  const std::uint64_t size_;
  const ArchiveReadFn read_;
  std::uint64_t offset_ = 0;
};

}  // namespace

Result<std::unique_ptr<TarStream>> open_tar_stream(ArchiveKind kind, std::string_view name, std::uint64_t size_bytes, ArchiveReadFn read) {
  switch (kind) {
    case ArchiveKind::tar:
      return std::make_unique<PlainStream>(size_bytes, std::move(read));
    case ArchiveKind::tar_gz:
      return GzipStream::open(name, size_bytes, std::move(read));
    case ArchiveKind::zip:
      return ZipStream::open(name, size_bytes, std::move(read));
    default:
      return FilterStream::open(kind, name, size_bytes, std::move(read));
  }
}

}  // namespace tarn::shard
