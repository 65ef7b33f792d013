// local_tree.hpp - files on this side: what is below a directory, where a key may be written, whole files by rename.
// Level 7 (tools).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tarn/result.hpp>

#include "base/file.hpp"
#include "mpi/tools/temporary_name.hpp"

namespace tarn::tools {

struct TreeFile {
  std::string path;  ///< to open it
  std::string key;   ///< below the directory, with '/'
  std::uint64_t size_bytes = 0;
};

struct Tree {
  std::vector<TreeFile> files;   ///< by key
  std::uint64_t size_bytes = 0;  ///< of all
  std::uint64_t skipped = 0;     ///< neither regular files nor links to them: sockets, devices, links to directories
};

/// Regular files below a directory; links to regular files count as such, other links are not followed.
/// @errors not_found, denied, io, invalid (not a directory).
[[nodiscard]] Result<Tree> walk_tree(const std::string& directory);

/// Whether a key can become a path below a directory without leaving it: no empty component, no "." and "..".
[[nodiscard]] bool is_safe_path(std::string_view key);
/// Whether there is a directory of that name, as far as this process can see.
[[nodiscard]] bool is_directory(const std::string& path);
/// Whether there is something that is neither file nor directory: a pipe, a device, a socket. No file can be put in its place.
[[nodiscard]] bool is_stream(const std::string& path);
/// Makes the directories above `path`. @errors denied, exists (a file is in the way), io.
[[nodiscard]] Result<void> make_parents(const std::string& path);

/// A file that appears under its name only when it is whole. A signal that ends the process leaves nothing of it.
class WholeFile {
 public:
  [[nodiscard]] static Result<WholeFile> create(const std::string& path);
  WholeFile(WholeFile&&) noexcept = default;
  WholeFile& operator=(WholeFile&&) = delete;
  ~WholeFile();  ///< removes what was not committed
  [[nodiscard]] Result<void> append(std::span<const std::byte> bytes);
  [[nodiscard]] Result<void> commit();

 private:
  WholeFile(std::string path, TemporaryName temporary, std::unique_ptr<base::File> file)
      : path_(std::move(path)), temporary_(std::move(temporary)), file_(std::move(file)) {}
  std::string path_;
  TemporaryName temporary_;
  std::unique_ptr<base::File> file_;
  std::uint64_t size_bytes_ = 0;
};

/// Content type by the name's ending; empty: not known.
[[nodiscard]] std::string_view content_type_of(std::string_view name);

}  // namespace tarn::tools
