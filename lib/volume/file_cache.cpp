#include "volume/file_cache.hpp"

#include <sys/stat.h>

#include <charconv>
#include <cstdio>
#include <mutex>
#include <utility>

#include "base/error.hpp"

namespace tarn::volume {

namespace {

constexpr std::string_view kVolume = ".tar", kUnfinished = ".tar.tmp", kSideFile = ".blocks.tmp";

std::string path_of(std::string_view directory, std::uint64_t volume, std::string_view suffix) {
  char name[40];
  std::snprintf(name, sizeof(name), "/volumes/%08llu", static_cast<unsigned long long>(volume));
  return std::string(directory).append(name).append(suffix);
}

/// The number before this suffix; UINT64_MAX when the name is another one.
std::uint64_t number_before(std::string_view file_name, std::string_view suffix) noexcept {
  if (file_name.size() < 8 + suffix.size() || file_name.substr(file_name.size() - suffix.size()) != suffix) return UINT64_MAX;
  std::uint64_t number = 0;
  const char* last = file_name.data() + file_name.size() - suffix.size();
  const auto [end, error] = std::from_chars(file_name.data(), last, number);
  return error == std::errc() && end == last ? number : UINT64_MAX;
}

}  // namespace

std::string volume_file_path(std::string_view directory, std::uint64_t volume) {
  return path_of(directory, volume, kVolume);
}

std::string block_side_path(std::string_view directory, std::uint64_t volume) {
  return path_of(directory, volume, kSideFile);
}

bool is_unfinished(std::string_view file_name) noexcept {
  return number_before(file_name, kUnfinished) != UINT64_MAX || number_before(file_name, kSideFile) != UINT64_MAX;
}

std::uint64_t volume_number(std::string_view file_name) noexcept {
  return number_before(file_name, kVolume);
}

FileCache::FileCache(base::FileSystem& fs, std::string directory, std::size_t capacity)
    : fs_(fs), directory_(std::move(directory)), capacity_(capacity) {}

Result<std::shared_ptr<const base::File>> FileCache::get(std::uint64_t volume) {
  {
    const std::shared_lock lock(mutex_);
    if (const auto found = position_.find(volume); found != position_.end()) {
      Entry& entry = *ring_[found->second];
      if (!entry.used.load(std::memory_order_relaxed)) entry.used.store(true, std::memory_order_relaxed);
      return entry.file;
    }
  }
  TARN_TRY(auto opened, fs_.open(volume_file_path(directory_, volume), base::OpenMode::read));
  std::shared_ptr<const base::File> file = std::move(opened);
  const std::unique_lock lock(mutex_);
  // Unlinked since it was opened, and dropped perhaps already: kept here, its space would not come back.
  struct stat status {};
  if (::fstat(file->descriptor(), &status) == 0 && status.st_nlink == 0) return file;
  insert_locked(volume, file);
  return file;
}

void FileCache::put(std::uint64_t volume, std::shared_ptr<const base::File> file) {
  const std::unique_lock lock(mutex_);
  insert_locked(volume, std::move(file));
}

void FileCache::insert_locked(std::uint64_t volume, std::shared_ptr<const base::File> file) {
  if (const auto found = position_.find(volume); found != position_.end()) {
    ring_[found->second]->file = std::move(file);
    return;
  }
  std::size_t slot = ring_.size();
  if (ring_.size() < capacity_) {
    ring_.push_back(std::make_unique<Entry>());
  } else {
    while (ring_[hand_]->used.exchange(false, std::memory_order_relaxed)) hand_ = (hand_ + 1) % ring_.size();
    slot = hand_;
    hand_ = (hand_ + 1) % ring_.size();
    position_.erase(ring_[slot]->volume);
  }
  ring_[slot]->volume = volume;
  ring_[slot]->file = std::move(file);
  ring_[slot]->used.store(true, std::memory_order_relaxed);
  position_[volume] = slot;
}

void FileCache::drop(std::uint64_t volume) {
  const std::unique_lock lock(mutex_);
  const auto found = position_.find(volume);
  if (found == position_.end()) return;
  const std::size_t slot = found->second;
  position_.erase(found);
  if (slot + 1 != ring_.size()) {
    ring_[slot] = std::move(ring_.back());
    position_[ring_[slot]->volume] = slot;
  }
  ring_.pop_back();
  if (hand_ >= ring_.size()) hand_ = 0;
}

void FileCache::drop_unlinked() {
  std::vector<std::uint64_t> gone;
  {
    const std::shared_lock lock(mutex_);
    for (const auto& entry : ring_) {
      struct stat status {};
      if (::fstat(entry->file->descriptor(), &status) == 0 && status.st_nlink == 0) gone.push_back(entry->volume);
    }
  }
  for (const std::uint64_t volume : gone) drop(volume);
}

}  // namespace tarn::volume
