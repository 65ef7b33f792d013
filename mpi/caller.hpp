// caller.hpp - the asking side of the peer protocol: calls in flight, their slots, replies and time limits.
// Level 6 (mpi). start() and finish(): any thread. on_...: the engine's.
//
//   start() --execute--> slot taken, request sent --+--> reply (status, body) --+--> done
//                                                   +--> bare data to target  --+
//   finish() waits; after the time limit the call is abandoned: its slot stays taken until the late answer
//   has come and been dropped, so an answer never meets another call.
#pragma once

#include <mpi.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include <tarn/object.hpp>
#include <tarn/result.hpp>

#include "base/codec.hpp"
#include "mpi/buffer.hpp"
#include "mpi/engine.hpp"
#include "mpi/event.hpp"
#include "mpi/wire.hpp"

namespace tarn::mpi {

/// One request under way. Made by Caller::start().
class Call {
 public:
  Call(RankId rank, Op op, Buffer message, std::span<std::byte> target)
      : rank_(rank), op_(op), target_(target), message_(std::move(message)), deadline_() {}

  [[nodiscard]] RankId rank() const noexcept { return rank_; }
  /// After a successful finish(): what follows the header of the reply; empty when data came instead.
  [[nodiscard]] std::span<const std::byte> body() const noexcept {
    return reply_.size() < kHeaderBytes ? std::span<const std::byte>() : reply_.span().subspan(kHeaderBytes);
  }
  /// After a successful finish(): bytes that were written to the target.
  [[nodiscard]] std::size_t data_bytes() const noexcept { return data_bytes_; }

 private:
  friend class Caller;
  const RankId rank_;
  const Op op_;
  const std::span<std::byte> target_;
  Buffer message_;
  Clock::time_point deadline_;

  std::mutex mutex_;  // guards abandoned_ and receiving_
  bool abandoned_ = false;
  bool receiving_ = false;  // MPI writes to target_ now

  Event done_;  // set after what follows is written
  Result<void> outcome_;
  Buffer reply_;
  std::size_t data_bytes_ = 0;
};

class Caller {
 public:
  Caller(Engine& engine, MPI_Comm comm, std::chrono::milliseconds timeout) : engine_(engine), comm_(comm), timeout_(timeout) {}

  /// Sends a request: message as made by begin_message(), then `payload`. Does not wait. Whoever is not
  /// interested in the answer just drops the call (then there must be no target).
  /// @param target  for operations that answer with data; lives until finish() has returned.
  [[nodiscard]] std::shared_ptr<Call> start(RankId rank, Op op, base::Encoder message, std::span<const std::byte> payload = {},
                                            std::span<std::byte> target = {});
  /// Waits for the answer. @errors what the peer says (with its rank); timeout; rank_lost; aborted (closed).
  [[nodiscard]] Result<void> finish(Call& call);

  /// start() and finish(). @return the call, for its body.
  [[nodiscard]] Result<std::shared_ptr<Call>> call(RankId rank, Op op, base::Encoder message, std::span<const std::byte> payload = {},
                                                   std::span<std::byte> target = {});

  void on_reply(MPI_Message message, int source, std::size_t size_bytes);
  void on_data(MPI_Message message, int source, std::size_t slot, std::size_t size_bytes);
  /// Ends every call in flight with this error.
  void fail_all(const Error& error);
  /// Whether no answer is awaited. Engine's thread.
  [[nodiscard]] bool idle() const noexcept { return in_flight_ == 0; }
  [[nodiscard]] std::chrono::milliseconds timeout() const noexcept { return timeout_; }

 private:
  void submit(const std::shared_ptr<Call>& call);
  [[nodiscard]] Result<std::size_t> take_slot(const std::shared_ptr<Call>& call);
  void send(const std::shared_ptr<Call>& call, std::size_t slot);
  void end(std::size_t slot, Result<void> outcome) noexcept;

  Engine& engine_;
  const MPI_Comm comm_;
  const std::chrono::milliseconds timeout_;
  // Of the engine's thread.
  std::vector<std::shared_ptr<Call>> slots_;
  std::vector<std::uint32_t> free_slots_;  // has room for as many as slots_
  std::size_t in_flight_ = 0;
};

}  // namespace tarn::mpi
