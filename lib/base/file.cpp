#include "base/file.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <string_view>

#include "base/error.hpp"

namespace tarn::base {

void UniqueFd::reset() noexcept {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

namespace {

class PosixFile final : public File {
 public:
  PosixFile(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> target) const override {
    std::size_t done = 0;
    while (done < target.size()) {
      const ssize_t n = ::pread(fd_.get(), target.data() + done, target.size() - done, static_cast<off_t>(offset + done));
      if (n == 0) break;
      if (n < 0) {
        if (errno == EINTR) continue;
        return fail(errno_error(errno, "read", path_));
      }
      done += static_cast<std::size_t>(n);
    }
    return done;
  }

  Result<void> write_at(std::uint64_t offset, std::span<const std::byte> bytes) override {
    const std::array<std::span<const std::byte>, 1> one{bytes};
    return write_at(offset, one);
  }

  Result<void> write_at(std::uint64_t offset, std::span<const std::span<const std::byte>> pieces) override {
    std::array<iovec, 16> vectors;
    std::size_t next = 0;      // first piece not yet written whole
    std::size_t in_piece = 0;  // bytes of it that are
    while (next < pieces.size()) {
      std::size_t count = 0;
      for (std::size_t i = next; i < pieces.size() && count < vectors.size(); ++i) {
        const auto piece = i == next ? pieces[i].subspan(in_piece) : pieces[i];
        vectors[count++] = {const_cast<std::byte*>(piece.data()), piece.size()};
      }
      const ssize_t n = ::pwritev(fd_.get(), vectors.data(), static_cast<int>(count), static_cast<off_t>(offset));
      if (n < 0) {
        if (errno == EINTR) continue;
        return fail(errno_error(errno, "write", path_));
      }
      offset += static_cast<std::uint64_t>(n);
      auto left = static_cast<std::size_t>(n);
      while (next < pieces.size() && left >= pieces[next].size() - in_piece) {
        left -= pieces[next].size() - in_piece;
        in_piece = 0;
        ++next;
      }
      in_piece += left;
    }
    return {};
  }

  Result<void> sync_data() override {
    if (::fdatasync(fd_.get()) != 0) return fail(errno_error(errno, "fdatasync", path_));
    return {};
  }

  Result<void> truncate(std::uint64_t size_bytes) override {
    if (::ftruncate(fd_.get(), static_cast<off_t>(size_bytes)) != 0) return fail(errno_error(errno, "truncate", path_));
    return {};
  }

  Result<std::uint64_t> size() const override {
    struct stat status {};
    if (::fstat(fd_.get(), &status) != 0) return fail(errno_error(errno, "stat", path_));
    return static_cast<std::uint64_t>(status.st_size);
  }

  int descriptor() const noexcept override { return fd_.get(); }
  const std::string& path() const noexcept override { return path_; }

 private:
  UniqueFd fd_;
  std::string path_;
};

class PosixFileSystem final : public FileSystem {
 public:
  Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode, mode_t permissions) override {
    int flags = O_CLOEXEC;
    switch (mode) {
      case OpenMode::read:
        flags |= O_RDONLY;
        break;
      case OpenMode::read_write:
        flags |= O_RDWR;
        break;
      case OpenMode::create:
        flags |= O_RDWR | O_CREAT;
        break;
      case OpenMode::create_new:
        flags |= O_RDWR | O_CREAT | O_EXCL;
        break;
    }
    UniqueFd fd(::open(path.c_str(), flags, permissions));
    if (!fd) return fail(errno_error(errno, "open", path));
    return std::make_unique<PosixFile>(std::move(fd), path);
  }

  Result<void> make_directory(const std::string& path) override {
    if (::mkdir(path.c_str(), 0777) == 0 || errno == EEXIST) return {};
    return fail(errno_error(errno, "mkdir", path));
  }

  Result<void> rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) return fail(errno_error(errno, "rename to", to));
    return {};
  }

  Result<void> remove(const std::string& path) override {
    if (::unlink(path.c_str()) != 0) return fail(errno_error(errno, "unlink", path));
    return {};
  }

  Result<std::vector<std::string>> list(const std::string& directory) override {
    DIR* stream = ::opendir(directory.c_str());
    if (stream == nullptr) return fail(errno_error(errno, "open directory", directory));
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = ::readdir(stream)) {
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") names.emplace_back(name);
      errno = 0;
    }
    const int error = errno;
    ::closedir(stream);
    if (error != 0) return fail(errno_error(error, "read directory", directory));
    std::sort(names.begin(), names.end());
    return names;
  }

  Result<void> sync_directory(const std::string& directory) override {
    const UniqueFd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd) return fail(errno_error(errno, "open directory", directory));
    if (::fsync(fd.get()) != 0) return fail(errno_error(errno, "fsync", directory));
    return {};
  }

  Result<Space> space(const std::string& path) override {
    struct statvfs status {};
    if (::statvfs(path.c_str(), &status) != 0) return fail(errno_error(errno, "statvfs", path));
    return Space{static_cast<std::uint64_t>(status.f_blocks) * status.f_frsize, static_cast<std::uint64_t>(status.f_bavail) * status.f_frsize};
  }

  Result<bool> exists(const std::string& path) override {
    if (::access(path.c_str(), F_OK) == 0) return true;
    if (errno == ENOENT || errno == ENOTDIR) return false;
    return fail(errno_error(errno, "access", path));
  }
};

}  // namespace

void drop_cached_pages(const File& file) noexcept {
  (void)::posix_fadvise(file.descriptor(), 0, 0, POSIX_FADV_DONTNEED);
}

FileSystem& posix_file_system() noexcept {
  static PosixFileSystem instance;
  return instance;
}

Result<std::string> read_text_file(FileSystem& fs, const std::string& path, std::size_t size_bytes_max) {
  TARN_TRY(const auto file, fs.open(path, OpenMode::read));
  TARN_TRY(const auto size_bytes, file->size());
  if (size_bytes > size_bytes_max) return fail(ErrorCode::invalid, path + ": too long (" + std::to_string(size_bytes) + " bytes)");
  std::string text(size_bytes, '\0');
  TARN_TRY(const auto got, file->read_at(0, std::as_writable_bytes(std::span(text.data(), text.size()))));
  text.resize(got);
  return text;
}

Result<void> write_text_file(FileSystem& fs, const std::string& path, std::string_view text, mode_t permissions) {
  const std::string temporary = path + ".tmp" + std::to_string(::getpid());
  // What lies there under that name (of a process that was killed, or of somebody who wants to read along) keeps its own permissions.
  static_cast<void>(fs.remove(temporary));
  const auto write = [&]() -> Result<void> {
    TARN_TRY(const auto file, fs.open(temporary, OpenMode::create_new, permissions));
    TARN_CHECK(file->write_at(0, std::as_bytes(std::span(text.data(), text.size()))));
    return file->sync_data();
  };
  auto outcome = write();
  if (outcome) outcome = fs.rename(temporary, path);
  if (!outcome) static_cast<void>(fs.remove(temporary));
  return outcome;
}

}  // namespace tarn::base
