#include "mpi/peer_service.hpp"

#include <exception>
#include <memory>
#include <new>
#include <string>
#include <utility>

#include "base/log.hpp"
#include "mpi/guarded.hpp"

namespace tarn::mpi {

Request::Request(PeerService& service, int source, Buffer message, Responder responder)
    : service_(&service), source_(source), message_(std::move(message)), responder_(std::move(responder)) {}

Request::~Request() {
  if (service_ != nullptr) service_->release(message_.size());
}

PeerService::PeerService(Engine& engine, MPI_Comm comm, int ranks, WorkerPool& data, WorkerPool& control)
    : engine_(engine),
      comm_(comm),
      data_(data),
      control_(control),
      dropped_(static_cast<std::size_t>(ranks)),
      peers_(static_cast<std::size_t>(ranks)) {}

void PeerService::on(Op op, RunOn where, Handler handler, AnswerSize answer_size) {
  auto& entry = entries_[static_cast<std::size_t>(op)];
  entry.where = where;
  entry.handler = std::move(handler);
  entry.answer_size = answer_size;
}

void PeerService::on_request(MPI_Message message, int source, std::size_t size_bytes) {
  const bool counted = size_bytes >= kCountedBytesMin;
  if (counted && (!held_.empty() || request_bytes_.load() + size_bytes > limits::kPeerBufferBytesMax)) {
    held_.push_back({message, source, size_bytes});  // its sender's MPI_Isend ends when we take it
    return;
  }
  receive(message, source, size_bytes);
}

void PeerService::receive(MPI_Message message, int source, std::size_t size_bytes) {
  engine_.make_room(1);
  Buffer buffer(size_bytes);
  Engine::Completion completion = [this, source](Result<void> outcome, Buffer bytes) {
    if (outcome) return received(source, std::move(bytes));
    release(bytes.size());
    base::log_error("a request of rank " + std::to_string(source) + " did not arrive: " + outcome.error().message);
  };
  if (size_bytes >= kCountedBytesMin) request_bytes_ += size_bytes;  // nothing throws from here on
  const auto post = [&](Buffer& bytes, MPI_Request* request) {
    return MPI_Imrecv(bytes.data(), static_cast<int>(size_bytes), MPI_BYTE, &message, request);
  };
  engine_.begin("MPI_Imrecv", std::move(buffer), post, std::move(completion));
}

void PeerService::received(int source, Buffer message) {
  const auto header = read_header(message.span());
  if (!header) {
    release(message.size());
    return base::log_error("rank " + std::to_string(source) + ": " + header.error().message);
  }
  auto& entry = entries_[static_cast<std::size_t>(header->op)];
  auto& peer = peers_[static_cast<std::size_t>(source)];
  std::size_t answer = 0;
  try {
    if (entry.answer_size != nullptr) answer = entry.answer_size(message.span().subspan(kHeaderBytes));
  } catch (const std::bad_alloc&) {
    Request request(*this, source, std::move(message), Responder(*this, source, header->op, header->id, 0));
    return request.responder().fail(no_memory());
  }
  Request request(*this, source, std::move(message), Responder(*this, source, header->op, header->id, answer));
  if (!entry.handler) return request.responder().fail(Error(ErrorCode::unsupported, "this rank does not offer that operation: it has no disks"));
  if (answer > 0 && (!peer.waiting.empty() || !may_start(peer, answer))) {
    try {
      peer.waiting.emplace_back(answer, std::move(request));
    } catch (const std::bad_alloc&) {
      answer_bytes_ += answer;  // its Responder takes them off again
      peer.answer_bytes += answer;
      return request.responder().fail(no_memory());  // not moved from: the deque makes room first
    }
    ++waiting_;
    return;
  }
  answer_bytes_ += answer;
  peer.answer_bytes += answer;
  run(entry, std::move(request));
}

bool PeerService::may_start(const Peer& peer, std::size_t answer_bytes) const noexcept {
  const bool total_allows = answer_bytes_ == 0 || answer_bytes_ + answer_bytes <= limits::kPeerBufferBytesMax;
  const bool share_allows = peer.answer_bytes == 0 || peer.answer_bytes + answer_bytes <= kPeerShare;
  return total_allows && share_allows;
}

void PeerService::run(Entry& entry, Request request) {
  if (entry.where == RunOn::engine) {
    try {
      entry.handler(std::move(request));
    } catch (const std::exception& error) {
      base::log_error(std::string("a request of another rank failed: ") + error.what());
    }
    return;
  }
  auto& pool = entry.where == RunOn::data ? data_ : control_;
  pool.submit([&entry, held = std::move(request)]() mutable { entry.handler(std::move(held)); });
}

void PeerService::send(int rank, int tag, Buffer message, std::size_t charge) noexcept {
  try {
    engine_.execute([this, rank, tag, charge, held = std::move(message)]() mutable { post(rank, tag, std::move(held), charge); });
  } catch (const std::bad_alloc&) {
    drop(rank, charge);
  }
}

void PeerService::drop(int rank, std::size_t charge) noexcept {
  dropped_[static_cast<std::size_t>(rank)] += charge;
}

void PeerService::on_tick() {
  receive_held();
  for (std::size_t rank = 0; rank < dropped_.size(); ++rank) sent(static_cast<int>(rank), dropped_[rank].exchange(0));
}

void PeerService::post(int rank, int tag, Buffer message, std::size_t charge) {
  const auto post = [&](Buffer& bytes, MPI_Request* request) {
    return MPI_Isend(bytes.data(), static_cast<int>(bytes.size()), MPI_BYTE, rank, tag, comm_, request);
  };
  try {
    engine_.begin("MPI_Isend", std::move(message), post, [this, rank, charge](Result<void> outcome, Buffer) {
      sent(rank, charge);
      if (!outcome) base::log_error("an answer to rank " + std::to_string(rank) + " is lost: " + outcome.error().message);
    });
  } catch (const std::bad_alloc&) {
    sent(rank, charge);
    throw;
  }
  engine_.ring(rank);  // who waits for an answer may sleep as well
}

void PeerService::sent(int rank, std::size_t charge) {
  if (charge == 0) return;
  answer_bytes_ -= charge;
  peers_[static_cast<std::size_t>(rank)].answer_bytes -= charge;
  // The rank that has just been served goes last.
  for (std::size_t i = 1; i <= peers_.size() && waiting_ > 0; ++i) start_waiting(peers_[(static_cast<std::size_t>(rank) + i) % peers_.size()]);
}

void PeerService::start_waiting(Peer& peer) {
  while (!peer.waiting.empty() && may_start(peer, peer.waiting.front().first)) {
    auto [answer, request] = std::move(peer.waiting.front());
    peer.waiting.pop_front();
    --waiting_;
    answer_bytes_ += answer;
    peer.answer_bytes += answer;
    auto& entry = entries_[static_cast<std::size_t>(request.op())];
    run(entry, std::move(request));
  }
}

void PeerService::release(std::size_t size_bytes) noexcept {
  if (size_bytes < kCountedBytesMin) return;
  request_bytes_ -= size_bytes;
  try {
    engine_.execute([this] { receive_held(); });
  } catch (const std::bad_alloc&) {  // on_tick() does it
    return;
  }
}

void PeerService::receive_held() {
  while (!held_.empty()) {
    const Held next = held_.front();
    const std::size_t used = request_bytes_.load();
    if (used > 0 && used + next.size_bytes > limits::kPeerBufferBytesMax) return;
    receive(next.message, next.source, next.size_bytes);
    held_.pop_front();
  }
}

}  // namespace tarn::mpi
