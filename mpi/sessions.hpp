// sessions.hpp - readers and writers that other ranks hold open on this rank.
// Level 6 (mpi). Any thread.
//
//   put_begin --> open --put_piece*--> open --put_prepare--> open --put_commit--> gone
//                  |  put_abort, or not touched for the time limit: gone, nothing stored
//
// A client touches its sessions while it lives (peer_client.hpp), however long its pauses are.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include <tarn/object.hpp>
#include <tarn/result.hpp>
#include <tarn/store.hpp>

#include "mpi/event.hpp"
#include "mpi/peer_service.hpp"
#include "mpi/worker_pool.hpp"
#include "object/copy_terms.hpp"
#include "object/local_store.hpp"
#include "object/object_service.hpp"

namespace tarn::mpi {

/// One version of an object, its volumes held open: overwriting and removing do not disturb the reader.
struct ReadSession {
  ReadSession(ObjectName object_name, object::StoredObject object_version, std::vector<object::FileExtent> object_extents)
      : name(std::move(object_name)), version(std::move(object_version)), extents(std::move(object_extents)) {}
  const ObjectName name;
  const object::StoredObject version;
  const std::vector<object::FileExtent> extents;
};

/// One object on its way in. Pieces may arrive out of order (long messages overtake each other) and are
/// written in order by one worker at a time.
class WriteSession : public std::enable_shared_from_this<WriteSession> {
 public:
  explicit WriteSession(std::unique_ptr<object::CopyWriter> writer) : writer_(std::move(writer)) {}

  /// Takes a put_piece whose bytes are `bytes` of its body; answers it when they are written.
  void add(std::uint64_t number, Request request, std::size_t bytes_at, WorkerPool& pool);
  // The client has the answers to all its pieces before it calls these.
  [[nodiscard]] Result<void> prepare();
  [[nodiscard]] Result<std::size_t> read_back(std::uint64_t offset, std::span<std::byte> target);
  [[nodiscard]] Result<ObjectInfo> commit(const object::CopyTerms& terms);

 private:
  struct Piece {
    Request request;
    std::size_t bytes_at;
  };
  /// The next one in order; none: running_ is false then.
  [[nodiscard]] std::optional<Piece> next_piece();
  void write_pieces() noexcept;
  [[nodiscard]] Result<void> write(const Piece& piece);

  std::mutex mutex_;  // guards all below but writer_, which belongs to the thread that set running_, and to the calls above
  std::map<std::uint64_t, Piece> pieces_;
  std::uint64_t next_ = 0;
  bool running_ = false;
  bool lost_piece_ = false;  // there was no memory for one: error_ is set
  std::optional<Error> error_;
  std::unique_ptr<object::CopyWriter> writer_;
};

class Sessions {
 public:
  [[nodiscard]] Result<std::uint64_t> add(std::shared_ptr<ReadSession> session, int client);
  [[nodiscard]] Result<std::uint64_t> add(std::shared_ptr<WriteSession> session, int client);
  /// @errors rank_lost: not there any more (the client was silent for too long).
  [[nodiscard]] Result<std::shared_ptr<ReadSession>> reader(std::uint64_t id, int client);
  [[nodiscard]] Result<std::shared_ptr<WriteSession>> writer(std::uint64_t id, int client);
  void remove(std::uint64_t id, int client);
  void touch(std::uint64_t id, int client);
  /// Takes out what was last used before `limit`. Whoever destroys the result may wait for disks.
  [[nodiscard]] std::vector<std::shared_ptr<void>> take_expired(Clock::time_point limit);
  [[nodiscard]] std::size_t size() const;
  void clear();

 private:
  struct Entry {
    int client;
    std::shared_ptr<ReadSession> reader;  // one of the two
    std::shared_ptr<WriteSession> writer;
    Clock::time_point last_use;
  };
  [[nodiscard]] Result<std::uint64_t> add(Entry entry);
  [[nodiscard]] Entry* find(std::uint64_t id, int client);

  mutable std::mutex mutex_;  // guards all below
  std::map<std::uint64_t, Entry> entries_;
  std::uint64_t next_id_ = 1;
};

}  // namespace tarn::mpi
