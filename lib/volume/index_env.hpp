// index_env.hpp - the LMDB environment of an index: its tables, its transactions, and a new start after a write that failed.
// Level 2 (volume). Only for index.cpp. Any thread. Functions that return int give LMDB's codes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tarn/result.hpp>

#include "base/file.hpp"
#include "volume/key_trie.hpp"

struct MDB_env;  // lmdb.h stays in .cpp files
struct MDB_txn;

namespace tarn::volume {

class IndexEnv {
 public:
  explicit IndexEnv(std::string directory) : directory_(std::move(directory)) {}
  IndexEnv(const IndexEnv&) = delete;
  IndexEnv& operator=(const IndexEnv&) = delete;
  ~IndexEnv() { close_env(); }

  /// Once, before anything else. @errors corrupt: unreadable, to be rebuilt; io, denied, no_space.
  [[nodiscard]] Result<void> open(base::FileSystem& fs);
  [[nodiscard]] tl::unexpected<Error> error(int code, std::string_view operation) const;
  /// To be called before each change. @errors why the index cannot even be read.
  [[nodiscard]] Result<void> usable();
  [[nodiscard]] int sync();

  /// A read transaction from the pool, given back (its snapshot released) on destruction.
  class ReadTxn {
   public:
    explicit ReadTxn(IndexEnv& env);
    ReadTxn(const ReadTxn&) = delete;
    ReadTxn& operator=(const ReadTxn&) = delete;
    ~ReadTxn();
    [[nodiscard]] int error() const noexcept { return error_; }
    [[nodiscard]] MDB_txn* get() const noexcept { return txn_; }

   private:
    void begin();
    IndexEnv& env_;
    std::shared_lock<std::shared_mutex> env_lock_;  // released last
    MDB_txn* txn_ = nullptr;
    int error_ = 0;
  };

  /// A transaction that is aborted unless it was committed. Those that write take turns.
  class WriteTxn {
   public:
    explicit WriteTxn(IndexEnv& env) : WriteTxn(env, std::shared_lock(env.env_mutex_)) {}
    WriteTxn(const WriteTxn&) = delete;
    WriteTxn& operator=(const WriteTxn&) = delete;
    ~WriteTxn();
    [[nodiscard]] int error() const noexcept { return error_; }
    [[nodiscard]] MDB_txn* get() const noexcept { return txn_; }
    [[nodiscard]] int commit();

   private:
    friend class IndexEnv;
    WriteTxn(IndexEnv& env, std::shared_lock<std::shared_mutex> env_lock);
    IndexEnv& env_;
    const std::shared_lock<std::shared_mutex> env_lock_;  // empty: of revive(), which has it alone
    const std::lock_guard<std::mutex> turn_;              // longer than LMDB's own: what comes after a commit belongs to it
    MDB_txn* txn_ = nullptr;
    int error_;
  };

 protected:
  KeyTrie trie;
  unsigned int volume_table = 0, bucket_table = 0, meta = 0;

 private:
  int open_env();
  int open_tables(std::shared_lock<std::shared_mutex> env_lock);
  void close_env() noexcept;
  int revive();
  [[nodiscard]] bool disk_is_full() const noexcept;
  [[nodiscard]] Result<std::uint64_t> missing_bytes() const;
  [[nodiscard]] Result<void> cover_pages() const;

  const std::string directory_;
  std::unique_ptr<base::File> file_;  // data.mdb, for its size
  /// Held shared by whoever uses env_; alone by revive(), which makes it anew. nullptr: it could not be made anew, yet.
  std::shared_mutex env_mutex_;
  MDB_env* env_ = nullptr;
  std::mutex turn_mutex_;     // of whoever writes; taken after env_mutex_
  std::mutex readers_mutex_;  // guards idle_readers_
  std::vector<MDB_txn*> idle_readers_;
};

}  // namespace tarn::volume
