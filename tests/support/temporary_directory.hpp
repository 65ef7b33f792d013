// temporary_directory.hpp - a directory that goes away with the test, below $TARN_TEST_TMPDIR or /tmp.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

namespace tarn::tests {

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    const char* base = std::getenv("TARN_TEST_TMPDIR");
    std::string pattern = std::string(base != nullptr ? base : "/tmp") + "/tarn-test-XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) std::abort();
    path_ = pattern;
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  [[nodiscard]] std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace tarn::tests
