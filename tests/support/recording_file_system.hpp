// recording_file_system.hpp - the real file system below one directory, with a log of what was written, named and synced, from
// which the disk's state after a loss of power at any moment can be made.
//
// What a loss of power may leave: of each file everything up to its last fdatasync and, of what came later, any part: each
// write as a whole, not at all, or torn between blocks of 512 bytes; a cut as well as none; the length with or without
// the bytes. Of each directory every name up to its last fsync and any selection of the later changes. A rename is one change.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/file.hpp"
#include "support/forwarding_file_system.hpp"

namespace tarn::tests {

/// The real one as after a start of the machine that is told apart by `boot`; nothing is synced.
class BootedFileSystem : public ForwardingFileSystem {
 public:
  /// `boot_file`: holds the boot id; read in place of the kernel's.
  explicit BootedFileSystem(std::string boot_file) : boot_file_(std::move(boot_file)) {}
  Result<std::unique_ptr<base::File>> open(const std::string& path, base::OpenMode mode, mode_t permissions) override {
    const bool boot = path == "/proc/sys/kernel/random/boot_id";
    return ForwardingFileSystem::open(boot ? boot_file_ : path, mode, permissions);
  }
  Result<void> sync_directory(const std::string&) override { return {}; }

 private:
  const std::string boot_file_;
};

class RecordingFileSystem final : public BootedFileSystem {
 public:
  /// Records below `root`, but for the folder `unrecorded` in it. What is there already counts as synced.
  RecordingFileSystem(std::string root, std::string unrecorded, std::string boot_file)
      : BootedFileSystem(std::move(boot_file)), root_(std::move(root)), unrecorded_(root_ + "/" + unrecorded) {
    namespace fs = std::filesystem;
    if (!fs::exists(root_)) return;
    for (const auto& entry : fs::recursive_directory_iterator(root_)) {
      const std::string path = entry.path().string();
      if (!recorded(path)) continue;
      if (entry.is_directory()) {
        log_.push_back({Op::make_directory, 0, 0, {}, path, {}});
      } else {
        std::ifstream file(path, std::ios::binary);
        const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
        const std::size_t inode = name(path);
        log_.push_back({Op::write, inode, 0, text, {}, {}});
        log_.push_back({Op::sync, inode, 0, {}, {}, {}});
      }
    }
    for (const auto& step : std::vector<Step>(log_))
      if (!step.path.empty()) log_.push_back({Op::sync_directory, 0, 0, {}, parent(step.path), {}});
    log_.push_back({Op::sync_directory, 0, 0, {}, root_, {}});
    begin_ = log_.size();
  }

  Result<std::unique_ptr<base::File>> open(const std::string& path, base::OpenMode mode, mode_t permissions) override {
    if (!recorded(path)) return BootedFileSystem::open(path, mode, permissions);
    const std::lock_guard lock(mutex_);
    auto file = BootedFileSystem::open(path, mode, permissions);
    if (!file) return file;
    const auto known = names_.find(path);
    return std::make_unique<RecordedFile>(*this, std::move(*file), known != names_.end() ? known->second : name(path));
  }
  Result<void> make_directory(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    const bool is_new = recorded(path) && path != root_ && !std::filesystem::exists(path);
    auto made = BootedFileSystem::make_directory(path);
    if (made && is_new) log_.push_back({Op::make_directory, 0, 0, {}, path, {}});
    return made;
  }
  Result<void> rename(const std::string& from, const std::string& to) override {
    const std::lock_guard lock(mutex_);
    auto renamed = BootedFileSystem::rename(from, to);
    if (!renamed || !recorded(from)) return renamed;
    log_.push_back({Op::rename, names_.at(from), 0, {}, to, from});
    names_[to] = names_.at(from);
    names_.erase(from);
    return renamed;
  }
  Result<void> remove(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    auto removed = BootedFileSystem::remove(path);
    if (removed && recorded(path)) {
      log_.push_back({Op::remove, names_.at(path), 0, {}, path, {}});
      names_.erase(path);
    }
    return removed;
  }
  Result<void> sync_directory(const std::string& directory) override {
    const std::lock_guard lock(mutex_);
    log_.push_back({Op::sync_directory, 0, 0, {}, directory, {}});
    return {};
  }

  /// How much has happened: a moment to which image() can go back. From begin() on; what was there before is not in question.
  [[nodiscard]] std::size_t now() {
    const std::lock_guard lock(mutex_);
    return log_.size();
  }
  [[nodiscard]] std::size_t begin() const noexcept { return begin_; }

