#include "mpi/tools/local_tree.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <system_error>

#include "base/error.hpp"

namespace tarn::tools {

namespace {

namespace fs = std::filesystem;

tl::unexpected<Error> system_failure(const std::error_code& error, std::string_view operation, const std::string& path) {
  return fail(base::errno_error(error.value(), operation, path));
}

struct TypeRow {
  std::string_view ending, type;
};
constexpr TypeRow kTypes[] = {
    {".png", "image/png"},       {".jpg", "image/jpeg"},       {".jpeg", "image/jpeg"},       {".gif", "image/gif"},
    {".webp", "image/webp"},     {".svg", "image/svg+xml"},    {".txt", "text/plain"},        {".cls", "text/plain"},
    {".html", "text/html"},      {".css", "text/css"},         {".csv", "text/csv"},          {".json", "application/json"},
    {".xml", "application/xml"}, {".pdf", "application/pdf"},  {".tar", "application/x-tar"}, {".gz", "application/gzip"},
    {".zip", "application/zip"}, {".zst", "application/zstd"}, {".h5", "application/x-hdf5"}, {".hdf5", "application/x-hdf5"},
    {".mp4", "video/mp4"},       {".wav", "audio/wav"},        {".flac", "audio/flac"},       {".js", "text/javascript"},
};

}  // namespace

Result<Tree> walk_tree(const std::string& directory) {
  std::error_code error;
  const fs::path root(directory);
  const auto status = fs::status(root, error);
  if (!fs::exists(status)) return fail(ErrorCode::not_found, "there is no directory " + directory);
  if (!fs::is_directory(status)) return fail(ErrorCode::invalid, directory + " is not a directory; leave -r away for a single file");
  Tree tree;
  fs::recursive_directory_iterator at(root, error);
  if (error) return system_failure(error, "read directory", directory);
  for (; at != fs::recursive_directory_iterator(); at.increment(error)) {
    const auto kind = at->status(error);  // of a link's target; a dangling link is not_found
    const bool link = at->is_symlink(error);
    if (fs::is_directory(kind) && !link) continue;
    if (!fs::is_regular_file(kind)) {
      ++tree.skipped;
      continue;
    }
    TreeFile file;
    file.path = at->path().string();
    file.key = at->path().lexically_relative(root).generic_string();
    file.size_bytes = at->file_size(error);
    if (error) return system_failure(error, "stat", file.path);
    tree.size_bytes += file.size_bytes;
    tree.files.push_back(std::move(file));
  }
  if (error) return system_failure(error, "read directory", directory);
  std::sort(tree.files.begin(), tree.files.end(), [](const TreeFile& a, const TreeFile& b) { return a.key < b.key; });
  return tree;
}

bool is_safe_path(std::string_view key) {
  for (std::size_t begin = 0; begin <= key.size();) {
    const std::size_t end = std::min(key.find('/', begin), key.size());
    const std::string_view part = key.substr(begin, end - begin);
    if (part.empty() || part == "." || part == ".." || part.size() > 255) return false;
    begin = end + 1;
  }
  return true;
}

bool is_directory(const std::string& path) {
  std::error_code ignored;  // whoever opens the path says what is wrong with it
  return fs::is_directory(path, ignored);
}

bool is_stream(const std::string& path) {
  std::error_code ignored;
  const auto status = fs::status(path, ignored);
  return fs::exists(status) && !fs::is_regular_file(status) && !fs::is_directory(status);
}

Result<void> make_parents(const std::string& path) {
  const fs::path parent = fs::path(path).parent_path();
  std::error_code error;
  if (parent.empty()) return {};
  fs::create_directories(parent, error);
  std::error_code ignored;
  if (error && !fs::is_directory(parent, ignored)) return system_failure(error, "make directory", parent.string());
  return {};
}

Result<WholeFile> WholeFile::create(const std::string& path) {
  static std::atomic<unsigned> counter{0};
  // A short name of its own: one made from the file's would be too long for the longest of them.
  const std::string name = ".tarn-" + std::to_string(::getpid()) + "-" + std::to_string(counter.fetch_add(1));
  TemporaryName temporary((fs::path(path).parent_path() / name).string());
  auto file = base::posix_file_system().open(temporary.path(), base::OpenMode::create_new);
  if (!file) return fail(file.error().code, "cannot write " + path + ": " + file.error().message);
  return WholeFile(path, std::move(temporary), std::move(*file));
}

WholeFile::~WholeFile() {
  if (file_) static_cast<void>(base::posix_file_system().remove(temporary_.path()));
}

Result<void> WholeFile::append(std::span<const std::byte> bytes) {
  TARN_CHECK(file_->write_at(size_bytes_, bytes));
  size_bytes_ += bytes.size();
  return {};
}

Result<void> WholeFile::commit() {
  TARN_CHECK(base::posix_file_system().rename(temporary_.path(), path_));
  file_.reset();
  return {};
}

std::string_view content_type_of(std::string_view name) {
  for (const TypeRow& row : kTypes)
    if (name.size() > row.ending.size() && name.substr(name.size() - row.ending.size()) == row.ending) return row.type;
  return {};
}

}  // namespace tarn::tools
