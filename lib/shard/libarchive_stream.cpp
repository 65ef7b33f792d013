#include "shard/libarchive_stream.hpp"

#include <archive.h>
#include <archive_entry.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/error.hpp"
#include "shard/tar_format.hpp"

namespace tarn::shard {

namespace {

constexpr std::size_t kInputBytes = 64 * 1024;

la_ssize_t read_source(archive* handle, void* data, const void** bytes) {
  auto& source = *static_cast<ArchiveSource*>(data);
  const std::uint64_t left = source.size_bytes - std::min(source.size_bytes, source.offset);
  if (left == 0) return 0;
  auto got = source.read(source.offset, std::span(source.buffer).first(std::min<std::uint64_t>(left, source.buffer.size())));
  if (!got) {
    source.outcome = fail(std::move(got).error());
    archive_set_error(handle, EIO, "it cannot be read");
    return -1;
  }
  source.offset += *got;
  *bytes = source.buffer.data();
  return static_cast<la_ssize_t>(*got);
}

la_int64_t seek_source(archive* /*handle*/, void* data, la_int64_t offset, int whence) {
  auto& source = *static_cast<ArchiveSource*>(data);
  const auto size = static_cast<la_int64_t>(source.size_bytes);
  const la_int64_t from = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? static_cast<la_int64_t>(source.offset) : size;
  const la_int64_t to = std::clamp<la_int64_t>(from + offset, 0, size);
  source.offset = static_cast<std::uint64_t>(to);
  return to;
}

tl::unexpected<Error> damaged(const ArchiveSource& source, std::string_view why) {
  if (!source.outcome) return fail(source.outcome.error());
  return fail(ErrorCode::invalid, "shard '" + source.name + "' cannot be unpacked: " + std::string(why));
}

tl::unexpected<Error> damaged(const ArchiveSource& source, archive* handle) {
  const char* const why = archive_error_string(handle);
  return damaged(source, why != nullptr ? why : "it is damaged");
}

int filter_of(ArchiveKind kind) {
  switch (kind) {
    case ArchiveKind::tar_zst:
      return ARCHIVE_FILTER_ZSTD;
    case ArchiveKind::tar_lz4:
      return ARCHIVE_FILTER_LZ4;
    default:
      return ARCHIVE_FILTER_XZ;
  }
}

Result<ArchiveHandle> new_handle(ArchiveSource& source, std::string_view name, std::uint64_t size_bytes, ArchiveReadFn read) {
  source.name = name;
  source.size_bytes = size_bytes;
  source.read = std::move(read);
  source.buffer.resize(kInputBytes);
  ArchiveHandle handle(archive_read_new());
  if (!handle) return fail(ErrorCode::internal, "shard '" + source.name + "': no memory to unpack it");
  archive_read_set_read_callback(handle.get(), read_source);
  archive_read_set_callback_data(handle.get(), &source);
  return handle;
}

}  // namespace

void ArchiveFree::operator()(archive* handle) const noexcept {
  archive_read_free(handle);
}

Result<std::unique_ptr<TarStream>> FilterStream::open(ArchiveKind kind, std::string_view name, std::uint64_t size_bytes, ArchiveReadFn read) {
  std::unique_ptr<FilterStream> stream(new FilterStream);
  TARN_TRY(stream->handle_, new_handle(stream->source_, name, size_bytes, std::move(read)));
  archive* const handle = stream->handle_.get();
  archive_read_support_format_raw(handle);
  archive_read_support_format_empty(handle);
  if (archive_read_support_filter_by_code(handle, filter_of(kind)) != ARCHIVE_OK) return damaged(stream->source_, handle);
  if (archive_read_open1(handle) != ARCHIVE_OK) return damaged(stream->source_, handle);
  archive_entry* entry = nullptr;
  const int code = archive_read_next_header(handle, &entry);
  if (code != ARCHIVE_OK && code != ARCHIVE_EOF) return damaged(stream->source_, handle);
  stream->empty_ = code == ARCHIVE_EOF;
  if (archive_filter_code(handle, 0) != filter_of(kind))  // libarchive hands on what it does not know
    return damaged(stream->source_, "its bytes are not " + std::string(archive_extension(kind)).substr(5) + "'s format");
  return std::unique_ptr<TarStream>(std::move(stream));
}

Result<std::size_t> FilterStream::read(std::span<std::byte> target) {
  if (empty_) return std::size_t{0};
  const la_ssize_t got = archive_read_data(handle_.get(), target.data(), target.size());
  if (got < 0) return damaged(source_, handle_.get());
  return static_cast<std::size_t>(got);
}

Result<std::unique_ptr<TarStream>> ZipStream::open(std::string_view name, std::uint64_t size_bytes, ArchiveReadFn read) {
  std::unique_ptr<ZipStream> stream(new ZipStream);
  TARN_TRY(stream->handle_, new_handle(stream->source_, name, size_bytes, std::move(read)));
  archive* const handle = stream->handle_.get();
  archive_read_set_seek_callback(handle, seek_source);
  archive_read_support_format_zip_seekable(handle);
  if (archive_read_open1(handle) != ARCHIVE_OK) return damaged(stream->source_, handle);
  return std::unique_ptr<TarStream>(std::move(stream));
}

/// As the archive has it: libarchive's own conversion depends on the locale.
Result<std::string> ZipStream::entry_name(archive_entry* entry) const {
  const char* name = archive_entry_pathname(entry);
  if (name == nullptr) name = archive_entry_pathname_utf8(entry);
  if (name == nullptr || *name == 0) return damaged(source_, "an entry has no name");
  return std::string(name);
}

/// Makes the headers of the next file, or the end mark.
Result<void> ZipStream::next_entry() {
  head_given_ = 0;
  head_.assign(static_cast<std::size_t>(padding_), std::byte{0});
  padding_ = 0;
  for (;;) {
    archive_entry* entry = nullptr;
    const int code = archive_read_next_header(handle_.get(), &entry);
    if (code == ARCHIVE_EOF) {
      ended_ = true;
      head_.resize(head_.size() + kTrailerBytes);
      return {};
    }
    if (code != ARCHIVE_OK && code != ARCHIVE_WARN) return damaged(source_, handle_.get());
    TARN_TRY(entry_name_, entry_name(entry));
    if (archive_entry_filetype(entry) != AE_IFREG || entry_name_.ends_with('/')) {
      ++left_out_;
      continue;
    }
    if (archive_entry_is_encrypted(entry) != 0)
      return fail(ErrorCode::unsupported, "shard '" + source_.name + "': '" + entry_name_ + "' is encrypted; pack it again without a password");
    if (archive_entry_size_is_set(entry) == 0) return damaged(source_, "it does not say how long '" + entry_name_ + "' is");
    const auto size = static_cast<std::uint64_t>(archive_entry_size(entry));
    const auto headers = make_tar_headers(entry_name_, size);
    head_.insert(head_.end(), headers.begin(), headers.end());
    data_left_ = size;
    padding_ = padded(size) - size;
    return {};
  }
}

Result<std::size_t> ZipStream::read_data(std::span<std::byte> target) {
  const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(target.size(), data_left_));
  const la_ssize_t got = archive_read_data(handle_.get(), target.data(), wanted);
  if (got < 0) return damaged(source_, handle_.get());
  if (got == 0) return damaged(source_, "'" + entry_name_ + "' is shorter than its header says");
  data_left_ -= static_cast<std::uint64_t>(got);
  if (data_left_ == 0) {  // its checksum is looked at when one reads on
    std::byte more{};
    const la_ssize_t rest = archive_read_data(handle_.get(), &more, 1);
    if (rest < 0) return damaged(source_, handle_.get());
    if (rest > 0) return damaged(source_, "'" + entry_name_ + "' is longer than its header says");
  }
  return static_cast<std::size_t>(got);
}

Result<std::size_t> ZipStream::read(std::span<std::byte> target) {
  std::size_t given = 0;
  while (given < target.size()) {
    if (head_given_ < head_.size()) {
      const std::size_t piece = std::min(target.size() - given, head_.size() - head_given_);
      std::memcpy(target.data() + given, head_.data() + head_given_, piece);
      head_given_ += piece;
      given += piece;
    } else if (data_left_ > 0) {
      TARN_TRY(const std::size_t got, read_data(target.subspan(given)));
      given += got;
    } else if (ended_) {
      break;
    } else {
      TARN_CHECK(next_entry());
    }
  }
  return given;
}

}  // namespace tarn::shard
