#include "shard/gzip_stream.hpp"

#include <zlib.h>

#include <algorithm>
#include <limits>

#include "base/error.hpp"

namespace tarn::shard {

namespace {
constexpr std::size_t kInputBytes = 64 * 1024;
constexpr int kGzipOnly = 16;  // added to windowBits (zlib.h, inflateInit2)
}  // namespace

GzipStream::GzipStream(std::string_view name, std::uint64_t size_bytes, ArchiveReadFn read)
    : name_(name), size_(size_bytes), read_(std::move(read)), input_(kInputBytes), zlib_(std::make_unique<z_stream_s>()) {}

GzipStream::~GzipStream() {
  inflateEnd(zlib_.get());
}

Result<std::unique_ptr<TarStream>> GzipStream::open(std::string_view name, std::uint64_t size_bytes, ArchiveReadFn read) {
  std::unique_ptr<GzipStream> stream(new GzipStream(name, size_bytes, std::move(read)));
  if (inflateInit2(stream->zlib_.get(), MAX_WBITS + kGzipOnly) != Z_OK)
    return fail(ErrorCode::internal, "shard '" + stream->name_ + "': no memory to unpack it");
  return std::unique_ptr<TarStream>(std::move(stream));
}

tl::unexpected<Error> GzipStream::damaged(std::string_view why) const {
  return fail(ErrorCode::invalid, "shard '" + name_ + "' cannot be unpacked before byte " + std::to_string(offset_ - zlib_->avail_in) + " of " +
                                      std::to_string(size_) + ": " + std::string(why));
}

Result<void> GzipStream::fill() {
  TARN_TRY(const std::size_t got, read_(offset_, std::span(input_).first(std::min<std::uint64_t>(input_.size(), size_ - offset_))));
  offset_ += got;
  zlib_->next_in = reinterpret_cast<Bytef*>(input_.data());
  zlib_->avail_in = static_cast<uInt>(got);
  return {};
}

/// Behind the end of one: several may be joined, as by `cat`; zeros at the end are padding (RFC 1952, 2.2; gzip(1)).
Result<void> GzipStream::next_member() {
  for (;;) {
    while (zlib_->avail_in > 0 && *zlib_->next_in == 0) {
      ++zlib_->next_in;
      --zlib_->avail_in;
    }
    if (zlib_->avail_in > 0) break;
    if (offset_ == size_) return {};
    TARN_CHECK(fill());
    if (zlib_->avail_in == 0) return damaged("it ends there");
  }
  inflateReset(zlib_.get());
  in_member_ = true;
  return {};
}

Result<std::size_t> GzipStream::read(std::span<std::byte> target) {
  if (size_ == 0) return damaged("it is empty");
  zlib_->next_out = reinterpret_cast<Bytef*>(target.data());
  zlib_->avail_out = static_cast<uInt>(std::min<std::size_t>(target.size(), std::numeric_limits<uInt>::max()));
  const uInt wanted = zlib_->avail_out;
  while (zlib_->avail_out > 0) {
    if (!in_member_) {
      TARN_CHECK(next_member());
      if (!in_member_) break;
    }
    if (zlib_->avail_in == 0) {
      if (offset_ == size_) return damaged("it is cut off");
      TARN_CHECK(fill());
      if (zlib_->avail_in == 0) return damaged("it ends there");
    }
    const int code = inflate(zlib_.get(), Z_NO_FLUSH);
    if (code == Z_STREAM_END) {
      in_member_ = false;
    } else if (code == Z_MEM_ERROR) {
      return fail(ErrorCode::internal, "shard '" + name_ + "': no memory to unpack it");
    } else if (code != Z_OK && code != Z_BUF_ERROR) {
      return damaged(zlib_->msg != nullptr ? zlib_->msg : "it is not gzip's format");
    }
  }
  return static_cast<std::size_t>(wanted - zlib_->avail_out);
}

}  // namespace tarn::shard
