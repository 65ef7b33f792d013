// file.hpp - the one boundary between Tarn and the operating system's files.
// Level 1 (base). A File may be read and written by any number of threads at explicit offsets.
// FileSystem is virtual so that tests can inject faults and record writes at every call site.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tarn/result.hpp>

namespace tarn::base {

/// Owns a file descriptor.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) noexcept : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~UniqueFd() { reset(); }
  void reset() noexcept;
  [[nodiscard]] int get() const noexcept { return fd_; }
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
  explicit operator bool() const noexcept { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

/// An open file. All calls are thread safe and retry EINTR and short transfers.
class File {
 public:
  virtual ~File() = default;
  /// @return bytes read; less than target.size() only at the end of the file.
  [[nodiscard]] virtual Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> target) const = 0;
  [[nodiscard]] virtual Result<void> write_at(std::uint64_t offset, std::span<const std::byte> bytes) = 0;
  /// Writes the pieces one after the other with as few system calls as possible.
  [[nodiscard]] virtual Result<void> write_at(std::uint64_t offset, std::span<const std::span<const std::byte>> pieces) = 0;
  [[nodiscard]] virtual Result<void> sync_data() = 0;  ///< fdatasync
  [[nodiscard]] virtual Result<void> truncate(std::uint64_t size_bytes) = 0;
  [[nodiscard]] virtual Result<std::uint64_t> size() const = 0;
  /// For sendfile(2) and mmap(2) only.
  [[nodiscard]] virtual int descriptor() const noexcept = 0;
  [[nodiscard]] virtual const std::string& path() const noexcept = 0;
};

enum class OpenMode : std::uint8_t {
  read,        ///< must exist
  read_write,  ///< must exist
  create,      ///< made when missing
  create_new,  ///< must not exist
};

struct Space {
  std::uint64_t capacity_bytes = 0;
  std::uint64_t free_bytes = 0;  ///< to this user
  std::uint64_t kept_bytes = 0;  ///< of them: not to be filled with objects; 0: nobody has said how much
  /// When a quota leaves less than the file system: it, and how much of it is used.
  std::uint64_t quota_bytes = 0, used_bytes = 0;
};

/// What is read next comes from the disk, as far as the system does as it is asked: pages that a sync could not write look as
/// if they were there. Pages still to be written stay.
void drop_cached_pages(const File& file) noexcept;

class FileSystem {
 public:
  virtual ~FileSystem() = default;
  [[nodiscard]] virtual Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode, mode_t permissions = 0644) = 0;
  [[nodiscard]] virtual Result<void> make_directory(const std::string& path) = 0;  ///< exists: fine
  [[nodiscard]] virtual Result<void> rename(const std::string& from, const std::string& to) = 0;
  [[nodiscard]] virtual Result<void> remove(const std::string& path) = 0;
  [[nodiscard]] virtual Result<std::vector<std::string>> list(const std::string& directory) = 0;  ///< names, sorted
  [[nodiscard]] virtual Result<void> sync_directory(const std::string& directory) = 0;
  [[nodiscard]] virtual Result<Space> space(const std::string& path) = 0;
  [[nodiscard]] virtual Result<bool> exists(const std::string& path) = 0;
};

/// The real one. Has no state.
[[nodiscard]] FileSystem& posix_file_system() noexcept;

/// Reads a whole small file. @errors not_found, io, invalid (longer than size_bytes_max).
[[nodiscard]] Result<std::string> read_text_file(FileSystem& fs, const std::string& path, std::size_t size_bytes_max = 16 << 20);
/// Writes `path` under a temporary name and renames it: readers see the old text or the new one.
[[nodiscard]] Result<void> write_text_file(FileSystem& fs, const std::string& path, std::string_view text, mode_t permissions = 0644);

}  // namespace tarn::base
