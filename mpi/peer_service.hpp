// peer_service.hpp - the answering side of the peer protocol: receives requests, hands them to their handlers, sends answers.
// Level 6 (mpi). on(): before the engine starts. on_request() and what it calls: the engine's thread.
//
//   request --(over kPeerBufferBytesMax held: waits in MPI)--> received --> handler: inline on the engine's thread,
//           or on a pool ----> Responder --> sent
//
// What one peer can make this rank hold is bounded: requests by holding back the receive, answers with data by
// not starting the work. A peer that does not take its answers waits alone (kPeerShare).
#pragma once

#include <mpi.h>

#include <array>
#include <atomic>
#include <deque>
#include <span>
#include <vector>

#include <tarn/result.hpp>

#include "base/codec.hpp"
#include "base/limits.hpp"
#include "base/unique_function.hpp"
#include "mpi/engine.hpp"
#include "mpi/responder.hpp"
#include "mpi/wire.hpp"
#include "mpi/worker_pool.hpp"

namespace tarn::mpi {

class PeerService;

/// A request as its handler gets it. Owns the message; its memory is counted until it is destroyed.
class Request {
 public:
  Request(PeerService& service, int source, Buffer message, Responder responder);
  Request(Request&& other) noexcept
      : service_(std::exchange(other.service_, nullptr)),
        source_(other.source_),
        message_(std::move(other.message_)),
        responder_(std::move(other.responder_)) {}
  Request& operator=(Request&&) = delete;
  ~Request();

  [[nodiscard]] int source() const noexcept { return source_; }
  [[nodiscard]] Op op() const noexcept { return responder_.op(); }
  [[nodiscard]] std::span<const std::byte> body() const noexcept { return message_.span().subspan(kHeaderBytes); }
  [[nodiscard]] Responder& responder() noexcept { return responder_; }

 private:
  PeerService* service_;
  const int source_;
  Buffer message_;
  Responder responder_;
};

/// Where a handler runs.
enum class RunOn : std::uint8_t {
  engine,   ///< must be quick
  data,     ///< reads and writes of disks
  control,  ///< may wait for other ranks
};

class PeerService final : public ReplySink {
 public:
  using Handler = base::UniqueFunction<void(Request)>;
  /// How many bytes of data the answer to a request will hold; what does not decode counts as 0.
  using AnswerSize = std::size_t (*)(std::span<const std::byte> body);

  PeerService(Engine& engine, MPI_Comm comm, int ranks, WorkerPool& data, WorkerPool& control);

  void on(Op op, RunOn where, Handler handler, AnswerSize answer_size = nullptr);

  void on_request(MPI_Message message, int source, std::size_t size_bytes);
  /// Any thread.
  void send(int rank, int tag, Buffer message, std::size_t charge) noexcept override;
  void drop(int rank, std::size_t charge) noexcept override;
  /// Takes up what there was no memory for before.
  void on_tick();

 private:
  friend class Request;
  static constexpr std::size_t kCountedBytesMin = limits::kPeerInlineBytesMax;
  static constexpr std::size_t kPeerShare = limits::kPeerBufferBytesMax / 4;

  struct Held {
    MPI_Message message;
    int source;
    std::size_t size_bytes;
  };
  struct Entry {
    RunOn where = RunOn::engine;
    Handler handler;
    AnswerSize answer_size = nullptr;
  };
  /// What one peer has under way.
  struct Peer {
    std::size_t answer_bytes = 0;
    std::deque<std::pair<std::size_t, Request>> waiting;  // with their answers' sizes
  };

  void receive(MPI_Message message, int source, std::size_t size_bytes);
  void received(int source, Buffer message);
  void run(Entry& entry, Request request);
  void post(int rank, int tag, Buffer message, std::size_t charge);
  void sent(int rank, std::size_t charge);
  [[nodiscard]] bool may_start(const Peer& peer, std::size_t answer_bytes) const noexcept;
  void start_waiting(Peer& peer);
  void release(std::size_t size_bytes) noexcept;
  void receive_held();

  Engine& engine_;
  const MPI_Comm comm_;
  WorkerPool& data_;
  WorkerPool& control_;
  std::array<Entry, kOps> entries_;
  // Of the engine's thread, but for the counters.
  std::atomic<std::size_t> request_bytes_{0};
  std::vector<std::atomic<std::size_t>> dropped_;  // by peer: charges of answers that were never sent
  std::deque<Held> held_;
  std::size_t answer_bytes_ = 0;
  std::vector<Peer> peers_;
  std::size_t waiting_ = 0;  // requests in all Peer::waiting
};

}  // namespace tarn::mpi
