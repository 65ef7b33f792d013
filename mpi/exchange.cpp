#include "mpi/exchange.hpp"

#include <algorithm>
#include <new>
#include <utility>

#include "base/limits.hpp"
#include "mpi/guarded.hpp"

namespace tarn::mpi {

namespace {
constexpr int kExchangeTag = 7;
}

Exchange::Exchange(Engine& engine, MPI_Comm comm, int rank, std::vector<std::vector<std::byte>> sent, std::vector<std::vector<std::byte>> received)
    : engine_(engine), comm_(comm), rank_(rank), size_(static_cast<int>(sent.size())), sent_(std::move(sent)), received_(std::move(received)) {}

void Exchange::start() {
  advance(receive_);
  advance(send_);
  finish_if_complete();
}

void Exchange::advance(Direction& direction) {
  while (outcome_ && direction.in_flight < kWindow && post_next(direction)) continue;
}

bool Exchange::post_next(Direction& direction) {
  for (; direction.step < size_; ++direction.step, direction.offset = 0) {
    const int peer = (direction.sending ? rank_ + direction.step : rank_ - direction.step + size_) % size_;
    const auto index = static_cast<std::size_t>(peer);
    const std::size_t total = direction.sending ? sent_[index].size() : received_[index].size();
    if (direction.offset == total) continue;
    const std::size_t piece = std::min(total - direction.offset, limits::kPeerPieceBytesMax);
    const auto post = [&, offset = direction.offset](Buffer&, MPI_Request* request) {
      const int size = static_cast<int>(piece);
      return direction.sending ? MPI_Isend(sent_[index].data() + offset, size, MPI_BYTE, peer, kExchangeTag, comm_, request)
                               : MPI_Irecv(received_[index].data() + offset, size, MPI_BYTE, peer, kExchangeTag, comm_, request);
    };
    direction.offset += piece;
    ++direction.in_flight;
    try {
      engine_.begin(direction.sending ? "MPI_Isend" : "MPI_Irecv", Buffer(), post,
                    [self = shared_from_this(), &direction](Result<void> outcome, Buffer) { self->ended(direction, std::move(outcome)); });
    } catch (const std::bad_alloc&) {
      --direction.in_flight;
      outcome_ = fail(no_memory());
    }
    return outcome_.has_value();
  }
  return false;
}

void Exchange::ended(Direction& direction, Result<void> outcome) {
  --direction.in_flight;
  if (!outcome && outcome_) outcome_ = std::move(outcome);
  advance(direction);
  finish_if_complete();
}

void Exchange::finish_if_complete() {
  if (outcome_ && (send_.in_flight > 0 || receive_.in_flight > 0 || send_.step < size_ || receive_.step < size_)) return;
  done_.set();  // after a failure at once: what is in flight may never end, since this rank posts no more
}

}  // namespace tarn::mpi
