#include "shard/tar_packer.hpp"

#include <archive.h>
#include <archive_entry.h>

#include <algorithm>

#include "base/error.hpp"

namespace tarn::shard {

namespace {

using EntryPtr = std::unique_ptr<archive_entry, decltype(&archive_entry_free)>;

}  // namespace

TarPacker::~TarPacker() {
  if (handle_ == nullptr) return;
  abandoned_ = true;  // an unfinished shard gets nothing more, though free() packs what is left
  archive_write_free(handle_);
}

Result<std::unique_ptr<TarPacker>> TarPacker::open(ArchiveKind kind, PackedFn sink) {
  std::unique_ptr<TarPacker> packer(new TarPacker(std::move(sink)));
  archive* const handle = packer->handle_ = archive_write_new();
  const EntryPtr entry(archive_entry_new(), &archive_entry_free);
  if (handle == nullptr || !entry) return fail(ErrorCode::internal, "no memory to pack a shard");
  // libarchive never learns of the sink's error, write() and finish() tell it: after a failed write it leaks its buffers (3.6.2).
  const auto write = [](archive* /*to*/, void* data, const void* bytes, std::size_t size) -> la_ssize_t {
    auto& self = *static_cast<TarPacker*>(data);
    if (self.sunk_ && !self.abandoned_) self.sunk_ = self.sink_({static_cast<const std::byte*>(bytes), size});
    return static_cast<la_ssize_t>(size);
  };
  archive_entry_set_filetype(entry.get(), AE_IFREG);
  archive_write_set_format_raw(handle);
  archive_write_set_bytes_in_last_block(handle, 1);
  int code = kind == ArchiveKind::tar_gz ? archive_write_add_filter_gzip(handle) : archive_write_add_filter_zstd(handle);
  if (code == ARCHIVE_OK && kind == ArchiveKind::tar_gz) code = archive_write_set_filter_option(handle, "gzip", "timestamp", nullptr);
  if (code == ARCHIVE_OK) code = archive_write_open(handle, packer.get(), nullptr, write, nullptr);
  if (code == ARCHIVE_OK) code = archive_write_header(handle, entry.get());
  TARN_CHECK(packer->outcome(code));
  return packer;
}

Result<void> TarPacker::outcome(long code) {
  if (!sunk_) return fail(sunk_.error());
  if (code >= ARCHIVE_OK) return {};
  const char* const why = archive_error_string(handle_);
  return fail(ErrorCode::internal, std::string("a shard cannot be packed: ") + (why != nullptr ? why : "out of memory"));
}

Result<void> TarPacker::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const auto written = archive_write_data(handle_, bytes.data(), bytes.size());
    TARN_CHECK(outcome(written));
    bytes = bytes.subspan(static_cast<std::size_t>(std::max<la_ssize_t>(written, 0)));
  }
  return {};
}

Result<void> TarPacker::finish() {
  return outcome(archive_write_close(handle_));
}

}  // namespace tarn::shard
