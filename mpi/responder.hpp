// responder.hpp - the one answer that a request of another rank gets.
// Level 6 (mpi). Any thread; one at a time. Destroyed without an answer it sends `internal`.
#pragma once

#include <cstdint>
#include <span>
#include <utility>

#include <tarn/result.hpp>

#include "base/codec.hpp"
#include "mpi/buffer.hpp"
#include "mpi/wire.hpp"

namespace tarn::mpi {

/// Where answers go: PeerService.
class ReplySink {
 public:
  virtual ~ReplySink() = default;
  /// Sends `message` to `rank` with this tag and then takes `charge` off what the rank has under way.
  virtual void send(int rank, int tag, Buffer message, std::size_t charge) noexcept = 0;
  /// There will be no message: only takes `charge` off.
  virtual void drop(int rank, std::size_t charge) noexcept = 0;
};

class Responder {
 public:
  /// @param charge  bytes counted for the answer until it has been sent.
  Responder(ReplySink& sink, int rank, Op op, std::uint64_t id, std::size_t charge) : sink_(&sink), rank_(rank), op_(op), id_(id), charge_(charge) {}
  Responder(Responder&& other) noexcept
      : sink_(std::exchange(other.sink_, nullptr)), rank_(other.rank_), op_(other.op_), id_(other.id_), charge_(other.charge_) {}
  Responder& operator=(Responder&&) = delete;
  ~Responder();

  [[nodiscard]] int rank() const noexcept { return rank_; }
  [[nodiscard]] Op op() const noexcept { return op_; }

  /// Success with nothing to say.
  void done() { reply(begin_message()); }
  /// Success; `message` was made by begin_message(); `tail` follows it.
  void reply(base::Encoder message, std::span<const std::byte> tail = {});
  /// The same for a message whose header is still to be filled in.
  void reply(Buffer message);
  /// Success of an operation that answers with bare bytes.
  void data(Buffer bytes);
  void fail(const Error& error);

 private:
  void send(int tag, Buffer message);

  ReplySink* sink_;
  const int rank_;
  const Op op_;
  const std::uint64_t id_;
  const std::size_t charge_;
};

}  // namespace tarn::mpi
