// scenario.hpp - what a store goes through while calls fail, and the account of what it was told meanwhile.
//
// The account: of each name the versions that may be found now and after a reopening. A change that was acknowledged leaves one.
// One that failed leaves what was there; in a bucket with durability `sync` the new version as well, since a sync that failed
// comes after the write; and, when cutting off what was written could fail too, the new version after a reopening.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/file.hpp"
#include "fault_plan.hpp"
#include "object/local_store.hpp"

namespace tarn::tests {

using Version = std::uint64_t;  ///< of an object, never used twice; 0: none
using Name = std::pair<std::string, std::string>;

/// The bytes of a version.
[[nodiscard]] std::string body_of(Version version, std::size_t size);

class Account {
 public:
  struct State {
    std::set<Version> now{0}, later{0};
  };
  std::map<Name, State> names;
  std::map<std::string, bool> buckets;  ///< false: may or may not be there
  std::map<Version, std::size_t> sizes;
  /// Versions that came about by appending: the one they begin with, their size.
  std::map<std::pair<Version, std::size_t>, Version> grown;
  Version last = 0;

  void acknowledged(const Name& name, Version version) { names[name] = {{version}, {version}}; }
  void failed(const Name& name, Version version, bool cut_off_may_fail) {
    State& state = names[name];
    const bool sync = name.first == "safe";
    if (sync) state.now.insert(version);
    if (sync || cut_off_may_fail) state.later.insert(version);
  }
};

/// One life of a store; every call's outcome is entered in the account. Anything that must not be ends up in wrong().
class Life {
 public:
  /// @param stays  the fault does: see the head of this file.
  /// @param plan  of the faults of `fs`, for opened_over_fault().
  Life(std::string directory, base::FileSystem& fs, Account& account, bool stays, FaultPlan* plan = nullptr)
      : directory_(std::move(directory)), fs_(fs), account_(account), stays_(stays), plan_(plan) {}

  bool open();
  void create_bucket(const std::string& bucket, Durability durability);
  void remove_bucket(const std::string& bucket);
  void put(const std::string& bucket, const std::string& key, std::size_t size);
  /// Through a writer, in pieces; read back before the commit.
  void stream(const std::string& bucket, const std::string& key, std::size_t size);
  /// In two parts, the second one first; aborted when that fails.
  void upload(const std::string& bucket, const std::string& key, std::size_t size);
  /// Nothing where it is not sure what is there.
  void append(const std::string& bucket, const std::string& key, std::size_t size);
  void remove(const std::string& bucket, const std::string& key);
  void get(const std::string& bucket, const std::string& key);
  void list(const std::string& bucket);
  void flush();
  void adopt();
  void close();

  /// Everything that may be read is what the account says, with nothing in the way.
  void check_now();
  /// The store takes changes again.
  void check_writable();

  [[nodiscard]] bool is_open() const noexcept { return store_ != nullptr; }
  [[nodiscard]] object::LocalStore& store() noexcept { return *store_; }
  /// An open() met the first fault and succeeded all the same.
  [[nodiscard]] bool opened_over_fault() const noexcept { return opened_over_fault_; }
  /// Errors that were handed to the caller.
  [[nodiscard]] const std::vector<std::string>& told() const noexcept { return told_; }
  [[nodiscard]] const std::vector<std::string>& wrong() const noexcept { return wrong_; }

 private:
  template <class T>
  bool took(const std::string& what, const Result<T>& outcome);
  [[nodiscard]] Result<void> stream_body(const ObjectName& name, const std::string& body);
  [[nodiscard]] Result<void> upload_body(const ObjectName& name, const std::string& body);
  void note_leftovers(bool met_before);
  void check_version(const Name& name, const Result<std::vector<std::byte>>& got);

  const std::string directory_;
  base::FileSystem& fs_;
  Account& account_;
  const bool stays_;
  FaultPlan* const plan_;
  bool opened_over_fault_ = false;
  std::unique_ptr<object::LocalStore> store_;
  std::vector<std::string> told_, wrong_;
};

/// What is to be found after a reopening without faults; leaves the account with what was. @return what is wrong, one sentence each.
[[nodiscard]] std::vector<std::string> check_reopened(const std::string& directory, Account& account);

}  // namespace tarn::tests
