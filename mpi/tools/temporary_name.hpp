// temporary_name.hpp - names of unfinished files, which go away also when a signal ends the process.
// Level 7 (tools). Any thread. SIGKILL leaves them.
#pragma once

#include <string>

namespace tarn::tools {

/// While it lives, SIGINT, SIGTERM and SIGHUP remove the file of this name before they end the process as ever.
/// At most kHeldMax at the same time; those beyond are not removed.
class TemporaryName {
 public:
  static constexpr int kHeldMax = 512;

  /// The first one of the process takes over the signals that are not ignored.
  explicit TemporaryName(std::string path);
  TemporaryName(TemporaryName&& other) noexcept;
  TemporaryName& operator=(TemporaryName&&) = delete;
  ~TemporaryName();

  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
  int slot_ = -1;
};

}  // namespace tarn::tools
