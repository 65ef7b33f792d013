#include "volume/index_env.hpp"

#include <lmdb.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>

#include "base/error.hpp"
#include "base/limits.hpp"
#include "base/log.hpp"

namespace tarn::volume {

namespace {

constexpr unsigned kReadersMax = 1000;
constexpr std::size_t kLockFileBytes = 72 * limits::KiB;  // a cache line for each of them and some more

Error lmdb_error(int code, std::string_view operation, const std::string& directory) {
  if (code > 0) return base::errno_error(code, operation, directory);
  const std::string text = directory + ": index " + std::string(operation) + ": " + mdb_strerror(code);
  if (code == MDB_MAP_FULL) return Error(ErrorCode::no_space, text + " (its address space of 64 GiB is used up)");
  if (code == MDB_READERS_FULL) return Error(ErrorCode::busy, text);
  return Error(ErrorCode::corrupt, text + "; tarn check --rebuild makes it anew from the volumes");
}

/// LMDB stops the process when a page contradicts itself. Nothing can go on in such a file; say what to do.
void report_damaged_index(MDB_env* env, const char* message) {
  const char* path = nullptr;
  mdb_env_get_path(env, &path);
  base::log_error(std::string(path == nullptr ? "index" : path) + ": the index is damaged (" + message +
                  "); this process must stop; tarn check --rebuild makes it anew from the volumes");
}

/// LMDB writes its lock file through memory: on a full disk the first touch of a page that has no block would end the process.
/// So all of them get theirs before; nobody else uses the file, LMDB begins it anew.
Result<void> allocate_lock_file(base::FileSystem& fs, const std::string& directory) {
  const std::vector<std::byte> zeros(kLockFileBytes);
  TARN_TRY(const auto file, fs.open(directory + "/lock.mdb", base::OpenMode::create));
  return file->write_at(0, std::span<const std::byte>(zeros));
}

}  // namespace

Result<void> IndexEnv::open(base::FileSystem& fs) {
  TARN_CHECK(fs.make_directory(directory_));
  TARN_CHECK(allocate_lock_file(fs, directory_));
  idle_readers_.reserve(kReadersMax);  // giving one back needs no memory
  if (const int rc = open_env(); rc != 0) return error(rc, "open");
  TARN_TRY(file_, fs.open(directory_ + "/data.mdb", base::OpenMode::read_write));
  TARN_TRY(const auto missing, missing_bytes());
  if (missing > 0) return error(MDB_CORRUPTED, "open");
  if (const int rc = open_tables(std::shared_lock(env_mutex_)); rc != 0) return error(rc, "open");
  return {};
}

int IndexEnv::open_env() {
  int rc = mdb_env_create(&env_);
  if (rc == 0) rc = mdb_env_set_maxdbs(env_, 8);
  if (rc == 0) rc = mdb_env_set_assert(env_, report_damaged_index);
  if (rc == 0) rc = mdb_env_set_mapsize(env_, limits::kIndexMapBytes);
  if (rc == 0) rc = mdb_env_set_maxreaders(env_, kReadersMax);
  // NOTLS: read transactions belong to objects, not threads. NOSYNC: a crash of the machine means a rebuild anyway.
  // NORDAHEAD: lookups are random.
  if (rc == 0) rc = mdb_env_open(env_, directory_.c_str(), MDB_NOTLS | MDB_NOSYNC | MDB_NORDAHEAD, 0644);
  return rc;
}

int IndexEnv::open_tables(std::shared_lock<std::shared_mutex> env_lock) {
  WriteTxn txn(*this, std::move(env_lock));
  if (txn.error() != 0) return txn.error();
  MDB_dbi objects = 0, nodes = 0;
  const std::pair<const char*, MDB_dbi*> tables[] = {
      {"objects", &objects}, {"nodes", &nodes}, {"volumes", &volume_table}, {"buckets", &bucket_table}, {"meta", &meta}};
  for (const auto& [name, table] : tables) {
    if (const int rc = mdb_dbi_open(txn.get(), name, MDB_CREATE, table); rc != 0) return rc;
  }
  trie = KeyTrie(objects, nodes);
  return txn.commit();
}

void IndexEnv::close_env() noexcept {
  for (MDB_txn* txn : idle_readers_) mdb_txn_abort(txn);
  idle_readers_.clear();
  if (env_ != nullptr) mdb_env_close(std::exchange(env_, nullptr));
}

/// After a page with the roots could not be written LMDB refuses everything, reading as well, with MDB_PANIC. The file is as the
/// last commit left it: opened again, it goes on.  @return what it is that still fails.
int IndexEnv::revive() {
  const std::unique_lock lock(env_mutex_);
  if (env_ != nullptr) {
    MDB_txn* probe = nullptr;
    const int rc = mdb_txn_begin(env_, nullptr, MDB_RDONLY, &probe);
    if (rc == 0) mdb_txn_abort(probe);
    if (rc != MDB_PANIC) return rc;  // somebody else was faster
  }
  base::log_warn(directory_ + ": the index could not be written; it is opened again");
  close_env();
  int rc = open_env();
  if (rc == 0) rc = open_tables({});
  if (rc != 0) close_env();
  return rc;
}

tl::unexpected<Error> IndexEnv::error(int code, std::string_view operation) const {
  return fail(lmdb_error(code == EIO && disk_is_full() ? ENOSPC : code, operation, directory_));
}

/// LMDB calls it EIO when a write ends early, as it does where the last block goes.
bool IndexEnv::disk_is_full() const noexcept {
  struct statvfs status {};
  return file_ && ::fstatvfs(file_->descriptor(), &status) == 0 && static_cast<std::uint64_t>(status.f_bavail) * status.f_frsize < limits::MiB;
}

Result<void> IndexEnv::usable() {
  if (const int rc = ReadTxn(*this).error(); rc != 0) return error(rc, "write");
  return {};
}

int IndexEnv::sync() {
  const std::shared_lock lock(env_mutex_);
  return env_ == nullptr ? MDB_PANIC : mdb_env_sync(env_, 1);
}

/// Bytes by which the file is shorter than its pages: a touch of a missing one would be a bus error.
Result<std::uint64_t> IndexEnv::missing_bytes() const {
  MDB_envinfo info;
  MDB_stat stat;
  mdb_env_info(env_, &info);
  mdb_env_stat(env_, &stat);
  TARN_TRY(const auto size_bytes, file_->size());
  const std::uint64_t needed = (info.me_last_pgno + 1) * stat.ms_psize;
  return needed - std::min(size_bytes, needed);
}

/// LMDB never writes last pages that a transaction took and freed again. With this after each commit, a file that is
/// too short has been cut by somebody else.
Result<void> IndexEnv::cover_pages() const {
  TARN_TRY(const auto missing, missing_bytes());
  if (missing == 0) return {};
  TARN_TRY(const auto size_bytes, file_->size());
  return file_->truncate(size_bytes + missing);
}

IndexEnv::ReadTxn::ReadTxn(IndexEnv& env) : env_(env), env_lock_(env.env_mutex_) {
  begin();
  if (error_ != MDB_PANIC) return;
  env_lock_.unlock();
  if (const int rc = env_.revive(); rc != 0) {
    error_ = rc;
    return;
  }
  env_lock_.lock();
  begin();
}

IndexEnv::ReadTxn::~ReadTxn() {
  if (txn_ == nullptr) return;
  mdb_txn_reset(txn_);
  const std::lock_guard lock(env_.readers_mutex_);
  env_.idle_readers_.push_back(txn_);
}

void IndexEnv::ReadTxn::begin() {
  {
    const std::lock_guard lock(env_.readers_mutex_);
    if (!env_.idle_readers_.empty()) {
      txn_ = env_.idle_readers_.back();
      env_.idle_readers_.pop_back();
    }
  }
  if (txn_ != nullptr)
    error_ = mdb_txn_renew(txn_);
  else
    error_ = env_.env_ == nullptr ? MDB_PANIC : mdb_txn_begin(env_.env_, nullptr, MDB_RDONLY, &txn_);
  if (error_ != 0 && txn_ != nullptr) mdb_txn_abort(std::exchange(txn_, nullptr));
}

IndexEnv::WriteTxn::WriteTxn(IndexEnv& env, std::shared_lock<std::shared_mutex> env_lock)
    : env_(env),
      env_lock_(std::move(env_lock)),
      turn_(env.turn_mutex_),
      error_(env.env_ == nullptr ? MDB_PANIC : mdb_txn_begin(env.env_, nullptr, 0, &txn_)) {}

IndexEnv::WriteTxn::~WriteTxn() {
  if (txn_ != nullptr) mdb_txn_abort(txn_);
}

int IndexEnv::WriteTxn::commit() {
  if (const int rc = mdb_txn_commit(std::exchange(txn_, nullptr)); rc != 0) return rc;
  if (const auto covered = env_.cover_pages(); !covered) base::log_warn(covered.error().message);  // at worst, the next open() rebuilds
  return 0;
}

}  // namespace tarn::volume
