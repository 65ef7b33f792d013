// object_handlers.hpp - what other ranks may do with this rank's objects: the handlers of the peer protocol.
// Level 6 (mpi). add_object_handlers(): before the engine starts. on_tick(): the engine's thread.
#pragma once

#include <chrono>

#include "mpi/peer_service.hpp"
#include "mpi/sessions.hpp"
#include "mpi/worker_pool.hpp"
#include "object/local_store.hpp"

namespace tarn::mpi {

class ObjectHandlers {
 public:
  /// All live as long as the service answers.
  ObjectHandlers(object::LocalStore& store, WorkerPool& pool, std::chrono::milliseconds session_limit)
      : store_(store), pool_(pool), session_limit_(session_limit) {}

  void add_to(PeerService& service);
  void on_tick(Clock::time_point now);
  /// Drops what other ranks hold open. When no request comes any more.
  void close() { sessions_.clear(); }

 private:
  void find(Request request);
  void open(Request request);
  void read(Request request);
  void read_range(Request request);
  void fetch(Request request);
  void put(Request request);
  void put_begin(Request request);
  void put_piece(Request request);
  void put_read_back(Request request);
  void put_commit(Request request);
  void remove_copy(Request request);
  void survey(Request request);
  void versions(Request request);
  void where(Request request);
  void point(Request request);
  void unpoint(Request request);
  void touch(Request request);
  void list(Request request);
  /// A request that holds a session's id and nothing else.
  [[nodiscard]] Result<std::shared_ptr<WriteSession>> writer_of(const Request& request);

  object::LocalStore& store_;
  WorkerPool& pool_;
  const std::chrono::milliseconds session_limit_;
  Sessions sessions_;
};

}  // namespace tarn::mpi
