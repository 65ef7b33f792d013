// copy_terms.hpp - how a write of one copy fits in with the other copies of its object.
// Level 3 (object). Value types, and a table of locks for any thread.
//
// Versions of a name are ordered by their time of change. Whoever writes to several disks writes to the first holder first, which
// gives the version its time, and then makes copies of that version on the others: so all holders end with the same one, whichever
// writers came at once, and a copy that comes late replaces nothing newer.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <utility>

#include <tarn/object.hpp>
#include <tarn/result.hpp>
#include <tarn/store.hpp>

namespace tarn::object {

struct CopyTerms {
  enum class Kind : std::uint8_t {
    alone,  ///< the only copy: its disk's own order decides
    first,  ///< the version gets a time later than that of the version it replaces
    copy,   ///< of the version of this time: stored unless the disk has that or a later one
    mend,   ///< the same, in place of a copy that is damaged
  };
  Kind kind = Kind::alone;
  std::int64_t modified_ns = 0;  ///< of copy and mend: the version; of first: of a version elsewhere that it replaces as well

  friend bool operator==(const CopyTerms&, const CopyTerms&) = default;
};

/// A writer whose last step can be that of a copy.
class CopyWriter : public ObjectWriter {
 public:
  /// As commit(). @return of a copy that was not needed: what the disk has.
  [[nodiscard]] virtual Result<ObjectInfo> commit_as(const CopyTerms& terms) = 0;
  [[nodiscard]] Result<ObjectInfo> commit() override { return commit_as({}); }
};

/// Whoever compares a name's version and then changes it holds its lock; whoever copies an object to other disks holds its name.
class NameLocks {
 public:
  [[nodiscard]] std::unique_lock<std::mutex> hold(const ObjectName& name) {
    return std::unique_lock(locks_[std::hash<std::string>()(name.key) % locks_.size()]);
  }

  /// Keeps copies of a name from being removed while it lives.
  class Hold {
   public:
    Hold(NameLocks& locks, ObjectName name) : locks_(locks), name_(std::move(name)) {}
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;
    ~Hold() {
      const std::lock_guard lock(locks_.held_mutex_);
      locks_.held_.erase(locks_.held_.find(name_));
    }

   private:
    NameLocks& locks_;
    const ObjectName name_;
  };
  [[nodiscard]] Hold hold_for_copy(const ObjectName& name) {
    const auto order = hold(name);  // behind a removal that is under way
    const std::lock_guard lock(held_mutex_);
    held_.insert(name);
    return {*this, name};
  }
  /// With the name's lock held.
  [[nodiscard]] bool is_held(const ObjectName& name) {
    const std::lock_guard lock(held_mutex_);
    return held_.contains(name);
  }

 private:
  std::array<std::mutex, 64> locks_;  // a name's is the one of its hash
  std::mutex held_mutex_;             // guards held_; taken last
  std::multiset<ObjectName> held_;
};

}  // namespace tarn::object
