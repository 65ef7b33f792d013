// damage_list.hpp - objects whose bytes turned out to be damaged when they were read, for whoever asks how the disk is.
// Level 2 (volume). Any thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include <tarn/object.hpp>

namespace tarn::volume {

class DamageList {
 public:
  static constexpr std::size_t kEntriesMax = 64;
  static constexpr std::size_t kNamesMax = 8;  ///< of them in the text

  /// A version may be noted any number of times; beyond kEntriesMax others are known to be there, but not which.
  void note(const ObjectName& name, std::uint64_t sequence) {
    const std::lock_guard lock(mutex_);
    if (std::any_of(entries_.begin(), entries_.end(), [&](const Entry& entry) { return entry.sequence == sequence; })) return;
    if (entries_.size() == kEntriesMax) {
      overflow_ = true;
      return;
    }
    entries_.push_back({name, sequence});
  }

  /// One sentence; empty: none. Versions that were replaced or removed since do not count any more.
  /// @param is_current  whether the object still has the version; called without the lock.
  [[nodiscard]] std::string text(const std::function<bool(const ObjectName&, std::uint64_t)>& is_current) const {
    std::vector<Entry> entries;
    bool overflow = false;
    {
      const std::lock_guard lock(mutex_);
      entries = entries_;
      overflow = overflow_;
    }
    std::erase_if(entries, [&](const Entry& entry) { return !is_current(entry.name, entry.sequence); });
    if (entries.empty() && !overflow) return {};
    std::string text =
        std::to_string(entries.size()) + (overflow ? " or more" : "") + (entries.size() == 1 ? " object is" : " objects are") + " damaged";
    for (std::size_t i = 0; i < std::min(entries.size(), kNamesMax); ++i)
      text += (i == 0 ? ": " : ", ") + entries[i].name.bucket + "/" + entries[i].name.key;
    if (entries.size() > kNamesMax || overflow) text += ", and others";
    return text + "; reads of them fail; tarn check names all, tarn check --quarantine takes them out";
  }

 private:
  struct Entry {
    ObjectName name;
    std::uint64_t sequence = 0;
  };
  mutable std::mutex mutex_;  // guards the rest
  std::vector<Entry> entries_;
  bool overflow_ = false;
};

}  // namespace tarn::volume