  /// Makes `target` what a loss of power at `moment` may leave of the directory.
  void image(std::size_t moment, const std::string& target, std::mt19937_64& random) const {
    const double kept = std::vector<double>{0, 0.1, 0.5, 0.9, 1}[random() % 5];
    const bool torn = random() % 2 == 0;
    const auto keep = [&] { return std::bernoulli_distribution(kept)(random); };
    std::map<std::size_t, std::size_t> synced;                     // inode -> its last sync
    std::map<std::string, std::size_t, std::less<>> synced_names;  // directory -> its last sync
    for (std::size_t i = 0; i < moment; ++i) {
      if (log_[i].op == Op::sync) synced[log_[i].inode] = i;
      if (log_[i].op == Op::sync_directory) synced_names[log_[i].path] = i;
    }
    const auto at = [](const auto& map, const auto& key) { return map.count(key) == 0 ? std::size_t{0} : map.at(key); };
    std::map<std::size_t, std::string> contents;
    std::map<std::string, std::size_t> entries;
    std::set<std::string> directories;
    for (std::size_t i = 0; i < moment; ++i) {
      const Step& step = log_[i];
      if (step.op == Op::write || step.op == Op::truncate) {
        const bool sure = i < at(synced, step.inode);
        apply(step, contents[step.inode], sure, sure ? false : torn, keep, random);
        continue;
      }
      if (step.op == Op::sync || step.op == Op::sync_directory) continue;
      if (i >= at(synced_names, parent(step.path)) && !keep()) continue;
      if (step.op == Op::make_directory) directories.insert(step.path);
      if (step.op == Op::remove && at(entries, step.path) == step.inode) entries.erase(step.path);
      if (step.op == Op::rename && at(entries, step.from) == step.inode) entries.erase(step.from);
      if (step.op == Op::create || step.op == Op::rename) entries[step.path] = step.inode;
    }
    std::filesystem::create_directories(target);
    for (const auto& path : directories) std::filesystem::create_directories(target + path.substr(root_.size()));
    for (const auto& [path, inode] : entries) {
      const std::string folder = parent(path);
      if (folder != root_ && directories.count(folder) == 0) continue;  // it went with its directory
      const std::string& text = contents[inode];
      std::ofstream(target + path.substr(root_.size()), std::ios::binary).write(text.data(), static_cast<std::streamsize>(text.size()));
    }
  }

 private:
  enum class Op : std::uint8_t { create, write, truncate, sync, rename, remove, make_directory, sync_directory };
  struct Step {
    Op op;
    std::size_t inode;
    std::uint64_t offset;
    std::string bytes;
    std::string path, from;
  };

  class RecordedFile final : public ForwardingFile {
   public:
    RecordedFile(RecordingFileSystem& fs, std::unique_ptr<base::File> real, std::size_t inode)
        : ForwardingFile(std::move(real)), fs_(fs), inode_(inode) {}
    Result<void> write_at(std::uint64_t offset, std::span<const std::byte> bytes) override {
      const std::lock_guard lock(fs_.mutex_);
      fs_.log_.push_back({Op::write, inode_, offset, {reinterpret_cast<const char*>(bytes.data()), bytes.size()}, {}, {}});
      return ForwardingFile::write_at(offset, bytes);
    }
    Result<void> write_at(std::uint64_t offset, std::span<const std::span<const std::byte>> pieces) override {
      std::vector<std::byte> bytes;
      for (const auto& piece : pieces) bytes.insert(bytes.end(), piece.begin(), piece.end());
      return write_at(offset, std::span<const std::byte>(bytes));
    }
    Result<void> truncate(std::uint64_t size_bytes) override {
      const std::lock_guard lock(fs_.mutex_);
      fs_.log_.push_back({Op::truncate, inode_, size_bytes, {}, {}, {}});
      return ForwardingFile::truncate(size_bytes);
    }
    Result<void> sync_data() override {
      // As slow as disks are: now and then longer than the index waits before it commits.
      std::this_thread::sleep_for(std::chrono::milliseconds(fs_.syncs_++ % 8 == 0 ? 40 : 1));
      const std::lock_guard lock(fs_.mutex_);
      fs_.log_.push_back({Op::sync, inode_, 0, {}, {}, {}});
      return {};
    }

   private:
    RecordingFileSystem& fs_;
    const std::size_t inode_;
  };

  template <class Keep>
  static void apply(const Step& step, std::string& content, bool sure, bool torn, const Keep& keep, std::mt19937_64& random) {
    constexpr std::size_t kBlock = 512;
    if (!torn && !sure && !keep()) return;
    if (step.op == Op::truncate) {
      if (!torn || keep()) content.resize(step.offset);
      return;
    }
    const auto put = [&](std::size_t begin, std::size_t length) {
      const std::size_t end = step.offset + begin + length;
      if (content.size() < end) content.resize(end);
      content.replace(step.offset + begin, length, step.bytes, begin, length);
    };
    if (sure || !torn) return put(0, step.bytes.size());
    for (std::size_t begin = 0; begin < step.bytes.size();) {
      const std::size_t length = std::min(kBlock - (step.offset + begin) % kBlock, step.bytes.size() - begin);
      if (keep()) put(begin, length);
      begin += length;
    }
    const std::size_t end = step.offset + step.bytes.size();
    if (random() % 4 == 0 && content.size() < end) content.resize(end);  // the length came, the bytes did not
  }

  static std::string parent(const std::string& path) { return path.substr(0, path.rfind('/')); }
  [[nodiscard]] bool recorded(const std::string& path) const {
    return path.rfind(root_, 0) == 0 && path.rfind(unrecorded_, 0) != 0 && (path.size() == root_.size() || path[root_.size()] == '/');
  }
  std::size_t name(const std::string& path) {
    log_.push_back({Op::create, ++last_inode_, 0, {}, path, {}});
    return names_[path] = last_inode_;
  }

  const std::string root_, unrecorded_;
  std::atomic<unsigned> syncs_{0};
  std::mutex mutex_;  // guards the rest
  std::vector<Step> log_;
  std::map<std::string, std::size_t> names_;
  std::size_t last_inode_ = 0, begin_ = 0;
};

}  // namespace tarn::tests
