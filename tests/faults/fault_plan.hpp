// fault_plan.hpp - which call of a run fails, and how: the n-th of those that an error can come from, or all from the n-th on.
#pragma once

#include <cerrno>
#include <cstdint>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace tarn::tests {

enum class Call : std::uint8_t {
  open,
  open_to_write,
  read,
  write,
  sync,
  truncate,
  size,
  make_directory,
  rename,
  remove,
  list,
  sync_directory,
  space,
  exists,
};

constexpr std::string_view name_of(Call call) {
  constexpr std::string_view kNames[] = {"open",           "open to write", "read",   "write", "sync",           "truncate", "size",
                                         "make directory", "rename",        "remove", "list",  "sync directory", "space",    "exists"};
  return kNames[static_cast<std::size_t>(call)];
}

/// Whether the system can answer this call with this errno.
constexpr bool may_fail_with(Call call, int error) {
  const bool creates = call == Call::open_to_write || call == Call::make_directory || call == Call::rename;
  const bool writes = creates || call == Call::write || call == Call::truncate;
  switch (error) {
    case ENOSPC:
      return writes || call == Call::sync || call == Call::sync_directory;
    case EROFS:
      return writes || call == Call::remove;
    case EACCES:
      return creates || call == Call::open || call == Call::remove || call == Call::list || call == Call::exists;
    case EMFILE:
      return call == Call::open || call == Call::open_to_write || call == Call::list || call == Call::sync_directory;
    default:
      return true;
  }
}

struct Fault {
  std::uint64_t at = 0;  ///< the first call that fails, counted among those that may fail so
  bool stays = false;    ///< all after it do as well
  int error = EIO;
};

/// Any thread.
class FaultPlan {
 public:
  void begin(const Fault& fault) {
    const std::lock_guard lock(mutex_);
    fault_ = fault;
    calls_ = 0;
    met_.clear();
  }
  /// From here on everything works.
  void end() {
    const std::lock_guard lock(mutex_);
    fault_.reset();
  }
  /// To be asked before each call. @return the errno with which it is to fail.
  [[nodiscard]] std::optional<int> meet(Call call, std::string_view path) {
    const std::lock_guard lock(mutex_);
    if (!fault_ || !may_fail_with(call, fault_->error)) return std::nullopt;
    const std::uint64_t number = calls_++;
    if (number != fault_->at && !(fault_->stays && number > fault_->at)) return std::nullopt;
    const std::size_t slash = path.find_last_of('/');
    met_.insert(std::string(name_of(call)) + " " + kind_of(path.substr(slash == std::string_view::npos ? 0 : slash + 1)));
    return fault_->error;
  }
  [[nodiscard]] bool stays() {
    const std::lock_guard lock(mutex_);
    return fault_ && fault_->stays;
  }
  /// What has failed: "write *.tar", ...
  [[nodiscard]] std::set<std::string> met() {
    const std::lock_guard lock(mutex_);
    return met_;
  }

 private:
  static std::string kind_of(std::string_view name) {
    for (const std::string_view suffix : {".tar.tmp", ".tar"})
      if (name.ends_with(suffix)) return "*" + std::string(suffix);
    if (name.starts_with("disk.json.tmp")) return "disk.json.tmp";
    if (name.starts_with("tarn-test-")) return "parent";
    return std::string(name);
  }

  std::mutex mutex_;  // guards the rest
  std::optional<Fault> fault_;
  std::uint64_t calls_ = 0;
  std::set<std::string> met_;
};

}  // namespace tarn::tests
