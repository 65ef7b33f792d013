#include "volume/limited_file_system.hpp"

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/error.hpp"
#include "base/limits.hpp"
#include "base/text.hpp"

namespace tarn::volume {

namespace {

constexpr std::uint64_t kBlockBytes = 4096;
constexpr std::chrono::seconds kCountInterval{60};
constexpr int kCountPart = 100;  // counting takes at most a hundredth of the time

std::uint64_t in_blocks(std::uint64_t size_bytes) {
  return (size_bytes + kBlockBytes - 1) / kBlockBytes * kBlockBytes;
}

/// LMDB writes it by itself: its size is asked for instead of being counted. That of an old one, which stays until the new one is
/// whole, is passed over.
bool is_index(std::string_view path) {
  return path.ends_with("/data.mdb") || path.ends_with("/data.mdb.old");
}

std::uint64_t file_bytes(const std::filesystem::path& path) {
  std::error_code gone;
  const auto size = std::filesystem::file_size(path, gone);
  return gone ? 0 : size;
}

}  // namespace

/// A file that may grow.
class LimitedFileSystem::CountedFile final : public base::File {
 public:
  CountedFile(LimitedFileSystem& fs, std::unique_ptr<base::File> real, std::uint64_t end) : fs_(fs), real_(std::move(real)), end_(end) {}

  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> target) const override { return real_->read_at(offset, target); }
  Result<void> write_at(std::uint64_t offset, std::span<const std::byte> bytes) override {
    return counted(real_->write_at(offset, bytes), offset + bytes.size());
  }
  Result<void> write_at(std::uint64_t offset, std::span<const std::span<const std::byte>> pieces) override {
    std::uint64_t end = offset;
    for (const auto& piece : pieces) end += piece.size();
    return counted(real_->write_at(offset, pieces), end);
  }
  Result<void> sync_data() override { return real_->sync_data(); }
  Result<void> truncate(std::uint64_t size_bytes) override {
    auto done = real_->truncate(size_bytes);
    if (done) set_end(size_bytes);
    return done;
  }
  Result<std::uint64_t> size() const override { return real_->size(); }
  int descriptor() const noexcept override { return real_->descriptor(); }
  const std::string& path() const noexcept override { return real_->path(); }

 private:
  /// A write that failed may have left some of it.
  Result<void> counted(Result<void> written, std::uint64_t end) {
    if (written) {
      std::uint64_t before = end_.load(std::memory_order_relaxed);
      if (end > before) set_end(end);
    } else if (const auto left = real_->size()) {
      set_end(*left);
    }
    return written;
  }
  void set_end(std::uint64_t end) noexcept { fs_.count(end_.exchange(end), end); }

  LimitedFileSystem& fs_;
  const std::unique_ptr<base::File> real_;
  std::atomic<std::uint64_t> end_;
};

Result<std::unique_ptr<LimitedFileSystem>> LimitedFileSystem::make(base::FileSystem& real, const std::string& directory, const SpaceLimits& limits) {
  if (limits.quota_bytes != 0 && limits.quota_bytes < limits::kQuotaBytesMin)
    return fail(ErrorCode::invalid, directory + ": a quota of " + base::format_size(limits.quota_bytes) + " is too small for a disk; give at least " +
                                        base::format_size(limits::kQuotaBytesMin));
  if (!(limits.keep_free_percent >= 0 && limits.keep_free_percent < 100))
    return fail(ErrorCode::invalid, directory + ": the part of a file system that is kept free must be at least 0 % and less than 100 %");
  std::unique_ptr<LimitedFileSystem> limited(new LimitedFileSystem(real, directory, limits));
  limited->count_anew();
  return limited;
}

Result<std::unique_ptr<base::File>> LimitedFileSystem::open(const std::string& path, base::OpenMode mode, mode_t permissions) {
  TARN_TRY(auto file, real_.open(path, mode, permissions));
  if (mode == base::OpenMode::read || is_index(path)) return file;
  TARN_TRY(const std::uint64_t end, file->size());
  return std::make_unique<CountedFile>(*this, std::move(file), end);
}

Result<void> LimitedFileSystem::remove(const std::string& path) {
  const std::uint64_t size_bytes = is_index(path) ? 0 : file_bytes(path);
  auto removed = real_.remove(path);
  if (removed) count(size_bytes, 0);
  return removed;
}

void LimitedFileSystem::count(std::uint64_t old_size_bytes, std::uint64_t new_size_bytes) noexcept {
  used_.fetch_add(static_cast<std::int64_t>(in_blocks(new_size_bytes)) - static_cast<std::int64_t>(in_blocks(old_size_bytes)));
}

void LimitedFileSystem::count_anew() {
  namespace fs = std::filesystem;
  const auto begin = std::chrono::steady_clock::now();
  const std::int64_t before = used_.load();
  std::int64_t found = 0;
  std::error_code error;
  for (auto at = fs::recursive_directory_iterator(directory_, error); !error && at != fs::recursive_directory_iterator(); at.increment(error)) {
    std::error_code ignored;
    if (is_index(at->path().native()) || !at->is_regular_file(ignored)) continue;
    found += static_cast<std::int64_t>(in_blocks(file_bytes(at->path())));
  }
  if (!error) used_.fetch_add(found - before);  // what was written meanwhile stays in it
  const auto end = std::chrono::steady_clock::now();
  next_count_ = end + std::max<std::chrono::steady_clock::duration>(kCountInterval, kCountPart * (end - begin));
}

std::uint64_t LimitedFileSystem::used_bytes() {
  {
    const std::unique_lock lock(count_mutex_, std::try_to_lock);
    if (lock && std::chrono::steady_clock::now() >= next_count_) count_anew();
  }
  return static_cast<std::uint64_t>(std::max<std::int64_t>(0, used_.load())) + in_blocks(file_bytes(directory_ + "/index/data.mdb"));
}

Result<base::Space> LimitedFileSystem::space(const std::string& path) {
  TARN_TRY(auto space, real_.space(path));
  const auto part = static_cast<std::uint64_t>(static_cast<double>(space.capacity_bytes) / 100 * limits_.keep_free_percent);
  space.kept_bytes = std::max(limits_.keep_free_bytes, part);
  if (limits_.quota_bytes == 0) return space;
  base::Space quota{std::min(limits_.quota_bytes, space.capacity_bytes)};
  quota.quota_bytes = limits_.quota_bytes;
  quota.used_bytes = used_bytes();
  quota.free_bytes = limits_.quota_bytes - std::min(limits_.quota_bytes, quota.used_bytes);
  // The one that leaves less, by what may be taken of it.
  if (space.free_bytes - std::min(space.free_bytes, space.kept_bytes) >= quota.free_bytes) return quota;
  space.capacity_bytes = quota.capacity_bytes;
  return space;
}

}  // namespace tarn::volume
